import numpy as np
import pytest
import torch
from torch import Tensor

from gaussgan.distributions import AffineGaussian
from gaussgan.figures import Cloud, game_figure, logit_figure, mixture_figure, portrait_figure, render, spectrum_figure
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


def draw_mixture(d: int, scale: float, history: list[dict[str, float]]) -> np.ndarray:
    law = AffineGaussian(torch.eye(d), torch.zeros(d))
    real, fake = (law.sample(100, stream(0, name)) for name in ("real", "fake"))
    fake[::2] *= scale
    return render(mixture_figure(real, fake, law.log_prob, history, "val/w2", "title"))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_mixture_is_drawn_with_and_without_its_modes(d: int) -> None:
    image = draw_mixture(d, 1.0, HISTORY)
    assert image.shape == (520, 1100, 3)
    assert (image != draw_mixture(d, 1.0, [{**row, "val/modes": row["iteration"]} for row in HISTORY])).any()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_law_without_a_density_is_drawn_by_its_examples(d: int) -> None:
    real = torch.arange(100.0).reshape(-1, 1) * torch.ones(d)
    assert render(mixture_figure(real, real, None, [], "val/sliced_w2", "title")).shape == (520, 1100, 3)


@pytest.mark.parametrize("scale", [0.0, 1e30, torch.inf, torch.nan])
def test_a_mixture_is_drawn_whatever_is_generated(scale: float) -> None:
    last = dict.fromkeys(("train/loss_d", "train/loss_g", "val/w2", "val/modes"), scale) | {"iteration": 4}
    images = [draw_mixture(d, scale, history) for d, history in ((1, []), (2, [last]), (3, [*HISTORY, last]))]
    assert all(image.shape == (520, 1100, 3) and image.dtype == np.uint8 for image in images)


def bilinear(players: Tensor) -> Tensor:
    theta, psi = players.unbind(-1)
    return torch.stack([psi, -theta], -1)


@pytest.mark.parametrize("length", [0, 1, 2, 1000])
def test_a_trajectory_of_any_length_has_a_portrait(length: int) -> None:
    angle = torch.arange(length) / 10
    spiral = 0.99 ** torch.arange(length).unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], -1)
    image = render(portrait_figure(spiral, bilinear, "title"))
    assert image.shape == (520, 1100, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("end", [0.0, 1e30, torch.inf, torch.nan])
def test_a_diverged_game_has_one_too(end: float) -> None:
    trajectory = torch.tensor([[1.0, -1.0], [1.0, 0.0], [end, 1.0], [end, end]])
    assert render(portrait_figure(trajectory, bilinear, "title")).shape == (520, 1100, 3)
    assert render(portrait_figure(trajectory, lambda x: x * end, "title")).shape == (520, 1100, 3)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_logit_is_drawn_beside_the_optimal_one(d: int) -> None:
    def draw_logit(slope: float) -> np.ndarray:
        mean, cov = torch.zeros(d), torch.eye(d)
        return render(logit_figure(lambda x: slope * x.sum(-1), lambda x: x.sum(-1), mean, cov, "title", error=0.1))

    images = [draw_logit(slope) for slope in (0.5, 1e30, torch.inf, torch.nan)]
    assert all(image.shape == (520, 560 if d == 1 else 1100, 3) and image.dtype == np.uint8 for image in images)
    assert (images[0] != images[1]).any()


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [1 + 1e-5j, 1 - 1e-5j], [0.0, 1e30, 1j, -1.0], [torch.nan, 0.5], [torch.inf], [1 - 1e-12, 0.1]],
)
def test_a_spectrum_is_drawn_wherever_it_lies(values: list[complex]) -> None:
    image = render(spectrum_figure(torch.tensor(values, dtype=torch.complex128), "title"))
    assert image.shape == (520, 1100, 3)
    assert image.dtype == np.uint8
