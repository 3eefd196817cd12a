import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from torch import Tensor

from gaussgan.config.per_replica import grouped
from gaussgan.data.distributions import AffineGaussian, ring
from gaussgan.evaluation.summary import quantiles
from gaussgan.figures import (
    Cloud,
    Verdict,
    efficiency,
    game_figure,
    logit_figure,
    mixture_figure,
    portrait_figure,
    render,
    replicas_figure,
    spectrum_figure,
)
from gaussgan.figures.curves import draw_history
from gaussgan.figures.style import decades, level, sheet
from gaussgan.rng import stream

FIRST = Verdict(lambda x: x[..., :1], probability=True)
HISTORY = [{"iteration": i, "train/loss_d": 0.6, "train/loss_g": 0.8, "val/w2": 1 / i} for i in (1, 2, 3)]


def draw(d: int, scale: float, history: list[dict[str, float]] = HISTORY) -> np.ndarray:
    true = AffineGaussian(torch.eye(d), torch.zeros(d))
    points = true.sample(100, stream(0, "figure"))
    real = Cloud(points, true.mean, true.cov)
    fake = Cloud(points * scale, true.mean * scale, true.cov * scale**2)
    return render(game_figure(real, fake, FIRST, history, 0.1, "title"))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_every_dimension_has_a_figure(d: int) -> None:
    image = draw(d, 0.5)
    assert image.shape == (520, 1100, 3)
    assert (image != draw(d, 1.0)).any()


@pytest.mark.parametrize("scale", [0.0, 1e30, torch.inf, torch.nan])
def test_a_diverged_generator_has_a_figure(scale: float) -> None:
    for d in (1, 2):
        draw(d, scale, history=[])


def draw_mixture(d: int, scale: float, history: list[dict[str, float]]) -> np.ndarray:
    true = AffineGaussian(torch.eye(d), torch.zeros(d))
    real, fake = (true.sample(100, stream(0, name)) for name in ("real", "fake"))
    fake[::2] *= scale
    return render(mixture_figure(real, fake, true.log_prob, FIRST, history, "val/w2", "title"))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_mixture_is_drawn_with_and_without_its_modes(d: int) -> None:
    image = draw_mixture(d, 1.0, HISTORY)
    assert image.shape == (520, 1100, 3)
    assert (image != draw_mixture(d, 1.0, [{**row, "val/modes": row["iteration"]} for row in HISTORY])).any()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_distribution_without_a_density_is_drawn_by_its_examples(d: int) -> None:
    real = torch.arange(100.0).reshape(-1, 1) * torch.ones(d)
    assert render(mixture_figure(real, real, None, FIRST, [], "val/sliced_w2", "title")).shape == (520, 1100, 3)


@pytest.mark.parametrize("scale", [0.0, 1e30, torch.inf, torch.nan])
def test_a_mixture_is_drawn_for_any_generated_examples(scale: float) -> None:
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
def test_a_diverged_game_has_a_portrait(end: float) -> None:
    trajectory = torch.tensor([[1.0, -1.0], [1.0, 0.0], [end, 1.0], [end, end]])
    assert render(portrait_figure(trajectory, bilinear, "title")).shape == (520, 1100, 3)
    assert render(portrait_figure(trajectory, lambda x: x * end, "title")).shape == (520, 1100, 3)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_logit_is_drawn_with_the_optimal_logit(d: int) -> None:
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
def test_any_spectrum_is_drawn(values: list[complex]) -> None:
    image = render(spectrum_figure(torch.tensor(values, dtype=torch.complex128), "title"))
    assert image.shape == (520, 1100, 3)
    assert image.dtype == np.uint8


def draw_replicas(
    scores: Tensor,
    d: int = 2,
    steps: int = 20,
    floor: float = 0.1,
    distributions: bool = True,
    stray: float = 1.0,
    settings: Sequence[dict[str, Any]] = (),
) -> Figure:
    """Draw replicas whose distance falls from 3 to the score. Some distributions are wider by the factor `stray`."""
    replicas, cov = len(scores), torch.eye(d, dtype=torch.float64)
    means = torch.randn(replicas, d, generator=stream(0, "means"))
    widths = torch.where(torch.arange(replicas) % 2 == 0, 1.0, stray).reshape(-1, 1, 1)
    figure = replicas_figure(
        scores=scores,
        floors=floor * torch.linspace(0.5, 2, replicas) if floor else None,
        iterations=range(1, steps + 1),
        course=lambda members: quantiles(3 * (scores[members].unsqueeze(-1) / 3) ** torch.linspace(0, 1, steps)),
        true=(torch.zeros(d), cov) if distributions else None,
        learned=(means, widths * cov) if distributions else None,
        alive=range(replicas),
        groups=grouped(settings or [{}] * replicas),
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


@pytest.mark.every_second
@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("stray", [0.0, 1.0, 1e30, torch.inf, torch.nan])
def test_replicas_are_drawn_at_any_distance(d: int, stray: float) -> None:
    draw_replicas(LOGNORMAL, d, stray=stray)


@pytest.mark.parametrize(
    "scores", [[0.3, 0.5], [0.3, 0.3], [torch.nan, 0.3], [0.3, torch.inf, 1e30, 0.0], [0.0, 0.0], [torch.nan] * 3]
)
def test_replicas_are_drawn_with_any_scores(scores: list[float]) -> None:
    draw_replicas(torch.tensor(scores))


@pytest.mark.every_second
@pytest.mark.parametrize("scores", [LOGNORMAL, torch.tensor([0.3, torch.nan]), torch.full((3,), torch.nan)])
@pytest.mark.parametrize("floor", [0.0, 0.1, torch.nan])
@pytest.mark.parametrize("steps", [0, 1])
def test_replicas_are_drawn_without_distributions_floors_or_iterations(
    scores: Tensor, floor: float, steps: int
) -> None:
    assert len(draw_replicas(scores, floor=floor, steps=steps).axes) == 3
    assert len(draw_replicas(scores, floor=floor, steps=steps, distributions=False).axes) == 2


@pytest.mark.parametrize("lost", [0, 37, 300, 600])
def test_the_percentiles_in_the_figure_are_correct(lost: int) -> None:
    scores = LOGNORMAL.clone()
    scores[:lost] = torch.nan
    _, shares, course = draw_replicas(scores, steps=3).axes
    _, median, most = quantiles(scores.nan_to_num(nan=torch.inf)).tolist()
    dots = [line.get_xydata()[0] for line in shares.lines if line.get_marker() == "o"][2:]  # without the baseline's two
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


def test_ten_thousand_replicas_need_no_more_shapes_than_a_thousand() -> None:
    figures = (draw_replicas(LOGNORMAL.repeat(n), stray=1e30) for n in (1, 10))
    few, many = (sum(len(axes.get_children()) for axes in figure.axes) for figure in figures)
    assert few == many < 500


def test_the_values_of_a_critic_have_their_own_scale() -> None:
    true = AffineGaussian(torch.eye(2), torch.zeros(2))
    real, fake = (
        true.sample(100, stream(0, "real")),
        true.sample(100, stream(0, "fake")) + torch.tensor([4.0, 0.0]),
    )

    def drawn(probability: bool, offset: float = 0.0, d: int = 2) -> Figure:
        verdict = Verdict(lambda x: -50 * x[..., :1] + offset, probability)
        clouds = [Cloud(x[:, :d], x[:, :d].mean(0).double(), true.cov[:d, :d]) for x in (real, fake)]
        return game_figure(*clouds, verdict, HISTORY, 0.1, "title")

    for offset in (0.0, 1e4):
        image = drawn(False, offset).axes[0].images[0]
        low, high = image.get_clim()
        assert low < offset - 250 < high < offset + 300
        assert (low + high) / 2 == pytest.approx(offset - 100, abs=20)  # halfway between both means
    assert drawn(True).axes[0].images[0].get_clim() == (0, 1)
    words = [{text.get_text() for text in drawn(p, d=d).texts} for p in (True, False) for d in (1, 2)]
    assert [any("probability" in word for word in each) for each in words] == [True, True, False, False]
    assert all("generated ← D(x) → real" in " ".join(each) for each in words[2:])
    assert drawn(False, d=1).axes[-1] is not None


def test_a_constant_critic_is_flat_and_its_axis_has_no_offset() -> None:
    real = AffineGaussian(torch.eye(1), torch.zeros(1)).sample(100, stream(0, "real"))
    constant = Verdict(lambda x: -0.16 + 1e-8 * x[..., :1], probability=False)
    for verdict in (constant, Verdict(lambda x: 1e4 + x[..., :1], probability=False)):
        figure = mixture_figure(real, real + 1, None, verdict, HISTORY, "val/w2", "title")
        render(figure)
        assert all(not axes.yaxis.get_offset_text().get_text() for axes in figure.axes)
        low, high = next(axes for axes in figure.axes if axes.yaxis.get_label_position() == "right").get_ylim()
        assert high - low > 1


@pytest.mark.every_second
@pytest.mark.parametrize("value", [0.0, 1e30, torch.inf, torch.nan])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_critic_is_drawn_with_any_values(value: float, d: int) -> None:
    critic = Verdict(lambda x: torch.full_like(x[..., :1], value), probability=False)
    real = AffineGaussian(torch.eye(d), torch.zeros(d)).sample(100, stream(0, "real"))
    assert render(mixture_figure(real, real + 1, None, critic, HISTORY, "val/w2", "title")).dtype == np.uint8


@pytest.mark.parametrize("std", [1e-4, 0.01, 0.05])
def test_narrow_modes_are_visible(std: float) -> None:
    true = ring(8, 1, std)
    real = true.sample(500, stream(0, "real"))
    figure = mixture_figure(
        real,
        0.3 * real,
        true.log_prob,
        FIRST,
        HISTORY,
        "val/w2",
        "title",
        modes=(true.modes, true.std),
    )
    axes = figure.axes[0]
    circles = next(each for each in axes.collections if len(each.get_offsets()) == 8)
    assert np.allclose(circles.get_offsets(), true.modes)
    radius = circles.get_sizes()[0] ** 0.5 / 2  # in points
    width = axes.get_window_extent().width * 72 / figure.dpi
    true = 3 * std * width / (axes.get_xlim()[1] - axes.get_xlim()[0])
    assert radius == pytest.approx(max(true, 5), rel=1e-3)
    label = "modes at 3 std" if std == 0.05 else "modes"
    assert label in [text.get_text() for text in axes.get_legend().get_texts()]


def test_any_density_has_contours() -> None:
    true = AffineGaussian(torch.eye(2), torch.zeros(2))
    figure = mixture_figure(
        true.sample(99, stream(0, "real")), torch.zeros(9, 2), true.log_prob, FIRST, [], "t", "title"
    )
    assert "the true density" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.0, 0.01, 1e30, torch.nan])
def test_a_point_mass_is_drawn_with_generated_examples(d: int, scale: float) -> None:
    point, fake = torch.ones(100, d), 1 + scale * torch.randn(100, d, generator=stream(0, "fake"))
    figure = mixture_figure(point, fake, None, FIRST, [], "val/w2", "title")
    assert render(figure).dtype == np.uint8
    low, high = figure.axes[0].get_xlim()
    if d < 3:
        assert low < 1 < high
        if scale == 0.01:
            assert 0.03 < high - low < 0.2
            labels = " ".join(text.get_text() for text in figure.axes[0].get_legend().get_texts())
            assert "not visible" not in labels


@pytest.mark.parametrize("d", [1, 2])
def test_the_moving_average_is_drawn(d: int) -> None:
    true = AffineGaussian(torch.eye(d), torch.zeros(d))
    cloud = Cloud(true.sample(50, stream(0, "real")), true.mean, true.cov)
    rows = [{**row, "val/w2_ema": 2 * row["val/w2"]} for row in HISTORY]
    figure = game_figure(cloud, cloud, FIRST, rows, 0.1, "title", average=(true.mean + 1, true.cov))
    legends = [axes.get_legend() for axes in figure.axes]
    words = [[text.get_text() for text in box.get_texts()] for box in legends if box is not None]
    assert sum("moving average" in each for each in words) == 2  # in the panels of the distribution and of the distance
    replicas = replicas_figure(
        scores=LOGNORMAL,
        floors=None,
        iterations=[1, 2],
        course=lambda members: quantiles(LOGNORMAL[members]).repeat(2, 1).T,
        true=None,
        learned=None,
        alive=range(1000),
        groups=grouped([{}] * 1000),
        tag="val/w2",
        title="title",
        averages=[3, 2],
    )
    assert [3, 2] in [[*line.get_ydata()] for line in replicas.axes[-1].lines]


def test_the_spectrum_says_if_the_optimizer_is_another() -> None:
    def words(exact: bool) -> str:
        eigenvalues = torch.tensor([1.01, 0.5], dtype=torch.complex128)
        return " ".join(text.get_text() for text in spectrum_figure(eigenvalues, "", exact=exact).texts)

    assert "doubles every 69.7 iterations" in words(True)
    assert "doubles" not in words(False)
    assert "of plain gradient steps" in words(False)


@pytest.mark.parametrize("low, high", [(0.9, 1.4), (0.27, 1.41), (0.02, 3), (1e-5, 3), (1e-17, 1), (1.514, 1.528)])
def test_a_logarithmic_axis_can_be_read(low: float, high: float) -> None:
    axes = Figure().add_subplot()
    axes.plot([0, 1], [low, high])
    decades(axes)
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    assert 3 <= len(ticks) <= 10


def legends(axes: Axes) -> list[str]:
    boxes = [each for each in axes.get_children() if isinstance(each, Legend)]
    return [text.get_text() for box in boxes for text in (box.get_title(), *box.get_texts())]


@pytest.mark.parametrize("end", [500, 2500, 99_999, 250_000, 400_000])
def test_numbers_of_iterations_do_not_overlap(end: int) -> None:
    figure = sheet("title")
    history = [{"iteration": i, "train/loss_d": 0.6, "train/loss_g": 0.8, "val/w2": 1 / (1 + i)} for i in (0, end)]
    axes = draw_history(figure, history, True, "val/w2")
    render(figure)
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert len(boxes) >= 4
    assert all(left.x1 + 4 < right.x0 for left, right in itertools.pairwise(boxes))


@pytest.mark.parametrize("d, lost", [(1, 0), (2, 500), (5, 1000)])
def test_groups_with_one_number_have_their_own_curves(d: int, lost: int) -> None:
    rates = [(0.1, 0.02)[i % 2] for i in range(1000)]
    scores = LOGNORMAL.clone()
    scores[:lost] = torch.nan
    learned, shares, course = draw_replicas(scores, d, settings=[{"optimizer_d.lr": rate} for rate in rates]).axes
    medians = [quantiles(scores[start::2], [0.5]).item() for start in (1, 0)]
    names = [f"{rate} ({f'{m:.3g}' if np.isfinite(m) else '∞'})" for rate, m in zip((0.02, 0.1), medians, strict=True)]
    assert legends(learned)[-3:] == ["optimizer_d.lr (median)", *names]
    ends = [line.get_ydata()[-1] for line in shares.lines[3:]]  # after the levels and the baseline
    assert pytest.approx((1 - lost / 1000,) * 2) in (ends[:2], ends[-2:])
    for line, median in zip(course.lines[1::-1], medians, strict=True):  # the best are drawn last
        end = line.get_ydata()[-1]
        assert end == pytest.approx(median) if np.isfinite(median) else end > course.get_ylim()[1]


@pytest.mark.parametrize("n, distributions", [(2, True), (3, False), (30, True), (1000, False)])
def test_small_groups_are_drawn_as_points_over_their_number(n: int, distributions: bool) -> None:
    scores = LOGNORMAL[:n].clone()
    scores[0] = torch.nan
    rates = np.geomspace(0.001, 1, n)[::-1].tolist()
    figure = draw_replicas(scores, distributions=distributions, settings=[{"penalty.weight": rate} for rate in rates])
    over, course = figure.axes[-2:]
    points, crosses = over.collections
    assert over.get_xlabel() == "penalty.weight"
    assert np.asarray(points.get_offsets())[:-1, 0] == pytest.approx(np.sort(rates)[:-1])
    assert np.asarray(points.get_offsets())[:-1, 1] == pytest.approx(scores.flip(0)[:-1].numpy())
    assert len(crosses.get_offsets()) == 1
    assert len(course.lines) <= 41


@pytest.mark.parametrize("n", [2, 8, 9, 1000])
def test_the_best_of_many_settings_have_names(n: int) -> None:
    scores = LOGNORMAL[:n]
    settings = [{"optimizer_d.lr": i, "optimizer_g.betas": [0.5, i / n]} for i in range(n)]
    learned, over, _ = draw_replicas(scores, settings=settings).axes
    title, *names = legends(learned)[3:]
    assert title == "optimizer_d.lr, optimizer_g.betas (median)"
    assert names[0].startswith(f"{scores.argmin()}, [0.5, ")
    assert len(names) == (n if n <= 8 else 6)
    assert names[-1] == f"the other {n - 5:,}" or n <= 8
    assert over.get_xlabel() == "rank of the group's median"
    assert np.asarray(over.collections[0].get_offsets())[:, 1] == pytest.approx(scores.sort().values.numpy())


def test_a_thousand_groups_are_drawn_within_a_second() -> None:
    start = time.perf_counter()
    draw_replicas(LOGNORMAL, settings=[{"optimizer_d.lr": i} for i in range(1000)])
    assert time.perf_counter() - start < 5  # measured: 0.7 s


def test_efficiencies_have_intervals_and_diverged_cells_are_crosses() -> None:
    baseline = torch.linspace(0.05, 0.1, 40, dtype=torch.float64)
    good, lost = torch.stack([3 * baseline, 1.02 * baseline], 1), torch.full((40, 1), torch.nan, dtype=torch.float64)
    runs = efficiency.Runs(good, baseline, torch.tensor([125, 250]))
    diverged = efficiency.Runs(lost, baseline, torch.tensor([250]))
    assert runs.efficiency().tolist() == pytest.approx([1 / 9, 1 / 1.02**2])
    assert efficiency.interval(runs) == pytest.approx((1 / 1.02**2, 1 / 1.02**2))
    assert diverged.efficiency().tolist() == [0]
    assert efficiency.texts({"a": runs, "b": diverged})[1] == "b: 0.000 [0.000, 0.000]"
    figure = efficiency.efficiency_figure({"a": runs, "b": diverged})
    assert render(figure).std() > 0
    assert figure.axes[0].get_title("left").endswith("; outside: 40")
    cells = {(dim, number): runs if dim == 2 else diverged for dim in (2, 5) for number in (1, 100)}
    lines = efficiency.efficiency_map({"a": cells}).axes[0]
    assert [len(line.get_xdata()) for line in lines.lines[:2]] == [2, 0]
    assert len(lines.collections[-1].get_offsets()) == 2  # type: ignore[arg-type]


def test_a_baseline_of_zero_has_no_line_on_a_logarithmic_axis() -> None:
    """The label of such a line would be drawn infinitely far away."""
    axes = Figure().add_subplot(yscale="log", ylim=(0.951, 0.953))
    level(axes, 0.0, "baseline: 0")
    assert not axes.lines
    assert not axes.texts
    level(axes, 0.952, "baseline: 0.952")
    assert len(axes.lines) == len(axes.texts) == 1
