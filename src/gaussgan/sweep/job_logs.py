"""Write log records to the log files of several jobs at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gaussgan.sweep.jobs import Job, log_files


class JobLogs(logging.Handler):
    """A log handler that writes each record to the log files of one job or of all jobs.

    A record with an attribute `run_dir` goes to the job with that directory. Every other record goes to the job whose
    directory is the handler's attribute `owner`, or to all jobs if `owner` is None. Each log file is closed again after
    every record, because a process cannot have a thousand open files.

    Args:
        jobs: jobs whose method `begin` was called.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__()
        self._files = {str(job.run_dir): job.files for job in jobs}
        self.owner: str | None = None  # the directory of a job, or None

    def emit(self, record: logging.LogRecord) -> None:
        owner = getattr(record, "run_dir", self.owner)
        for run_dir, files in self._files.items():
            for file in files if owner in (None, run_dir) else ():
                if record.levelno >= file.level:
                    file.handle(record)
                    file.close()


@contextmanager
def logging_to(logs: JobLogs) -> Iterator[None]:
    """Inside a with block, send log records to `logs`, and no longer to the log files of the root logger.

    These log files belong to the job that began last. After the block, the root logger does not write to them again.
    """
    root = logging.getLogger()
    for handler in log_files():
        root.removeHandler(handler)
    root.addHandler(logs)
    try:
        yield
    finally:
        root.removeHandler(logs)
