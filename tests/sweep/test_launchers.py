"""A sweep on other processes: a failing and a killed job, the report, and the same command again."""

import copy
import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from conftest import PATIENCE, ROOT

QUICK = ("trainer=cpu", "data.num_examples=40", "trainer.max_epochs=4", "trainer.enable_progress_bar=false")
OPTIONS = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra.launcher.timeout_min=5", "hydra.launcher.signal_delay_s=10"],
    "ray": ["hydra.launcher.ray.init.num_cpus=2"],
}
pytestmark = pytest.mark.extra
LIBRARIES = {"joblib": "joblib", "submitit_local": "submitit", "ray": "ray"}
FATES = (("-1.0", "failed"), ("0.05", "completed"))


@dataclass
class Theirs:
    """The settings of a launcher of another package."""

    _target_: str = "theirs"
    n_jobs: int = -1


@pytest.fixture(params=LIBRARIES)
def launcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(directory: Path, launcher: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    places = [str(directory), str(ROOT / "tests" / "sweep"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", *QUICK, f"hydra/launcher={launcher}",
         "hydra.sweep.dir=sweep", *OPTIONS.get(launcher, []), *overrides],
        cwd=directory, capture_output=True, text=True, timeout=PATIENCE,
        env=os.environ | quiet | {"PYTHONPATH": os.pathsep.join(filter(None, places))},
    )  # fmt: skip


def test_paths_are_relative_to_the_directory_of_the_sweep(launcher: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *QUICK, "hydra.run.dir=start"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE)
    result = run(tmp_path, launcher, "init_from=start", "optimizer_d.lr=0.01,0.02")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 completed" in result.stdout


def test_a_sweep_with_failing_and_killed_jobs(launcher: str, tmp_path: Path) -> None:
    kill = f"+callbacks.kill={{_target_: killing.KillOnce, file: '{tmp_path / 'begun'}'}}"
    jobs = ("seed=0,1", "optimizer_d.lr=0.05,-1", kill, "callbacks.checkpoints.seconds=0")
    first = run(tmp_path, launcher, *jobs)
    assert first.returncode == 1, first.stderr
    assert "Traceback" not in first.stdout + first.stderr
    assert "A task is lost and will be tried again: " in first.stdout
    assert "4 jobs: 2 completed, 2 failed" in first.stderr
    with (tmp_path / "sweep" / "sweep.csv").open() as file:  # what the report has gathered
        rows = [(row["optimizer_d.lr"], row["seed"], row["status"]) for row in csv.DictReader(file)]
    assert sorted(rows) == [(rate, seed, end) for rate, end in FATES for seed in "01"]
    assert sorted((tmp_path / "begun").read_text().split()) == ["0", "0", "3"]  # the killed job went on
    records = {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep").glob("[02]/metrics.json")}
    again = run(tmp_path, launcher, *jobs)
    assert "Launching 2 jobs, 2 are done" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in records} == records


def test_a_task_is_a_group_of_jobs(tmp_path: Path) -> None:
    """Eight jobs that differ only in numbers are divided between two processes."""
    ended = run(tmp_path, "joblib", "seed=range(4)", "optimizer_d.lr=0.02,0.05")
    assert ended.returncode == 0, ended.stderr
    logs = [path.read_text() for path in sorted((tmp_path / "sweep").glob("*/train.log"))]
    assert [re.findall(r"Training (\d+) runs together.*: (.*)", text)[0] for text in logs] == [
        ("4", "#0–#3" if i < 4 else "#4–#7") for i in range(8)
    ]
    assert not (tmp_path / "sweep" / ".groups").exists()


def test_other_launchers_need_none_of_the_libraries(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "atexit.register(lambda: print({'joblib', 'submitit', 'ray', 'optuna'} & {*sys.modules}, file=sys.stderr))\n"
    )
    ended = run(tmp_path, "vectorized", "seed=0,1")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == "set()"


def test_the_files_in_conf_win_over_installed_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    Plugins.instance()  # imports all plugins, whose settings then are in the store
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", copy.deepcopy(store.repo))
    for name in LIBRARIES:
        store.store(group="hydra/launcher", name=name, node=Theirs, provider="hydra_joblib_launcher")
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for name in LIBRARIES:
            config = hydra.compose("train", [f"hydra/launcher={name}"], return_hydra_config=True)
            assert config.hydra.launcher._target_.startswith("hydra_plugins.gaussgan_launchers.")


@pytest.mark.parametrize(
    "overrides, line",
    [
        ("hydra/launcher=joblib hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs must be a whole number other than 0"),
        ("hydra/launcher=joblib +hydra.launcher.n_job=2", "unknown key hydra.launcher.n_job; did you mean"),
        ("hydra/launcher=vectorized +hydra.launcher.n_jobs=2", "unknown key hydra.launcher.n_jobs"),
        ("hydra/launcher=submitit_local hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s must be below"),
        ("hydra/launcher=ray +hydra.launcher.ray.init.adress=auto", "unknown key hydra.launcher.ray.init.adress; did"),
    ],
)
def test_a_mistake_is_one_line(complaint: Callable[[str], str], overrides: str, line: str) -> None:
    assert complaint(f"-m seed=0,1 {overrides}").startswith(line)
