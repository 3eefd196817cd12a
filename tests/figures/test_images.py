"""Figures of images, and axes in the units of a file."""

import math

import pytest
import torch
from matplotlib.image import AxesImage

from gaussgan.callbacks.image_drawing import over_time, slerp
from gaussgan.data.layout import Layout
from gaussgan.evaluation.pairwise import nearest
from gaussgan.figures import Verdict, images_figure, mixture_figure, render
from gaussgan.figures.images import Strip, tiled
from gaussgan.figures.style import Unit
from gaussgan.rng import normal, stream

HISTORY = [{"iteration": i, "train/loss_d": 0.6, "train/loss_g": 0.8, "val/frechet": 1 / i} for i in (1, 2, 3)]


def test_images_lie_in_rows_with_white_lines_between_them() -> None:
    sheet = tiled(torch.arange(5).view(-1, 1, 1).expand(5, 2, 3) / 5, columns=2)
    assert sheet.shape == (3 * 3 - 1, 2 * 4 - 1)
    assert [int(sheet[3 * (i // 2), 4 * (i % 2)]) for i in range(5)] == [51 * i for i in range(5)]
    assert (sheet[2] == 255).all()
    assert (sheet[:, 3] == 255).all()
    assert (sheet[6:, 4:] == 255).all()
    assert tiled(torch.rand(4, 2, 2, 3), columns=2).shape == (5, 5, 3)
    assert (tiled(torch.full((1, 2, 2), torch.nan), columns=1) == 128).all()


def test_the_nearest_training_example_is_the_one_of_all_pairs() -> None:
    rng = stream(0, "test")
    train, samples = normal(9_000, 4, generator=rng), normal(20, 4, generator=rng)
    samples[3] = train[8_500]
    distances = (samples.unsqueeze(1) - train).square().sum(-1)
    assert nearest(samples, train)[1].equal(distances.argmin(-1))


def test_an_interpolation_goes_along_a_great_circle() -> None:
    a, b = (normal(5, 1, 6, generator=stream(seed, "test")).double() for seed in (0, 1))
    a, b = a / a.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True)
    path = slerp(a, b, torch.linspace(0, 1, 7, dtype=torch.float64).view(1, 7, 1))
    torch.testing.assert_close(path[:, 0], a[:, 0])
    torch.testing.assert_close(path[:, -1], b[:, 0])
    torch.testing.assert_close(path.norm(dim=-1), torch.ones(5, 7, dtype=torch.float64))
    steps = (path[:, 1:] * path[:, :-1]).sum(-1).acos()
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))


def layout(channels: int) -> Layout:
    d = channels * 16
    zero, one = torch.zeros(d, dtype=torch.float64), torch.ones(d, dtype=torch.float64)
    return Layout(tuple(map(str, range(d))), zero, one, zero - 1, one, (channels, 4, 4))


def test_fixed_latents_are_shown_over_time() -> None:
    samples = torch.linspace(-1, 1, 100).view(-1, 1, 1).expand(100, 5, 16)
    strip = over_time(layout(1), samples, [*range(100)])
    rows, columns = strip.images.shape[:2]
    assert rows == 2
    assert 10 < columns <= 18
    assert (strip.columns[0], strip.columns[columns - 1]) == ("0", "99")
    assert bool((strip.images.diff(dim=1) > 0).all())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strips", [0, 1, 3])
def test_a_figure_shows_its_samples(channels: int, strips: int) -> None:
    shape = (4, 4) if channels == 1 else (4, 4, 3)
    samples = torch.rand(36, *shape)
    rows = [Strip(str(i), torch.rand(2, 18, *shape), {0: "0", 17: "17"}) for i in range(strips)]
    figure = images_figure(samples, rows, HISTORY, True, "val/frechet", "title", 0.2, "remark")
    image = render(figure)
    assert image.shape[1] == 1100
    first = next(each for each in figure.axes[0].get_children() if isinstance(each, AxesImage))
    assert (first.get_array() == tiled(samples, 6)).all()  # type: ignore[union-attr]
    low = min(axes.get_window_extent().y0 for axes in figure.axes)
    assert low >= 0  # nothing is cut off
    for a, b in zip(figure.axes[3:], figure.axes[4:], strict=False):
        assert a.get_window_extent().y0 > b.get_window_extent().y1


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0])
def test_a_diverged_generator_of_images_has_a_figure(value: float) -> None:
    pixels = layout(1).pixels(torch.full((36, 16), value))
    render(
        images_figure(pixels, [Strip("", pixels.unflatten(0, (2, 18)))], [], False, "val/frechet", "title", math.nan)
    )


@pytest.mark.parametrize("d", [1, 2])
def test_axes_have_the_units_of_the_file(d: int) -> None:
    """A column with mean 50,000 and standard deviation 10,000."""
    x, verdict = normal(500, d, generator=stream(0, "test")), Verdict(lambda x: x[..., :1], True)
    units = [Unit("income", 50_000, 10_000), Unit("rate", 0.1, 0.01)][:d]
    figure = mixture_figure(x, x, None, verdict, [], "val/sliced_w2", "title", units=units)
    axes = figure.axes[0]
    assert axes.get_xlabel() == "income"
    for place, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        assert float(text.get_text().replace(",", "")) == pytest.approx(50_000 + 10_000 * place)
    assert "40,000" in {text.get_text() for text in axes.get_xticklabels()}
    if d == 2:
        assert axes.get_ylabel() == "rate"
        assert "0.1" in {text.get_text() for text in axes.get_yticklabels()}


def test_the_baseline_is_a_level_of_the_distance() -> None:
    x, history = torch.rand(50, 2), [{"iteration": 1, "train/loss_d": 1, "train/loss_g": 1, "val/sliced_w2": 0.5}]
    verdict = Verdict(lambda x: x[..., :1], True)
    figure = mixture_figure(x, x, None, verdict, history, "val/sliced_w2", "title", baseline=0.125)
    assert any("baseline: 0.125" in text.get_text() for axes in figure.axes for text in axes.texts)
