"""The number of threads of a compiled program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from gaussgan.setup.cgroups import control_groups

LIMIT = "OMP_NUM_THREADS"  # the usual variable for the number of threads of a process; Ray sets it for each task
LIMITS = (LIMIT, "SLURM_CPUS_PER_TASK")
QUOTA_FILES = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}  # version of cgroups → quota and period


def threads_for(replicas: int, given: int | None) -> int:
    """Return the number of threads that a compiled program uses.

    Args:
        replicas: the number of replicas. They are divided among the threads, so a single run has one thread.
        given: the value of the key `threads`; None to use all cores for replicas.
    """
    return given or (min(available_cores(), replicas) if replicas > 1 else 1)


def available_cores() -> int:
    """Return the number of cores that this process may use, which is at least 1.

    If the environment variable OMP_NUM_THREADS or else SLURM_CPUS_PER_TASK is set, it is this number. Otherwise it is
    the smallest of three numbers: the cores of the machine, the cores on which the system may run this process, and the
    quota of CPU time of its control groups, rounded up.
    """
    for name in LIMITS:
        with suppress(KeyError, ValueError):
            if (limit := int(os.environ[name].partition(",")[0])) > 0:
                return limit
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([own, *_quotas()]))


def _quotas() -> Iterator[int]:
    """Yield the quotas of the control groups of this process, and of their parents, as numbers of cores."""
    for version, group in control_groups("cpu"):
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            texts = [(group / file).read_text() for file in QUOTA_FILES[version]]
            quota, period = map(int, " ".join(texts).split())
            if quota > 0:
                yield -(-quota // period)
