import numpy as np
import pytest
import torch

from gaussgan.distributions import AffineGaussian
from gaussgan.figures import Cloud, game_figure, render
from gaussgan.streams import stream

HISTORY = [{"iteration": i, "train/loss_d": 0.6, "train/loss_g": 0.8, "val/w2": 1 / i} for i in (1, 2, 3)]


def draw(d: int, scale: float, history: list[dict[str, float]] = HISTORY) -> np.ndarray:
    law = AffineGaussian(torch.eye(d), torch.zeros(d))
    points = law.sample(100, stream(0, "figure"))
    real = Cloud(points, law.mean, law.cov)
    fake = Cloud(points * scale, law.mean * scale, law.cov * scale**2)
    return render(game_figure(real, fake, lambda x: x[..., :1].sigmoid(), history, 0.1, "title"))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_every_dimension_has_a_picture(d: int) -> None:
    image = draw(d, 0.5)
    assert image.shape == (520, 1100, 3)
    assert (image != draw(d, 1.0)).any()


@pytest.mark.parametrize("scale", [0.0, 1e30, torch.inf, torch.nan])
def test_a_diverged_generator_has_one_too(scale: float) -> None:
    for d in (1, 2):
        draw(d, scale, history=[])
