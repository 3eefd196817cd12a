"""A figure of R replicas: learned distributions, and distances to the true distribution at the end and over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.evaluation.summary import infinite_for_nan, quantiles
from gaussgan.figures.colors import AVERAGE, FAKE, INK, MUTED, PALE, REAL
from gaussgan.figures.curves import NAMES, draw_distance
from gaussgan.figures.plane import Line, Plane
from gaussgan.figures.style import Place, decades, indented, label, legend, level, panel, seen_of, sheet

LEARNED: Place = (0.045, 0.11, 0.5, 0.81)
WITH_LEARNED: tuple[Place, Place] = ((0.62, 0.585, 0.365, 0.335), (0.62, 0.11, 0.365, 0.335))  # right of LEARNED
ALONE: tuple[Place, Place] = ((0.06, 0.11, 0.415, 0.755), (0.57, 0.11, 0.415, 0.755))
MAX_DRAWN = 40  # number of learned distributions that are drawn
FAR = 100.0  # values below the median / FAR or above the median · FAR do not extend the axis of a distance
Moments = tuple[Tensor, Tensor]
Style = dict[str, Any]


def replicas_figure(
    scores: Tensor,
    floors: Tensor | None,
    iterations: Sequence[float],
    quantiles: Tensor,
    true: Moments | None,
    learned: Moments | None,
    tag: str,
    title: str,
    averages: Sequence[float] = (),
) -> Figure:
    """Draw the learned distributions of R replicas, and their distances to the true distribution.

    The distances have two panels: the proportion of replicas below each distance at the end, and percentiles of the
    distance over iterations. In one dimension, densities show the learned distributions. In two dimensions, ellipses
    show them. In more than two dimensions, the ellipses are projected onto the plane of the true distribution's two
    leading principal axes.

    Args:
        scores: the distance of each replica at the end, [R]; NaN or infinite for a replica that diverged.
        floors: the distance of each replica's maximum-likelihood baseline to the true distribution, [R]; None without a
            baseline.
        iterations: the T iterations at which `quantiles` are given.
        quantiles: the 10th, 50th and 90th percentile of the distance over replicas, [3, T].
        true: the true mean, [d], and the true covariance, [d, d]; None to draw no distributions.
        learned: the means, [n, d], and covariances, [n, d, d], of the outputs of n replicas' generators. At most
            `MAX_DRAWN` of these distributions are drawn. None to draw no distributions.
        tag: the name of the distance, such as val/w2.
        title: the text above the figure.
        averages: the median distance of the generators' moving averages at the T iterations; empty if there are no
            moving averages.
    """
    figure, places = sheet(title, left=ALONE[0][0]), ALONE
    if true is not None and learned is not None:
        figure, places = sheet(title, left=LEARNED[0]), WITH_LEARNED
        _draw_learned(figure, true, learned, len(scores))
    _draw_distribution(figure, places[0], scores, floors, tag)
    _draw_course(figure, places[1], iterations, quantiles, floors, tag, averages)
    return figure


def _draw_learned(figure: Figure, true: Moments, learned: Moments, replicas: int) -> None:
    mean, cov = (moment.double() for moment in true)
    drawn = [*zip(learned[0][:MAX_DRAWN], learned[1][:MAX_DRAWN], strict=True)]
    n, seen, one = len(drawn), 0, len(mean) == 1
    axes = panel(figure, indented(LEARNED) if one else LEARNED)
    thin: Style = {"color": FAKE, "lw": 0.9}
    strong: Style = {"color": REAL, "lw": 2.0}
    if one:
        line = Line(mean, cov)
        line.outline(axes, mean, cov, zorder=3, **strong)
        top = 2.5 * axes.get_ylim()[1]
        for moments in drawn:
            seen += line.outline(axes, *moments, alpha=0.45, **thin)
        axes.set_ylim(0, min(1.15 * axes.get_ylim()[1], top))  # a collapsed generator's density is extremely high
        line.frame(axes)
    else:
        plane = Plane(mean, cov, reach=3.2)
        plane.outline(axes, mean, cov, zorder=3, **strong)
        for moments in drawn:
            plane.outline(axes, *moments, sigmas=[2], alpha=0.2, **thin)
            seen += plane.outline(axes, *moments, sigmas=[1], alpha=0.55, **thin)
        plane.frame(axes)
    axes.plot([], label="true", **strong)
    name = f"learned by {n} of {replicas:,} replicas" if n < replicas else f"learned by {n} replicas"
    axes.plot([], label=seen_of(name, n, seen), alpha=0.8, **thin)
    legend(axes, "upper left", title="distributions" if one else "distributions at 1σ and 2σ", veil=True)


def _draw_distribution(figure: Figure, place: Place, scores: Tensor, floors: Tensor | None, tag: str) -> None:
    caption = f"proportion of {len(scores):,} replicas below"
    axes = panel(figure, place, caption if floors is None else f"{caption} (grey: baseline)")
    low, high = _window(scores, floors)
    # Space for labels: right of the replicas' curve, and left of the baseline's.
    high = max([high, *(_axis_end(x, low, 0.33) for x in quantiles(scores).tolist() if low < x < high)])
    if floors is not None and low < (median := quantiles(floors)[1].item()) < high:
        low = min(low, _axis_end(median, high, 0.28))
    lost = int((~scores.isfinite()).sum())
    name = NAMES.get(tag, tag) + (f" (infinite for {lost:,} that diverged)" if lost else "")
    axes.set(xlim=(low, high), ylim=(0, 1.04), xlabel=name)
    axes.set_yticks([0, 0.5, 0.9, 1], ["0", "50%", "90%", "100%"])
    for proportion in (0.5, 0.9):
        axes.axhline(proportion, color=PALE, lw=0.8, zorder=-1)
    if floors is not None:
        _draw_cdf(axes, floors, -1, color=MUTED, lw=1.3)
    _draw_cdf(axes, scores, 1, color=FAKE, lw=1.9)
    decades(axes, "x")


def _draw_cdf(axes: Axes, values: Tensor, side: int, color: str, lw: float) -> None:
    """Draw the proportion of values below x as a curve over x. Label the median and the 90th percentile.

    Args:
        side: 1 to put the labels on the right of the curve, -1 to put them on its left.
    """
    low, high = axes.get_xlim()
    ranked = values[values.isfinite()].double().sort().values
    cdf = torch.arange(len(ranked) + 1) / len(values)
    x = torch.cat([ranked.new_tensor([low]), ranked.clamp(min=low), ranked.new_tensor([high])])
    axes.step(x, torch.cat([cdf, cdf[-1:]]), where="post", color=color, lw=lw)
    _, median, p90 = quantiles(values).tolist()
    for value, proportion, name in ((median, 0.5, "median"), (p90, 0.9, "90% below")):
        if low < value < high:
            axes.plot(value, proportion, "o", color=color, ms=4.5, zorder=3)
            ink = INK if side > 0 else MUTED
            label(axes, f"{name} {value:.3g}", (value, proportion), (7 * side, -2 * side), ink)


def _draw_course(
    figure: Figure,
    place: Place,
    iterations: Sequence[float],
    percentiles: Tensor,
    floors: Tensor | None,
    tag: str,
    averages: Sequence[float],
) -> None:
    caption = "median of the replicas; shaded: 10th to 90th percentile"
    if averages:
        caption = "median, 10th to 90th percentile; dotted: moving average"
    axes = panel(figure, place, caption)
    floor = None if floors is None else quantiles(floors)[1]
    low, high = _window(torch.cat([percentiles.flatten(), percentiles.new_tensor(averages)]), floor)
    if floor is not None and low < floor < high:
        low = min(low, _axis_end(floor.item(), high, 0.1))  # leaves space for its label
    axes.set_ylim(low, high)
    # Infinite values are drawn above the top of the axes.
    p10, median, p90 = infinite_for_nan(percentiles).clamp(low / 10, high * 10).tolist()
    if averages:
        axes.plot(iterations, averages, color=AVERAGE, ls=":", lw=1.9)
    if len(iterations) == 1:
        axes.vlines(iterations, p10, p90, color=FAKE, alpha=0.2, lw=8)
    axes.fill_between(iterations, p10, p90, color=FAKE, alpha=0.2, lw=0)
    draw_distance(axes, iterations, median, tag, color=FAKE, marker="o" if len(iterations) == 1 else "")
    if len(iterations) < 2:
        axes.set_xticks(iterations)
    if floor is not None and floor.isfinite():
        level(axes, floor.item(), f"baseline: {floor.item():.3g}", below=True)


def _window(values: Tensor, floors: Tensor | None) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that shows the finite positive values, except those far from the median."""
    lows, highs = [], []
    for each in (values, floors):
        if each is not None and len(known := each[each.isfinite() & (each > 0)].double()):
            middle = known.median()
            lows.append(known.min().clamp(min=middle / FAR).item())
            highs.append(known.max().clamp(max=middle * FAR).item())
    return (min(lows) / 1.6, max(highs) * 1.3) if lows else (0.1, 10.0)


def _axis_end(x: float, start: float, fraction: float) -> float:
    """Return the end of a logarithmic axis that begins at `start`.

    The end is chosen so that the given fraction of the axis's length lies between x and the end.
    """
    return start * (x / start) ** (1 / (1 - fraction))
