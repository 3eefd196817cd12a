"""A run from the command line is assembled once."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PATIENCE, ROOT
from gaussgan.runs.record import read_record

COUNTING = """
import sys
from gaussgan.cli.launch import launch
from gaussgan.setup import assemble

def counting(function):
    def counted(*args, **kwargs):
        print("called", function.__name__)
        return function(*args, **kwargs)
    return counted

for name in ("make_trainer", "check_memory", "make_loggers"):
    setattr(assemble, name, counting(getattr(assemble, name)))

def task(cfg):
    from gaussgan.train import train
    return train(cfg)

launch(task, sys.argv.pop(1), "train")
"""


@pytest.mark.parametrize("overrides", [[], ["replicas=3", "hydra.run.dir=sub/../there"]])
def test_a_run_is_assembled_once(tmp_path: Path, overrides: list[str]) -> None:
    quick = ["trainer=cpu", "trainer.max_steps=2", "~callbacks.pictures", "trainer.enable_progress_bar=false"]
    command = [sys.executable, "-c", COUNTING, str(ROOT / "conf"), *quick, *overrides]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    for name in ("make_trainer", "check_memory", "make_loggers"):
        assert result.stdout.count(f"called {name}") == 1
    (record,) = tmp_path.rglob("metrics.json")
    assert read_record(record.parent)["status"] == "completed"


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf" / "debug").glob("*.yaml")))
@pytest.mark.extra  # it takes long
def test_every_debug_option_trains_from_the_command_line(tmp_path: Path, name: str) -> None:
    quick = ["trainer=cpu", "data.num_examples=16", "trainer.enable_progress_bar=false", f"debug={name}"]
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *quick, "hydra.run.dir=run"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "fit-profile.txt").exists() == (name == "profiler")
