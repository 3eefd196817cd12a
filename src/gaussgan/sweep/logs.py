"""One process's log, written into the logs of several jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class JobLogs(logging.Handler):
    """Into every job's files what is logged, but for what is of one job: a record with a `run_dir`, or whatever is
    logged within `only`.

    Files are open while a record is written; a thousand jobs would need more than a process may have.
    """

    def __init__(self, files: Mapping[str, Sequence[logging.FileHandler]]) -> None:
        super().__init__()
        self._files = files
        self._only: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        of = getattr(record, "run_dir", self._only)
        for run_dir, files in self._files.items():
            for file in files if of in (None, run_dir) else ():
                if record.levelno >= file.level:
                    file.handle(record)
                    file.close()

    @contextmanager
    def only(self, run_dir: str) -> Iterator[None]:
        self._only = run_dir
        try:
            yield
        finally:
            self._only = None


@contextmanager
def instead_of_files(logs: JobLogs) -> Iterator[None]:
    """Log to these rather than to the files of the root logger, which are of the last job that Hydra set it up for."""
    root = logging.getLogger()
    for handler in files():
        root.removeHandler(handler)
    root.addHandler(logs)
    try:
        yield
    finally:
        root.removeHandler(logs)


def files() -> list[logging.FileHandler]:
    """The root logger's."""
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)]
