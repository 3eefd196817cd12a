"""The signals that end a run: Ctrl-C, SIGTERM, and SIGHUP from a terminal that is closed.

Before training, a signal ends the process at once. During training, a signal is noted. The run reads the note between
blocks, so that it never stops within an update.
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
    """Return the number of the first signal since noting began; None where there was none."""
    return _received


def exit_code() -> int:
    """Return the exit code of a process that a signal ended: 128 + its number."""
    return 128 + (_received or signal.SIGTERM)  # another rank may have received it


def stopped_by(signum: int) -> str:
    """Name a signal, as records do."""
    return f"stopped by {signal.Signals(signum).name}"


def wait() -> None:
    """From now on, until noting ends, a signal waits for the run to read it."""
    global _waiting
    _waiting = True


def install() -> None:
    """Note the next signal, and end the process by SystemExit unless the signal is to `wait`.

    A second Ctrl-C ends the process at once in any case. A process that has spawned others, which do the training,
    passes the signal on to them and waits for them. A signal that is ignored, as SIGHUP is under nohup, stays ignored.
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
            wait()  # the end is under way
            raise SystemExit(exit_code())

    if threading.current_thread() is threading.main_thread():  # Python delivers signals to the main thread only
        for signum in NOTED:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, note)


@contextmanager
def noting() -> Iterator[None]:
    """Note signals for a while. A call within another changes nothing, so that an earlier signal is not forgotten.

    Raises:
        SystemExit: with 128 + the first signal's number, whatever code a second Ctrl-C made of it.
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
