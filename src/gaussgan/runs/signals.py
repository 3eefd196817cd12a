"""Handle the signals that end a run: Ctrl-C, SIGTERM, and SIGHUP from a terminal that is closed.

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
    """Return the number of the first signal since `noting` began; None if there was no signal."""
    return _received


def exit_code() -> int:
    """Return the exit code of a process that a signal ended: 128 + the signal's number."""
    return 128 + (_received or signal.SIGTERM)  # in a distributed run, another rank may have received the signal


def stopped_by(signum: int) -> str:
    """Return the error text for the record of a run that the signal with this number ended."""
    return f"stopped by {signal.Signals(signum).name}"


def wait() -> None:
    """From now on, only record signals, until `noting` ends.

    The run must read a recorded signal with `received` and then end.
    """
    global _waiting
    _waiting = True


def install() -> None:
    """Install a signal handler. It records the first signal and raises SystemExit, except after a call of `wait`.

    A second Ctrl-C always ends the process at once. If child processes do the training, the handler sends the signal to
    the children and does not raise SystemExit, so that this process waits for them. A signal that the process ignores,
    such as SIGHUP under nohup, stays ignored.
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
    """Handle signals inside a with block as described in `install`; afterwards, restore the earlier handlers.

    A nested call changes nothing. In a thread other than the main thread, a call does nothing.

    Raises:
        SystemExit: when a signal ends the block. The exit code is 128 + the first signal's number, even after a second
            Ctrl-C.
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
    except (SystemExit, KeyboardInterrupt):
        if _received:
            raise SystemExit(exit_code()) from None
        raise
    finally:
        _noting = _waiting = False
        for signum, handler in previous.items():
            signal.signal(signum, handler)
