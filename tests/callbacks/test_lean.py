"""With callbacks=lean, a run leaves its record and one checkpoint, and can be resumed and loaded like any other."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from conftest import PATIENCE, ROOT
from gaussgan import load_run
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.runs.directory import LAST
from gaussgan.runs.record import read_record
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=40", "trainer.max_epochs=2")
ALONE = ("callbacks=lean", "logger=none", "hydra.output_subdir=null", "hydra/job_logging=stdout")
FILES = {"metrics.json", "checkpoints/last.ckpt"}


def files(directory: Path | str) -> set[str]:
    found = {str(path.relative_to(directory)) for path in Path(directory).rglob("*") if path.is_file()}
    return found - {".lock"}  # an empty file


@pytest.mark.parametrize("overrides, tables", [((), set()), (("replicas=2",), {"replicas.csv", "groups.csv"})])
def test_a_lean_run_leaves_what_cannot_be_made_again(
    compose: Compose, overrides: tuple[str, ...], tables: set[str]
) -> None:
    cfg = compose(*SMALL, "callbacks=lean", "logger=none", *overrides)
    check(cfg)
    train(cfg)
    assert files(cfg.run_dir) == FILES | tables
    whole = compose(*SMALL, "logger=none", *overrides, name="whole")
    train(whole)
    assert files(whole.run_dir) == FILES | tables | {"history.csv", "checkpoints/best.ckpt", "figures/final.png"}
    records = [read_record(Path(each.run_dir)) for each in (cfg, whole)]
    for key in {*records[0]} - {"seconds", "examples_per_second"}:
        assert records[0][key] == records[1][key], key


@pytest.mark.parametrize("stop", [3, 5])
def test_a_lean_run_resumes_anywhere(compose: Compose, stop: int) -> None:
    recipe = (*SMALL, "callbacks=lean", "logger=none")
    train(compose(*recipe, name="whole"))
    part = compose(*recipe, f"trainer.max_steps={stop}", "data.steps_per_execution=1", name="part")
    train(part)
    for name in ("part", "moved"):
        train(compose(*recipe, f"ckpt_path={part.run_dir}/{LAST}", name=name))
        directory = Path(part.run_dir).with_name(name)
        assert files(directory) == FILES
        ours, theirs = load_run(directory), load_run(directory.with_name("whole"))
        assert ours.iterations == theirs.iterations == 10
        torch.testing.assert_close(ours.generator.state_dict(), theirs.generator.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("key", ["checkpoints.best", "record.history"])
def test_what_a_run_leaves_is_true_or_false(compose: Compose, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"callbacks\.{key} must be true or false \(got 'some'\)"):
        check(compose("callbacks=lean", f"callbacks.{key}=some"))


@pytest.mark.extra  # it takes long
def test_a_whole_sweep_leaves_nothing_else(tmp_path: Path) -> None:
    def start(launcher: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", "trainer=cpu", "seed=0,1", *SMALL, *ALONE]
        command += [f"hydra/launcher={launcher}", f"hydra.sweep.dir={launcher}", "trainer.enable_progress_bar=false"]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    processes = {launcher: start(launcher) for launcher in ("basic", "vectorized")}
    for launcher, process in processes.items():
        output = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, output
        assert ("Training 2 runs together" in output) == (launcher == "vectorized")
        for job in ("0", "1"):
            assert files(tmp_path / launcher / job) == FILES
            assert read_record(tmp_path / launcher / job)["status"] == "completed"
