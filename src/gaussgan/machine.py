"""What this process may use of the machine: cores and memory. Batch systems and containers may limit both."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

THREADS = "OMP_NUM_THREADS"  # the usual variable for the number of threads of a process; Ray sets it for each task
LIMITS = (THREADS, "SLURM_CPUS_PER_TASK")
QUOTA_FILES = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}  # version of cgroups → quota and period
LIMIT_FILES = {1: "memory.limit_in_bytes", 2: "memory.max"}  # version of cgroups → file with the limit


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


def available_memory() -> float:
    """Return how many bytes of memory this process may use.

    This is the smallest of three numbers: the memory of the machine, the memory limit of the container in which the
    process runs, and the resource limit (ulimit) of the process.
    """
    limits = [math.inf]
    with suppress(AttributeError, ValueError, OSError):  # some systems lack these names
        limits.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    for version, group in control_groups("memory"):
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            limits.append(float((group / LIMIT_FILES[version]).read_text()))
    with suppress(ImportError):
        import resource

        soft = (resource.getrlimit(name)[0] for name in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
        limits += [float(limit) for limit in soft if limit != resource.RLIM_INFINITY]
    return min(limits)


def control_groups(controller: str) -> Iterator[tuple[int, Path]]:
    """Yield the version, 1 or 2, and the directory of each control group of this process, and of their parents.

    Args:
        controller: the name of a controller in version 1, such as "memory". Groups of version 1 without this controller
            are left out. In version 2, a group has all controllers.
    """
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            version, top = (1, controller) if controllers else (2, "")
            for path in [PurePosixPath(group), *PurePosixPath(group).parents]:
                yield version, Path(f"/sys/fs/cgroup/{top}{path}")


def _quotas() -> Iterator[int]:
    """Yield the quotas of the control groups of this process, and of their parents, as numbers of cores."""
    for version, group in control_groups("cpu"):
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            texts = [(group / file).read_text() for file in QUOTA_FILES[version]]
            quota, period = map(int, " ".join(texts).split())
            if quota > 0:
                yield -(-quota // period)
