"""The number of threads of a compiled program."""

from __future__ import annotations

from gaussgan.machine import available_cores


def threads_for(replicas: int, given: int | None) -> int:
    """Return the number of threads that a compiled program uses.

    Args:
        replicas: the number of replicas. They are divided among the threads, so a single run has one thread.
        given: the value of the key `threads`; None to use all cores for replicas.
    """
    return given or (min(available_cores(), replicas) if replicas > 1 else 1)
