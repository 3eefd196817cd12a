"""A figure of R replicas: learned distributions, and distances to the true distribution at the end and over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.config.per_replica import Group
from gaussgan.evaluation.summary import infinite_for_nan, quantiles
from gaussgan.figures.colors import AVERAGE, INK, MUTED, PALE, REAL
from gaussgan.figures.curves import draw_distance
from gaussgan.figures.groups import Shade, in_turn, name_groups, numbers, shades, with_curves
from gaussgan.figures.images import Rows, draw_rows
from gaussgan.figures.over_setting import RANK, axis_end, draw_over_setting, name_of, window
from gaussgan.figures.plane import Line, Plane
from gaussgan.figures.style import Place, decades, indented, label, legend, level, panel, seen_of, sheet

LEARNED: Place = (0.045, 0.11, 0.5, 0.81)
WITH_LEARNED: tuple[Place, Place] = ((0.62, 0.585, 0.365, 0.335), (0.62, 0.11, 0.365, 0.335))  # right of LEARNED
ALONE: tuple[Place, Place] = ((0.06, 0.11, 0.415, 0.755), (0.57, 0.11, 0.415, 0.755))
MAX_DRAWN = 40  # number of learned distributions that are drawn
MANY, FEW = 8, 10  # of more than MANY groups, or of groups with fewer than FEW replicas, points are drawn
Moments = tuple[Tensor, Tensor]
Style = dict[str, Any]


def replicas_figure(
    scores: Tensor,
    floors: Tensor | None,
    iterations: Sequence[float],
    course: Callable[[Sequence[int]], Tensor],
    true: Moments | None,
    learned: Moments | None,
    alive: Sequence[int],
    groups: Sequence[Group],
    tag: str,
    title: str,
    averages: Sequence[float] = (),
    rows: Rows | None = None,
) -> Figure:
    """Draw the learned distributions of R replicas, and their distances to the true distribution.

    The distances have two panels: the proportion of replicas below each distance at the end, and percentiles of the
    distance over iterations. In one dimension, densities show the learned distributions. In two dimensions, ellipses
    show them. In more than two dimensions, the ellipses are projected onto the plane of the true distribution's two
    leading principal axes.

    Groups of replicas with different settings have different colours; see `shades`. If the groups are small or many,
    the first panel is another: the distance of each replica at the end, over the number in which the groups differ, or
    over the rank of the group's median.

    Args:
        scores: the distance of each replica at the end, [R]; NaN or infinite for a replica that diverged.
        floors: the distance of each replica's maximum-likelihood baseline to the true distribution, [R]; None without a
            baseline.
        iterations: the T iterations at which the distances were measured.
        course: a function that maps the indices of replicas to the 10th, 50th and 90th percentile of their distances
            over the T iterations, [3, T].
        true: the true mean, [d], and the true covariance, [d, d]; None to draw no distributions.
        learned: the means, [R, d], and covariances, [R, d, d], of the outputs of the replicas' generators. None to draw
            no distributions.
        alive: the indices of the replicas that did not diverge. At most `MAX_DRAWN` of their distributions are drawn.
        groups: groups of replicas with equal settings. If all replicas have equal settings, this is one group.
        tag: the name of the distance, such as val/w2.
        title: the text above the figure.
        averages: the median distance of the generators' moving averages at the T iterations; empty if there are no
            moving averages. They are drawn only if there is one group.
        rows: images that replicas generated. They take the place of the learned distributions.
    """
    shaded = shades(groups, scores)
    drawn = with_curves(shaded)
    figure, places = sheet(title, left=ALONE[0][0]), ALONE
    if true is not None and learned is not None:
        figure, places = sheet(title, left=LEARNED[0]), WITH_LEARNED
        axes, free = _draw_learned(figure, true, learned, {*alive}, drawn, len(scores))
        name_groups(axes, free, groups, shaded)
    elif rows is not None:
        figure, places = sheet(title, left=LEARNED[0]), WITH_LEARNED
        draw_rows(figure, rows)
    if len(groups) > 1 and (len(groups) > MANY or max(len(group.members) for group in groups) < FEW):
        key = next(iter(groups[0].settings)) if numbers(groups) else RANK
        draw_over_setting(figure, places[0], scores, floors, shaded, key, tag)
    else:
        _draw_distribution(figure, places[0], scores, floors, drawn, tag)
    axes = _draw_course(figure, places[1], iterations, course, floors, drawn, tag, averages if len(groups) == 1 else ())
    if places is ALONE:
        name_groups(axes, "best", groups, shaded)
    return figure


def _draw_learned(
    figure: Figure, true: Moments, learned: Moments, alive: set[int], drawn: Sequence[Shade], replicas: int
) -> tuple[Axes, str]:
    """Draw distributions. Return the axes, and the name of a corner in which they are most likely empty."""
    mean, cov = (moment.double() for moment in true)
    color = {i: shade.color for shade in drawn for i in shade.members}
    chosen = in_turn([[i for i in shade.members if i in alive] for shade in drawn])[:MAX_DRAWN]
    n, seen, one = len(chosen), 0, len(mean) == 1
    axes = panel(figure, indented(LEARNED) if one else LEARNED)
    strong: Style = {"color": REAL, "lw": 2.0}
    if one:
        line = Line(mean, cov)
        line.outline(axes, mean, cov, zorder=3, **strong)
        top = 2.5 * axes.get_ylim()[1]
        for i in chosen:
            seen += line.outline(axes, learned[0][i], learned[1][i], alpha=0.45, color=color[i], lw=0.9)
        axes.set_ylim(0, min(1.15 * axes.get_ylim()[1], top))  # a collapsed generator's density is extremely high
        line.frame(axes)
        free = "upper right"
    else:
        plane = Plane(mean, cov, reach=3.2)
        plane.outline(axes, mean, cov, zorder=3, **strong)
        for i in chosen:
            style: Style = {"color": color[i], "lw": 0.9 if n > 8 else 1.3}
            plane.outline(axes, learned[0][i], learned[1][i], sigmas=[2], alpha=0.2 if n > 8 else 0.5, **style)
            seen += plane.outline(axes, learned[0][i], learned[1][i], sigmas=[1], alpha=0.55 if n > 8 else 0.9, **style)
        plane.frame(axes)
        free = "lower right" if plane.cov[0, 1] >= 0 else "lower left"
    axes.plot([], label="true", **strong)
    name = f"learned by {n} of {replicas:,} replicas" if n < replicas else f"learned by {n} replicas"
    axes.plot([], label=seen_of(name, n, seen), alpha=0.8, color=drawn[0].color if len(drawn) == 1 else MUTED, lw=0.9)
    legend(axes, "upper left", title="distributions" if one else "distributions at 1σ and 2σ", veil=True)
    return axes, free


def _draw_distribution(
    figure: Figure, place: Place, scores: Tensor, floors: Tensor | None, drawn: Sequence[Shade], tag: str
) -> None:
    caption = f"proportion of {len(scores):,} replicas below" if len(drawn) == 1 else "proportion of replicas below"
    axes = panel(figure, place, caption if floors is None else f"{caption} (grey: baseline)")
    low, high = window(scores, floors)
    # Space for labels: right of the replicas' curve, and left of the baseline's.
    if len(drawn) == 1:
        high = max([high, *(axis_end(x, low, 0.33) for x in quantiles(scores).tolist() if low < x < high)])
    if floors is not None and low < (median := quantiles(floors)[1].item()) < high:
        low = min(low, axis_end(median, high, 0.28))
    axes.set(xlim=(low, high), ylim=(0, 1.04), xlabel=name_of(scores, tag))
    axes.set_yticks([0, 0.5, 0.9, 1], ["0", "50%", "90%", "100%"])
    for proportion in (0.5, 0.9):
        axes.axhline(proportion, color=PALE, lw=0.8, zorder=-1)
    if floors is not None:
        _draw_cdf(axes, floors, -1, color=MUTED, lw=1.3)
    for shade in reversed(drawn):
        _draw_cdf(axes, scores[shade.members], 1 if len(drawn) == 1 else 0, color=shade.color, lw=_width(shade, drawn))
    decades(axes, "x")


def _width(shade: Shade, drawn: Sequence[Shade]) -> float:
    """Return the width of a group's curve: thinner for one of several groups, and thinnest without a name."""
    return 1.9 if len(drawn) == 1 else 1.5 if shade.name else 0.8


def _draw_cdf(axes: Axes, values: Tensor, side: int, color: str, lw: float) -> None:
    """Draw the proportion of values below x as a curve over x. Label the median and the 90th percentile.

    Args:
        side: 1 to put the labels on the right of the curve, -1 to put them on its left, 0 for no labels.
    """
    low, high = axes.get_xlim()
    ranked = values[values.isfinite()].double().sort().values
    cdf = torch.arange(len(ranked) + 1) / len(values)
    x = torch.cat([ranked.new_tensor([low]), ranked.clamp(min=low), ranked.new_tensor([high])])
    axes.step(x, torch.cat([cdf, cdf[-1:]]), where="post", color=color, lw=lw)
    _, median, p90 = quantiles(values).tolist()
    for value, proportion, name in ((median, 0.5, "median"), (p90, 0.9, "90% below")) if side else ():
        if low < value < high:
            axes.plot(value, proportion, "o", color=color, ms=4.5, zorder=3)
            ink = INK if side > 0 else MUTED
            label(axes, f"{name} {value:.3g}", (value, proportion), (7 * side, -2 * side), ink)


def _draw_course(
    figure: Figure,
    place: Place,
    iterations: Sequence[float],
    course: Callable[[Sequence[int]], Tensor],
    floors: Tensor | None,
    drawn: Sequence[Shade],
    tag: str,
    averages: Sequence[float],
) -> Axes:
    few = len(drawn) <= 3 and max(len(shade.members) for shade in drawn) > 1
    caption = f"median of {len(drawn)} groups" if len(drawn) > 1 else "median of the replicas"
    caption += "; shaded: 10th to 90th percentile" if few else ""
    if averages:
        caption = "median, 10th to 90th percentile; dotted: moving average"
    axes = panel(figure, place, caption)
    floor = None if floors is None else quantiles(floors)[1]
    percentiles = torch.stack([course(shade.members) for shade in drawn])
    seen = percentiles if few else percentiles[:, 1]
    low, high = window(torch.cat([seen.flatten(), seen.new_tensor(averages)]), floor)
    if floor is not None and low < floor < high:
        low = min(low, axis_end(floor.item(), high, 0.1))  # leaves space for its label
    axes.set_ylim(low, high)
    if averages:
        axes.plot(iterations, averages, color=AVERAGE, ls=":", lw=1.9)
    # Infinite values are drawn above the top of the axes.
    curves = infinite_for_nan(percentiles).clamp(low / 10, high * 10).tolist()
    for shade, (p10, median, p90) in [*zip(drawn, curves, strict=True)][::-1]:
        band: Style = {"color": shade.color, "alpha": 0.2 / len(drawn) ** 0.5}
        if few and len(iterations) == 1:
            axes.vlines(iterations, p10, p90, lw=8, **band)
        if few:
            axes.fill_between(iterations, p10, p90, lw=0, **band)
        style: Style = {"color": shade.color, "lw": _width(shade, drawn)}
        draw_distance(axes, iterations, median, tag, marker="o" if len(iterations) == 1 else "", **style)
    if len(iterations) < 2:
        axes.set_xticks(iterations)
    if floor is not None and floor.isfinite():
        level(axes, floor.item(), f"baseline: {floor.item():.3g}", below=True)
    return axes
