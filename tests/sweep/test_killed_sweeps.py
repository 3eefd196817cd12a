"""A sweep that was killed goes on by the same command, to the same results as a sweep that was never disturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import PATIENCE, ROOT

pytestmark = pytest.mark.extra  # they take long
RATES = [0.01 + i / 1000 for i in range(9)] + [-1, -2]  # two jobs fail
QUICK = ("trainer=cpu", "data.num_examples=400", "trainer.max_epochs=8", "trainer.enable_progress_bar=false")
TIMED = ("seconds", "examples_per_second", "git_commit", "git_dirty")


def start(directory: Path, launcher: str, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", *QUICK, "seed=3"]
    command += [f"optimizer_d.lr={','.join(map(str, RATES))}", f"hydra/launcher={launcher}", *overrides]
    return subprocess.Popen(
        [*command, f"hydra.sweep.dir={directory}"],
        cwd=directory.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stop_when(process: subprocess.Popen[str], condition: Callable[[], bool], signum: int) -> None:
    """Send a signal to all processes of the command as soon as the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signum)
    process.communicate(timeout=PATIENCE)


def records(directory: Path) -> dict[str, Any]:
    """Return the records of a sweep by their learning rates, without what differs between machines and times."""
    texts = [path.read_text() for path in directory.glob("*/metrics.json")]
    found = {record["settings"]["optimizer_d.lr"]: record for record in map(json.loads, texts)}
    assert len(found) == len(texts)
    return {rate: {**record, **dict.fromkeys(TIMED)} for rate, record in found.items()}


def completed(directory: Path) -> int:
    return sum('"completed"' in path.read_text() for path in directory.glob("*/metrics.json"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("undisturbed")
    results = {}
    for launcher in ("basic", "vectorized"):
        process = start(directory / launcher, launcher)
        errors = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 1, errors
        assert "11 jobs: 9 completed, 2 failed" in errors
        results[launcher] = records(directory / launcher)
    return results


def test_a_basic_sweep_that_is_killed_twice(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    stop_when(start(directory, "basic"), lambda: completed(directory) >= 2, signal.SIGKILL)
    left = [*directory.glob("*/metrics.json")]
    assert 2 <= len(left) < 11
    finished = {path: path.stat().st_mtime_ns for path in left if '"completed"' in path.read_text()}
    stop_when(start(directory, "basic"), lambda: completed(directory) >= 5, signal.SIGTERM)
    process = start(directory, "basic", "hydra.launcher.dry_run=true")
    assert (process.communicate(timeout=PATIENCE), process.returncode)[1] == 0
    process = start(directory, "basic")
    errors = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 1, errors
    assert "11 jobs: 9 completed, 2 failed" in errors
    assert records(directory) == undisturbed["basic"]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # what was done is left as it was


@pytest.mark.parametrize("where", ["in the training", "while the runs are written"])
def test_a_vectorized_sweep_that_is_killed(undisturbed: dict[str, Any], tmp_path: Path, where: str) -> None:
    directory = tmp_path / "sweep"

    def trained() -> bool:
        return any(int(path.stem) >= 100 for path in directory.glob(".groups/*/checkpoints/[1-9]*.ckpt"))

    condition = trained if where == "in the training" else lambda: completed(directory) >= 2
    stop_when(start(directory, "vectorized"), condition, signal.SIGKILL)
    assert [*directory.glob(".groups/*")]
    process = start(directory, "vectorized")
    errors = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 1, errors
    assert records(directory) == undisturbed["vectorized"]
    assert not (directory / ".groups").exists()


def test_a_sweep_grows(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """The jobs of the larger sweep have other numbers. What the smaller one has done is not done again."""
    directory = tmp_path / "sweep"
    some = f"optimizer_d.lr={RATES[4]},{RATES[1]},{RATES[-1]}"  # the last of two values counts
    start(directory, "vectorized", some).communicate(timeout=PATIENCE)
    before = {path.name: (path / "metrics.json").stat().st_mtime_ns for path in directory.glob("[0-9]*")}
    assert before.keys() == {"0", "1", "2"}
    other = start(directory, "vectorized", "objective=hinge")
    line = other.communicate(timeout=PATIENCE)[1].splitlines()[-1]
    assert (other.returncode, line) == (
        1,
        f"hydra.sweep.dir: {directory} holds another sweep, with objective=NonSaturating (got Hinge); repeat its"
        " overrides, or choose another directory",
    )
    assert start(directory, "basic").wait(PATIENCE) == 1
    found = records(directory)
    assert found.keys() == undisturbed["basic"].keys()
    for name in ("0", "1"):
        assert (directory / name / "metrics.json").stat().st_mtime_ns == before[name]
    new = found.keys() - {RATES[4], RATES[1]}
    assert {rate: found[rate] for rate in new} == {rate: undisturbed["basic"][rate] for rate in new}
