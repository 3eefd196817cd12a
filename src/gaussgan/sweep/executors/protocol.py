"""What an executor is, and how tasks that were lost are tried again."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import env_override

from gaussgan.machine import THREADS, available_cores
from gaussgan.runs.job_errors import FULL
from gaussgan.runs.signals import NOTED

log = logging.getLogger(__name__)

Task = Callable[[], None]
STOP_SECONDS = 60.0  # how long an executor waits for tasks that it has told to end
FROM_TERMINAL = [signum for signum in NOTED if signum != signal.SIGTERM]  # sent to all processes of a terminal


class Executor(Protocol):
    """Runs tasks on other processes or machines.

    A task is an instance of a class that the worker can import, and holds plain data. It may be called again after its
    process was killed; it then does what is left. SIGTERM ends it with SystemExit, after it has saved its state.

    Attributes:
        workers: how many tasks run at the same time, so that a sweep can be divided into at least as many tasks; 1 if
            that is not known, or if a task should be as large as possible.
    """

    @property
    def workers(self) -> int: ...

    def check(self) -> None:
        """Check the settings, and that the library is installed. Start nothing.

        Raises:
            ConfigError: for the first setting that is wrong, or when the library or the cluster's commands are missing.
        """

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, str | None]]:
        """Run the tasks. Yield (index of the task, why), in the order in which the tasks end.

        `why` is None if the task was run to its end. Otherwise it is one line that says why the task is lost: its
        process was killed, its node is gone, or the task raised an error.

        If the iterator is closed, or an error such as SystemExit is raised while it waits, tasks that have not begun
        are cancelled. The others get SIGTERM (in Ray, SIGINT) and `STOP_SECONDS` to end. Then they are killed.

        Raises:
            ConfigError: before any task runs, when the cluster cannot be reached or refuses the tasks.
        """


def with_retries(executor: Executor, tasks: Sequence[Task]) -> Iterator[tuple[int, str | None]]:
    """Run the tasks as `Executor.run` does. Try each lost task again, once, after all others have ended.

    While this iterator waits, SIGINT, SIGTERM and SIGHUP stop the executor and raise SystemExit with the exit code 128
    plus the number of the signal. A second signal kills the tasks.
    """
    together = min(getattr(executor, "workers", 1), len(tasks))
    with signals_raising(), env_override(_environment(together)):
        lost = []
        for index, why in executor.run(tasks):
            if why is None:
                yield index, None
            else:
                log.warning("A task is lost and will be tried again: %s", why)
                lost.append(index)
        if lost:
            yield from ((lost[i], why) for i, why in executor.run([tasks[index] for index in lost]))


def _environment(together: int) -> dict[str, str]:
    """Return the environment variables that workers inherit, if they differ from those of this process.

    Workers import from the same places as this process. HYDRA_FULL_ERROR has the value that the user gave it. Tasks
    that run on this machine at the same time divide its cores, unless the user gave OMP_NUM_THREADS.

    Args:
        together: the number of these tasks; 1 if tasks run one after the other, or on other machines.
    """
    places = [str(Path(place).absolute()) for place in sys.path]
    own = {THREADS: str(max(1, available_cores() // together))} if together > 1 and THREADS not in os.environ else {}
    return {"PYTHONPATH": os.pathsep.join(places), "HYDRA_FULL_ERROR": str(int(FULL)), **own}


@contextmanager
def signals_raising() -> Iterator[None]:
    """Inside a with block, let SIGINT, SIGTERM and SIGHUP raise SystemExit. The exit code is 128 + the signal's number.

    In a thread other than the main thread, the block has no effect. A signal that the process ignores stays ignored.
    """

    def stop(signum: int, _: Any) -> None:
        raise SystemExit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in NOTED}
    for signum, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(signum, stop)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def held(*signums: int) -> Iterator[None]:
    """Inside a with block, hold back signals to this process. They are delivered at the end of the block.

    Processes that are started in the block never get these signals. If the signals `FROM_TERMINAL` are held while
    workers are started, Ctrl-C reaches only this process, which then stops the workers.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signums)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
