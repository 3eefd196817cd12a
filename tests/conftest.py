from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import DictConfig

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)


@pytest.fixture
def compose(tmp_path: Path) -> Callable[..., DictConfig]:
    """From overrides to the configuration of a quiet run on the CPU in `tmp_path / name`."""

    def compose(*overrides: str, name: str = "run") -> DictConfig:
        quiet = ["trainer=cpu", "trainer.enable_progress_bar=false", f"run_dir={tmp_path / name}"]
        with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return hydra.compose("train", [*quiet, *overrides])

    return compose
