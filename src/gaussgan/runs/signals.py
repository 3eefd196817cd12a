"""Handle the signals that end a run: SIGINT from Ctrl-C, SIGTERM, and SIGHUP from a terminal that is closed.

Before training, a signal ends the process at once. During training, the signal handler only records the signal. The run
reads the recorded signal between two blocks of iterations, so the run never stops in the middle of an update.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from typing import Any

NOTED = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
_received: int | None = None
_noting = _waiting = False


def received() -> int | None:
    """Return the number of the first signal since the with block of `noting` began; None if there was no signal."""
    return _received


def exit_code() -> int:
    """Return the exit code of a process that a signal ended: 128 plus the number of the first signal."""
    return 128 + (_received or signal.SIGTERM)  # in a distributed run, another rank may have received the signal


class Exited(RuntimeError):
    """The code of a run has called sys.exit. This would end a whole sweep, so it counts as an error of the run."""

    def __init__(self, error: SystemExit) -> None:
        super().__init__(f"the code of the run called sys.exit({'' if error.code is None else repr(error.code)})")


def by_signal(error: BaseException) -> bool:
    """Return whether a signal caused a KeyboardInterrupt or a SystemExit, and not a call of sys.exit by other code."""
    codes = {128 + signum for signum in NOTED}
    return not isinstance(error, SystemExit) or _received is not None or error.code in codes


def stopped_by(signum: int) -> str:
    """Return the error text for the record of a run that the signal with the number `signum` ended."""
    return f"stopped by {signal.Signals(signum).name}"


def wait() -> None:
    """Make the signal handler only record signals, from now until the with block of `noting` ends.

    After this call, the run must regularly call `received` and end if there was a signal.
    """
    global _waiting
    _waiting = True


def install() -> None:
    """Install a signal handler. The handler records the first signal.

    The handler then raises SystemExit, except after a call of `wait`. A second Ctrl-C always ends the process at once.
    If the process has child processes, which do the training, the handler sends the signal to them and does not raise
    SystemExit, so that this process waits for the children. A signal that the process ignores, such as SIGHUP under
    nohup, stays ignored.
    """

    def note(signum: int, _: Any) -> None:
        global _received
        _received = _received or signum
        children = active_children()
        for child in children:
            if child.pid is not None:
                os.kill(child.pid, signum)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not (_waiting or children):
            wait()  # the process is already ending
            raise SystemExit(exit_code())

    if threading.current_thread() is threading.main_thread():  # Python delivers signals to the main thread only
        for signum in NOTED:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, note)


@contextmanager
def noting() -> Iterator[None]:
    """Inside a with block, use the signal handler of `install`. After the block, restore the earlier handlers.

    A block inside another such block has no effect, nor has a block in a thread other than the main thread.

    Raises:
        SystemExit: when a signal ends the block. The exit code is 128 plus the number of the first signal, even if a
            second Ctrl-C ends the block.
        Exited: when other code has called sys.exit.
    """
    global _received, _noting, _waiting
    if _noting or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {signum: signal.getsignal(signum) for signum in NOTED}
    _received, _noting, _waiting = None, True, False
    install()
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        if _received:
            raise SystemExit(exit_code()) from None
        if isinstance(error, SystemExit) and not by_signal(error):
            raise Exited(error) from error
        raise
    finally:
        _noting = _waiting = False
        for signum, handler in previous.items():
            signal.signal(signum, handler)
