"""The control groups (cgroups) of this process, which limit its memory and its time on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


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
