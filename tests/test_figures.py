"""Every figure is an image of its size, whatever the run came to, and changes with what it shows."""

import numpy as np
import pytest
import torch

from gaussgan.distributions import AffineGaussian, ring
from gaussgan.figures import (
    Cloud,
    game_figure,
    logit_figure,
    mixture_figure,
    portrait_figure,
    render,
    spectrum_figure,
)
from gaussgan.streams import normal, stream

HISTORY = [
    {"iteration": i, "train/loss_d": 0.6, "train/loss_g": 0.8, "val/w2": 1 / i, "val/sliced_w2": 1 / i, "val/modes": i}
    for i in (1, 2, 3)
]
SHAPE = (520, 1100, 3)
SCALES = [0.0, 1e30, torch.inf, torch.nan]


def game(d: int, scale: float, history: list[dict[str, float]] = HISTORY) -> np.ndarray:
    law = AffineGaussian(torch.eye(d), torch.zeros(d))
    points = law.sample(100, stream(0, "figure"))
    real = Cloud(points, law.mean, law.cov)
    fake = Cloud(points * scale, law.mean * scale, law.cov * scale**2)
    return render(game_figure(real, fake, lambda x: x[..., :1].sigmoid(), history, 0.1, "title"))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_every_dimension_has_a_picture(d: int) -> None:
    image = game(d, 0.5)
    assert image.shape == SHAPE
    assert (image != game(d, 1.0)).any()


@pytest.mark.parametrize("scale", SCALES)
def test_a_diverged_generator_has_one_too(scale: float) -> None:
    for d in (1, 2):
        game(d, scale, history=[])


def mixture(d: int, scale: float, history: list[dict[str, float]] = HISTORY) -> np.ndarray:
    law = ring(8, 1, 0.05)
    real = law.sample(200, stream(0, "figure")) if d == 2 else normal(200, d, generator=stream(0, "figure"))
    density = law.log_prob if d == 2 else None
    return render(mixture_figure(real, scale * real, density, history, "val/sliced_w2", "title"))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_mixture_in_every_dimension(d: int) -> None:
    image = mixture(d, 0.5)
    assert image.shape == SHAPE
    assert (image != mixture(d, 1.0)).any()
    for scale in SCALES:
        mixture(d, scale, history=[])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_logit_in_every_dimension(d: int) -> None:
    law = AffineGaussian(torch.eye(d), torch.zeros(d))

    def draw(slope: float) -> np.ndarray:
        functions = (lambda x: slope * x.sum(-1), lambda x: 2 - x.square().sum(-1))
        return render(logit_figure(*functions, law.mean, law.cov, "title", error=0.5))

    assert draw(1.0).shape == SHAPE
    assert (draw(1.0) != draw(-1.0)).any()
    draw(0.0)


@pytest.mark.parametrize("end", [0.0, 1e-20, 1e6, torch.nan])
def test_a_portrait_of_any_path(end: float) -> None:
    path = torch.linspace(0, 1, 50).unsqueeze(-1) * torch.tensor([[end - 1.0, end + 1.0]]) + torch.tensor([[1.0, -1.0]])
    assert render(portrait_figure(path, lambda x: -x, "title")).shape == SHAPE
    assert render(portrait_figure(path[:1], lambda x: -x, "title")).shape == SHAPE


def test_a_spectrum_within_and_outside_the_circle() -> None:
    values = torch.polar(torch.tensor([0.9, 0.9, 1.1]), torch.tensor([0.1, -0.1, 0.0])).to(torch.complex128)
    images = [render(spectrum_figure(factor * values, "title")) for factor in (1.0, 0.5)]
    assert images[0].shape == SHAPE
    assert (images[0] != images[1]).any()
    for bad in (torch.zeros(0, dtype=torch.complex128), values * torch.nan):
        render(spectrum_figure(bad, "title"))
