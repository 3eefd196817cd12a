"""The published Dirac-GAN through the whole stack: Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from gaussgan.train import train

ALTERNATING: list[str] = []
SIMULTANEOUS = ["update=simultaneous"]


@pytest.mark.parametrize(
    "overrides, update, r",
    [
        (["objective=minimax"], SIMULTANEOUS, "3.097e+00"),
        (["objective=minimax"], ALTERNATING, "1.421e+00"),
        (["objective=nonsaturating"], SIMULTANEOUS, "6.402e-01"),
        (["objective=nonsaturating"], ALTERNATING, "2.839e-01"),
        (["objective=minimax", "penalty=r1", "penalty.weight=0.3"], SIMULTANEOUS, "2.643e-06"),
        (["objective=minimax", "penalty=r1", "penalty.weight=0.3"], ALTERNATING, "2.301e-07"),
        (["objective=minimax", "penalty=r1", "penalty.weight=1"], SIMULTANEOUS, "9.529e-22"),
        (["objective=minimax", "penalty=r1", "penalty.weight=1"], ALTERNATING, "7.481e-17"),
    ],
)
def test_distance_from_the_equilibrium_after_500_iterations(
    compose: Callable[..., DictConfig], overrides: list[str], update: list[str], r: str
) -> None:
    alternating = [] if update else ["update.generator_first=true"]
    quiet = ["~callbacks.pictures", "~callbacks.spectrum", "data.steps_per_execution=50"]
    cfg = compose("experiment=dirac", *overrides, *update, *alternating, *quiet)
    train(cfg)
    record = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert record["iterations"] == 500
    assert f"{record['val/distance']:.3e}" == r
