"""What happens in the process that runs a task."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gaussgan.config.errors import one_line
from gaussgan.sweep.executors.protocol import STOP_SECONDS, Task, signals_raising

_orphaned = threading.Event()


@dataclass(frozen=True)
class InWorker:
    """A task as it is called in another process.

    The process works in the directory of the sweep's process. SIGTERM and SIGINT raise SystemExit; a run that is under
    way has handlers of its own, and ends after a block of iterations.

    Args:
        task: the task.
    """

    task: Task
    directory: str = field(default_factory=os.getcwd)

    def __call__(self) -> None:
        os.chdir(self.directory)
        try:
            with signals_raising():
                self.task()
        finally:
            if _orphaned.is_set():
                os._exit(128 + signal.SIGTERM)  # nobody waits for the result, and nobody would end this process


def why_lost(error: BaseException) -> str:
    """Return one line about an error that a task has raised."""
    return f"{type(error).__name__}: {one_line(error)}"


def mute() -> None:
    """Send what this process and its libraries print to nowhere, because the terminal belongs to the sweep's process.

    The log of a run is in its directory.
    """
    with Path(os.devnull).open("w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)


def end_with(owner: int) -> None:
    """Let this process end when another process of this machine has ended, even if that was killed.

    This process first gets SIGTERM, so that it saves its state. If it still runs after `STOP_SECONDS`, it exits.

    Args:
        owner: the id of the other process.
    """

    def watch() -> None:
        _await_end(owner)
        _orphaned.set()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name=f"end with {owner}").start()


def _await_end(process: int) -> None:
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):  # the process has ended, or this kernel is too old
            select.select([os.pidfd_open(process)], [], [])
            return
    with suppress(ProcessLookupError):
        while True:
            os.kill(process, 0)
            time.sleep(1)
