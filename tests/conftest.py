import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import hydra
import pytest
import torch
from omegaconf import DictConfig

from gaussgan.launch import launch

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)
os.environ["PYTHONFAULTHANDLER"] = "1"  # a process that a test starts says where it died

# Once in some hundred times a spawned rank aborts inside of torch or Python; why, has not been seen yet.
SPAWNS = pytest.mark.flaky(reruns=2, only_rerun="ProcessExitedException")


@pytest.fixture
def compose(tmp_path: Path) -> Callable[..., DictConfig]:
    """From overrides to the configuration of a quiet run on the CPU in `tmp_path / name`."""

    def compose(*overrides: str, name: str = "run") -> DictConfig:
        quiet = ["trainer=cpu", "trainer.enable_progress_bar=false", f"run_dir={tmp_path / name}"]
        with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return hydra.compose("train", [*quiet, *overrides])

    return compose


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The one line that a command line is refused with, without a process of its own."""

    def task(_: DictConfig) -> NoReturn:
        raise AssertionError("it was run")

    def refusal(*arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        with pytest.raises(SystemExit) as stop:
            launch(task, str(ROOT / "conf"), "train")
        told = str(stop.value.code)
        assert "\n" not in told
        return told

    return refusal
