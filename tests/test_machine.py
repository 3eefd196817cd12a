"""Limits are those of all control groups of this process, and of the groups around them."""

import os
from pathlib import Path

import pytest

import gaussgan.machine
from gaussgan.machine import available_cores, control_groups

GROUPS = "9:memory:/job/step\n5:cpu,cpuacct:/job\n2:pids:/\n0::/user\n"
TOP = Path("/sys/fs/cgroup")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[Path, str]:
    """The files of a machine. A test may add some."""
    files = {Path("/proc/self/cgroup"): GROUPS}

    def read(path: Path) -> str:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    monkeypatch.setattr(Path, "read_text", read)
    return files


def test_groups_of_both_versions_and_their_parents() -> None:
    second = [(2, TOP / "user"), (2, TOP)]
    memory = [(1, TOP / "memory" / group) for group in ("job/step", "job", "")]
    assert [*control_groups("memory")] == [*memory, *second]
    assert [*control_groups("cpu")] == [(1, TOP / "cpu" / "job"), (1, TOP / "cpu"), *second]


def test_quotas_are_rounded_up_to_cores(machine: dict[Path, str]) -> None:
    machine[TOP / "user" / "cpu.max"] = "150000 100000\n"
    machine[TOP / "cpu.max"] = "max 100000\n"
    machine[TOP / "cpu" / "job" / "cpu.cfs_quota_us"] = "300000\n"
    machine[TOP / "cpu" / "job" / "cpu.cfs_period_us"] = "100000\n"
    machine[TOP / "cpu" / "cpu.cfs_quota_us"] = "-1\n"  # no limit
    machine[TOP / "cpu" / "cpu.cfs_period_us"] = "100000\n"
    assert [*gaussgan.machine._quotas()] == [3, 2]


def test_a_system_without_control_groups_has_no_limits(machine: dict[Path, str]) -> None:
    machine.clear()
    assert [*control_groups("memory")] == [*gaussgan.machine._quotas()] == []


def test_cores_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(gaussgan.machine, "_quotas", lambda: iter(()))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert available_cores() == 3
    monkeypatch.setattr(gaussgan.machine, "_quotas", lambda: iter([2, 8]))
    assert available_cores() == 2
    for given, count in (("5", 5), ("4,2", 4), ("none", 2), ("0", 2)):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert available_cores() == count
