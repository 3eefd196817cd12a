import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.aggregate import quantiles
from gaussgan.distributions import AffineGaussian
from gaussgan.figures import (
    Cloud,
    game_figure,
    logit_figure,
    mixture_figure,
    portrait_figure,
    render,
    replicas_figure,
    spectrum_figure,
)
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


def draw_replicas(
    scores: Tensor, d: int = 2, steps: int = 20, floor: float = 0.1, laws: bool = True, stray: float = 1.0
) -> Figure:
    """Of replicas whose distance falls from 3 to its end; stray ones' laws are so many times as wide."""
    replicas, cov = len(scores), torch.eye(d, dtype=torch.float64)
    means = torch.randn(replicas, d, generator=stream(0, "means"))
    widths = torch.where(torch.arange(replicas) % 2 == 0, 1.0, stray).reshape(-1, 1, 1)
    figure = replicas_figure(
        scores=scores,
        floors=floor * torch.linspace(0.5, 2, replicas) if floor else None,
        iterations=range(1, steps + 1),
        quantiles=quantiles(3 * (scores.unsqueeze(-1) / 3) ** torch.linspace(0, 1, steps)),
        law=(torch.zeros(d), cov) if laws else None,
        learned=(means, widths * cov) if laws else None,
        tag="val/w2" if floor else "val/sliced_w2",
        title="title",
    )
    image = render(figure)
    assert image.shape == (520, 1100, 3)
    assert image.dtype == np.uint8
    limits = np.array([(*axes.get_xlim(), *axes.get_ylim()) for axes in figure.axes])
    assert np.isfinite(limits).all()
    assert (limits[:, [0, 2]] < limits[:, [1, 3]]).all()
    return figure


LOGNORMAL = torch.randn(1000, generator=stream(0, "scores")).mul(0.6).exp()


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("stray", [0.0, 1.0, 1e30, torch.inf, torch.nan])
def test_replicas_are_drawn_wherever_they_went(d: int, stray: float) -> None:
    draw_replicas(LOGNORMAL, d, stray=stray)


@pytest.mark.parametrize(
    "scores", [[0.3, 0.5], [0.3, 0.3], [torch.nan, 0.3], [0.3, torch.inf, 1e30, 0.0], [0.0, 0.0], [torch.nan] * 3]
)
def test_replicas_are_drawn_whatever_their_scores(scores: list[float]) -> None:
    draw_replicas(torch.tensor(scores))


@pytest.mark.parametrize("scores", [LOGNORMAL, torch.tensor([0.3, torch.nan]), torch.full((3,), torch.nan)])
@pytest.mark.parametrize("floor", [0.0, 0.1, torch.nan])
@pytest.mark.parametrize("steps", [0, 1])
def test_replicas_are_drawn_without_laws_floors_or_iterations(scores: Tensor, floor: float, steps: int) -> None:
    assert len(draw_replicas(scores, floor=floor, steps=steps).axes) == 3
    assert len(draw_replicas(scores, floor=floor, steps=steps, laws=False).axes) == 2


@pytest.mark.parametrize("lost", [0, 37, 300, 600])
def test_the_percentiles_in_the_picture_are_those_of_the_numbers(lost: int) -> None:
    scores = LOGNORMAL.clone()
    scores[:lost] = torch.nan
    _, shares, course = draw_replicas(scores, steps=3).axes
    _, median, most = quantiles(scores.nan_to_num(nan=torch.inf)).tolist()
    dots = [line.get_xydata()[0] for line in shares.lines if line.get_marker() == "o"][2:]  # after the floors'
    expected = [(x, y) for x, y in ((median, 0.5), (most, 0.9)) if np.isfinite(x)]
    assert np.ravel(dots) == pytest.approx(np.ravel(expected))
    words = {text.get_text() for text in shares.texts}
    assert (f"median {median:.3g}" in words) == (lost < 500)
    assert (f"90% below {most:.3g}" in words) == (lost < 100)
    assert (f"infinite for {lost} that diverged" in shares.get_xlabel()) == (lost > 0)
    curve = shares.lines[-1 - len(expected)].get_ydata()
    assert max(curve) == pytest.approx(1 - lost / 1000)
    end = course.lines[0].get_ydata()[-1]
    assert end == pytest.approx(median) if lost < 500 else end > course.get_ylim()[1]


def test_ten_thousand_replicas_take_no_more_shapes_than_a_thousand() -> None:
    figures = (draw_replicas(LOGNORMAL.repeat(n), stray=1e30) for n in (1, 10))
    few, many = (sum(len(axes.get_children()) for axes in figure.axes) for figure in figures)
    assert few == many < 500
