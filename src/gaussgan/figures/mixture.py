"""A figure of real and generated examples of any distribution, such as a mixture with many modes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gaussgan.figures.colors import FAKE, MUTED, REAL
from gaussgan.figures.curves import History, draw_history, over_iterations
from gaussgan.figures.plane import Plane, plane_of, window_of
from gaussgan.figures.style import (
    WIDTH,
    Place,
    Unit,
    aspect,
    background_axes,
    in_units,
    indented,
    legend,
    level,
    panel,
    seen_of,
    sheet,
)
from gaussgan.figures.verdict import GAME, Verdict

LEVELS = [-4.5, -2.0, -0.5]  # contours of log p minus its maximum, in nats: for a Gaussian at 3, 2 and 1σ
MIN_RADIUS = 5.0  # smallest radius of a mode's circle, in typographic points
NARROW: tuple[Place, Place] = ((0.66, 0.55, 0.295, 0.37), (0.66, 0.11, 0.295, 0.37))  # with space for a second axis
LEGEND: dict[str, Any] = {"place": "upper left", "veil": True}
LogDensity = Callable[[Tensor], Tensor]


def mixture_figure(
    real: Tensor,
    fake: Tensor,
    log_density: LogDensity | None,
    verdict: Verdict,
    history: History,
    score: str,
    title: str,
    modes: tuple[Tensor, float] | None = None,
    baseline: float | None = None,
    units: Sequence[Unit] = (),
) -> Figure:
    """Draw examples, distribution and discriminator on the left, and losses and a score over iterations on the right.

    In one dimension, the left panel shows histograms of the examples and the true density. In two dimensions, circles
    around the modes or contours of the true density show the true distribution. In more than two dimensions, the left
    panel is the plane of the real examples' two leading principal axes.

    Args:
        real: real examples, [n, d]. The window of the left panel contains all of them. If they are all equal, the
            window also contains the generated examples.
        fake: generated examples, [m, d]. The legend counts those generated examples that lie outside the window or have
            NaN or infinity.
        log_density: maps points in float64 to the log of the true density in nats, [..., d] → [...]; None if the true
            distribution has no density.
        verdict: draws the discriminator.
        history: rows with the keys iteration, train/loss_d, train/loss_g and `score`. A row may also have val/modes,
            the number of modes covered, and `score` followed by _ema, the distance of the generator's moving average.
            These are drawn too.
        score: the name of a distance to the true distribution, such as val/sliced_w2.
        title: the text above the figure.
        modes: the k modes of the true distribution, [k, d], and the standard deviation around each mode; None if the
            true distribution has no known modes.
        baseline: the distance of the baseline; None to draw none.
        units: the units of the coordinates in the left panel; by default, those of the examples.
    """
    figure = sheet(title, left=GAME[0])
    real, fake = real.double(), fake.double()
    if real.shape[-1] == 1:
        _draw_densities(figure, real, fake, log_density, verdict)
    else:
        _draw_plane(figure, real, fake, log_density, verdict, modes)
    in_units(figure.axes[0], units)
    distance = draw_history(figure, history, verdict.probability, score, NARROW)
    if baseline is not None and math.isfinite(baseline):
        level(distance, baseline, f"baseline: {baseline:.3g}")
    iterations, found = over_iterations(history, "val/modes")
    if found:
        count = background_axes(distance, "modes covered (grey)")
        count.step(iterations, found, where="post", color=MUTED, lw=1.2)
        count.set_ylim(0, 1.15 * max([1.0, *filter(math.isfinite, found)]))
        count.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure


def _draw_plane(
    figure: Figure,
    real: Tensor,
    fake: Tensor,
    log_density: LogDensity | None,
    verdict: Verdict,
    modes: tuple[Tensor, float] | None,
) -> None:
    axes, plane = panel(figure, GAME), plane_of(real, fake, ratio=aspect(GAME))
    verdict.draw_surface(figure, axes, plane, real, fake)
    for cloud, color, name in ((real, REAL, "real"), (fake, FAKE, "generated")):
        points = plane.project(cloud)
        seen = points[((points > plane.low) & (points < plane.high)).all(-1)].numpy()
        label = seen_of(name, len(cloud), len(seen))
        axes.scatter(seen[:, 0], seen[:, 1], s=9, color=color, alpha=0.65, lw=0, zorder=2, label=label)
    draw_truth(axes, plane, log_density, modes)
    legend(axes, title=title_of(log_density, modes), **LEGEND)


def title_of(log_density: LogDensity | None, modes: tuple[Tensor, float] | None) -> str:
    """Return the title of a legend of examples, and of the true distribution if it is known."""
    return "examples" if log_density is None and modes is None else "examples and true distribution"


def draw_truth(axes: Axes, plane: Plane, log_density: LogDensity | None, modes: tuple[Tensor, float] | None) -> None:
    """Draw circles around the modes of the true distribution, or contours of its density. For the rest see above."""
    if modes is not None:
        centres, std = plane.project(modes[0]).numpy(), modes[1]
        points_per_unit = 72 * GAME[2] * WIDTH / (plane.high - plane.low)[0].item()
        radius = max(3 * std * points_per_unit, MIN_RADIUS)
        circle: dict[str, Any] = {"facecolor": "none", "edgecolor": REAL, "lw": 1.1, "zorder": 3}
        axes.scatter(centres[:, 0], centres[:, 1], s=(2 * radius) ** 2, **circle)
        axes.scatter([], [], s=40, label="modes at 3 std" if radius > MIN_RADIUS else "modes", **circle)
    elif log_density is not None and plane.given:
        grid = plane.grid(200)
        density = log_density(grid)
        height = (density - density.max()).clamp(min=2 * LEVELS[0]).nan_to_num(2 * LEVELS[0]).numpy()
        levels = [level for level in LEVELS if (height < level).any() and (height > level).any()]
        if levels:
            xs, ys = grid[0, :, 0], grid[:, 0, 1]
            axes.contour(xs, ys, height, levels, colors=REAL, linewidths=1.1, linestyles="-")
            axes.plot([], color=REAL, lw=1.1, label="the true density")


def _draw_densities(
    figure: Figure, real: Tensor, fake: Tensor, log_density: LogDensity | None, verdict: Verdict
) -> None:
    axes = panel(figure, indented(GAME))
    low, high = (end.item() for end in window_of(real, fake))
    x = torch.linspace(low, high, 600, dtype=torch.float64)
    bins = np.linspace(low, high, 81)
    for cloud, color, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        seen = cloud[(cloud > low) & (cloud < high)].numpy()
        label = seen_of(name, len(cloud), len(seen))
        if len(seen) and (seen == seen[0]).all():  # a point mass has no density
            axes.axvline(seen[0], color=color, lw=2.2, ls=style, label=label)
            continue
        weights = np.full(len(seen), 1 / (len(cloud) * (bins[1] - bins[0])))
        axes.hist(seen, bins=bins.tolist(), weights=weights, color=color, alpha=0.35, label=label)
    if log_density is not None:
        axes.plot(x, log_density(x.unsqueeze(-1)).exp(), color=REAL, lw=1.7)
    axes.set(xlabel="x", ylabel="density", xlim=(low, high))
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # leaves space for the legend
    verdict.draw_curve(figure, axes, x, real, fake)
    legend(axes, title=title_of(log_density, None), **LEGEND)
