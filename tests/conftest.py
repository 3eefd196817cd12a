import os
import re
import runpy
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

import hydra
import pytest
import torch
from omegaconf import DictConfig

ROOT = Path(__file__).resolve().parents[1]

PATIENCE = 600  # seconds for another process: on a busy machine imports alone take a minute
# What a cluster's job, a terminal or a person's habits would tell the programs under test.
FOREIGN = re.compile("SLURM_.*|(LOCAL_|GROUP_|NODE_)?RANK|WORLD_SIZE|HYDRA_FULL_ERROR|FORCE_COLOR|TTY_.*|COLUMNS")

torch.set_num_threads(1)
for name in filter(FOREIGN.fullmatch, [*os.environ]):
    del os.environ[name]
os.environ["PYTHONFAULTHANDLER"] = "1"  # a process that a test starts says where it died

# Once in some hundred times a spawned rank aborts inside of torch or Python; why, has not been seen yet.
SPAWNS = pytest.mark.flaky(reruns=2, only_rerun="ProcessExitedException")


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make every second case of a test with the mark `every_second` an extra."""
    seen: Counter[str] = Counter()
    for item in items:
        if item.get_closest_marker("every_second"):
            test = item.nodeid.partition("[")[0]
            if seen[test] % 2:
                item.add_marker(pytest.mark.extra)
            seen[test] += 1


@pytest.fixture(autouse=True)
def heeded_signals() -> Iterator[None]:
    """Under nohup and in a script's background processes begin with signals ignored, which runs leave so."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {signum: signal.signal(signum, handler) for signum, handler in usual.items()}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def options(group: str) -> list[str]:
    """The names of the YAML files of a config group."""
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml") if path.stem != "base")


def cyclic(*columns: Sequence[Any], times: int) -> list[tuple[Any, ...]]:
    """Rows in which each choice of each column occurs at least `times` times, each time beside other choices."""
    rows = range(times * max(map(len, columns)))
    return [
        tuple(column[(n + n // len(column) * j + j) % len(column)] for j, column in enumerate(columns)) for n in rows
    ]


@cache
def composed(*overrides: str) -> DictConfig:
    """What Hydra composes, which takes it as long as a small run."""
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("train", ["trainer=cpu", "trainer.enable_progress_bar=false", *overrides])


@pytest.fixture
def compose(tmp_path: Path) -> Callable[..., DictConfig]:
    """From overrides to the configuration of a quiet run on the CPU in `tmp_path / name`."""

    def compose(*overrides: str, name: str = "run") -> DictConfig:
        cfg = composed(*overrides).copy()
        cfg.run_dir = str(tmp_path / name)
        return cfg

    return compose


@pytest.fixture
def evaluated(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What scripts/evaluate.py says of a run, but of few samples."""
    from gaussgan.runs import evaluate

    monkeypatch.setattr(evaluate, "compare", partial(evaluate.compare, sizes=(100,)))

    def evaluated(run: str, *options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["evaluate.py", run, *options, "--permutations", "19"])
        monkeypatch.setattr(sys, "path", [*sys.path])
        capsys.readouterr()
        runpy.run_path(str(ROOT / "scripts" / "evaluate.py"), run_name="__main__")
        return capsys.readouterr().out

    return evaluated


@pytest.fixture
def complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """From a command line to the one line that it is refused with. Nothing is run, and all files stay as they were."""

    from gaussgan.cli.launch import launch  # which reads the environment

    def task(_: DictConfig) -> NoReturn:
        raise AssertionError("it was run")

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def complaint(arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["train.py", *shlex.split(arguments)])
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr("gaussgan.sweep.sweep.sweeps", [])  # those of earlier tests
        before = files()
        with pytest.raises(SystemExit) as stop:
            launch(task, str(ROOT / "conf"), "train")
        line = str(stop.value.code)
        assert "\n" not in line
        assert files() == before
        return line

    return complaint
