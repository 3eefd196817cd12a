"""Run tasks on the cores of this machine, in the worker processes of joblib (loky)."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from multiprocessing import active_children
from typing import Any

from gaussgan.config.schema import Rule
from gaussgan.sweep.executors.protocol import FROM_TERMINAL, STOP_SECONDS, Task, held
from gaussgan.sweep.executors.settings import check_settings, import_extra
from gaussgan.sweep.executors.worker import InWorker, end_with, mute, why_lost

log = logging.getLogger(__name__)

RULES: dict[str, Rule] = {
    "n_jobs": ("a whole number other than 0; -1 means all cores", lambda v: type(v) is int and v != 0),
}


class Cores:
    """Runs `n_jobs` tasks at a time, each in a process of its own. A process runs one task after another.

    Each process has a pool of its own, because loky ends all processes of a pool when one of them is killed.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def check(self) -> None:
        check_settings(self.settings, RULES)
        import_extra("joblib")

    @property
    def workers(self) -> int:
        count: int = import_extra("joblib").effective_n_jobs(self.settings["n_jobs"])
        return count

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, str | None]]:
        loky = import_extra("joblib.externals.loky")
        # loky replaces a process that has imported torch in its second task, because it takes that for a memory leak.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        waiting, others = enumerate(tasks), {*active_children()}
        running: dict[Future[None], tuple[int, Any]] = {}

        def begin(pool: Any) -> None:
            if (task := next(waiting, None)) is None:
                pool.shutdown()
                return
            with held(*FROM_TERMINAL):
                running[pool.submit(InWorker(task[1]))] = task[0], pool

        def new_pool() -> Any:
            return loky.ProcessPoolExecutor(1, initializer=_begin_worker, initargs=(os.getpid(),))

        try:
            for _ in range(min(self.workers, len(tasks))):
                begin(new_pool())
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index, pool = running.pop(future)
                    error = future.exception()
                    begin(new_pool() if isinstance(error, loky.BrokenProcessPool) else pool)
                    yield index, _reason(error)
        finally:
            _stop(running, {*active_children()} - others)


def _begin_worker(owner: int) -> None:
    mute()
    end_with(owner)


def _stop(running: Mapping[Future[None], tuple[int, Any]], workers: set[Any]) -> None:
    """End the workers: kindly, as far as they do so in time. If no task is running, they are idle and end at once."""
    try:
        if running:
            log.warning("Stopping %d tasks; a second signal kills them", len(running))
            for worker in workers:
                worker.terminate()
            wait(running, STOP_SECONDS)
    finally:
        for _, pool in running.values():
            pool.shutdown(kill_workers=True)


def _reason(error: BaseException | None) -> str | None:
    """Return why a task is lost, as one line. The message of loky has "{SIGKILL(-9)}" for a process that was killed."""
    if found := re.search(r"exit codes of the workers are \{(\w+)", str(error)):
        return f"its process ended by {found[1]}; if that was SIGKILL, memory may have been short"
    return None if error is None else why_lost(error)
