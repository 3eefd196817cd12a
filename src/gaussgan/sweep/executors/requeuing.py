"""A task in a job of SLURM that may be preempted, run out of time, or be cancelled."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gaussgan.sweep.executors.protocol import Task
from gaussgan.sweep.executors.worker import InWorker, end_with, why_lost

GRACE_SECONDS = 300  # how long a job that got SIGTERM waits for what SLURM does next


@dataclass
class Requeuing:
    """A task as a job of submitit calls it. Returns None, or one line that says why the task is lost.

    Before SLURM ends a job, it sends SIGUSR2. On this signal, submitit would put the job back into the queue and exit
    at once, in the middle of an update of the parameters. This class sends SIGTERM to the task instead, so that the
    run saves its state; then it calls submitit's handler. When the job starts again, the task is called again.

    A job that is preempted may also get SIGTERM, before SIGUSR2 or instead of it. If it then exited, SLURM would not
    start it again. So the job waits, unless the sweep has cancelled it.

    Args:
        task: the task.
        cancelled: a file that exists after the sweep has cancelled its jobs.
        owner: the id of a process of this machine with which the job ends; None if the job has a life of its own.
    """

    task: Task
    cancelled: Path
    owner: int | None = None
    in_worker: InWorker = field(init=False)

    def __post_init__(self) -> None:
        self.in_worker = InWorker(self.task)

    def __call__(self) -> str | None:
        import submitit

        signum = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        requeue: Any = signal.getsignal(signum)
        noted = []

        def note(signum: int, _: Any) -> None:
            noted.append(signum)
            signal.raise_signal(signal.SIGTERM)

        signal.signal(signum, note)
        if self.owner is not None:
            end_with(self.owner)
        try:
            try:
                self.in_worker()
            except SystemExit:
                end = time.monotonic() + GRACE_SECONDS
                while not (noted or self.cancelled.exists()) and time.monotonic() < end:
                    time.sleep(0.5)
                if not noted:
                    raise
            if noted:
                requeue(signum, None)
        except Exception as error:  # of the task; or of submitit, if there were too many timeouts
            return why_lost(error)
        return None

    def checkpoint(self) -> Any:
        """Return what submitit runs when the job starts again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
