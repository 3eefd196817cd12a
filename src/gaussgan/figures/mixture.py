"""A law of many modes beside what a generator makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gaussgan.figures.curves import History, draw_losses, draw_scores, over_iterations
from gaussgan.figures.plane import Plane, widen
from gaussgan.figures.style import FAKE, MUTED, REAL, WIDTH, aspect, legend, seen_of, sheet, tidy, tidy_twin
from gaussgan.figures.verdict import GAME, Verdict

LEVELS = [-4.5, -2.0, -0.5]  # nats below its peak at which contours of a density are: 3, 2 and 1σ of a Gaussian
LEAST_RADIUS = 5.0  # of a mode's circle, in points
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
) -> Figure:
    """What a generator makes of a law of any form: examples, law and discriminator on the left; losses and a score on
    the right.

    In two dimensions the law is shown by circles around its modes, or by contours of its density. Beyond two the left
    part shows the plane of the real examples' two leading principal axes; in one dimension, histograms and the density.

    Args:
        real: examples of the law, [n, d]; they set the window, together with the generated ones where they are all
            the same.
        fake: generated ones, [m, d]; those out of the window, not finite ones among them, are counted in the legend.
        log_density: log p in nats at points in float64, [..., d] → [...]; None where the law has none.
        history: rows with iteration, train/loss_d, train/loss_g and the score; val/modes and the moving average's score
            are drawn where rows have them.
        score: the tag of a distance to the truth, such as val/sliced_w2.
        modes: the modes of the law, [m, d], and the standard deviation of each.
    """
    figure = sheet(title, left=GAME[0])
    axes = figure.add_axes(GAME)
    real, fake = real.double(), fake.double()
    if real.shape[-1] == 1:
        _draw_densities(axes, real, fake, log_density, verdict)
    else:
        _draw_plane(axes, real, fake, log_density, verdict, modes)
    draw_losses(figure.add_axes((0.66, 0.55, 0.295, 0.37)), history, verdict.probability)
    distance = figure.add_axes((0.66, 0.11, 0.295, 0.37))
    draw_scores(distance, history, score)
    _draw_modes(distance, history)
    return figure


def _draw_plane(
    axes: Axes,
    real: Tensor,
    fake: Tensor,
    log_density: LogDensity | None,
    verdict: Verdict,
    modes: tuple[Tensor, float] | None,
) -> None:
    plane = Plane(real.mean(0), real.T.cov())
    low, high = _window(plane.project(real), plane.project(fake))
    plane.low, plane.high = widen(low, high, ratio=aspect(GAME))
    # What was added goes to the left and to the top, where the legend is.
    shift = (low - plane.low) * low.new_tensor([-1, 1])
    plane.low, plane.high = plane.low + shift, plane.high + shift
    verdict.draw_surface(axes, plane, real, fake)
    for cloud, colour, name in ((real, REAL, "real"), (fake, FAKE, "generated")):
        points = plane.project(cloud)
        seen = points[((points > plane.low) & (points < plane.high)).all(-1)].numpy()
        label = seen_of(name, len(cloud), len(seen))
        axes.scatter(seen[:, 0], seen[:, 1], s=9, color=colour, alpha=0.65, lw=0, zorder=2, label=label)
    if modes is not None:
        centres, std = plane.project(modes[0]).numpy(), modes[1]
        points_a_unit = 72 * GAME[2] * WIDTH / (plane.high - plane.low)[0].item()
        radius = max(3 * std * points_a_unit, LEAST_RADIUS)
        name = "modes" + (" at 3 std" if radius > LEAST_RADIUS else "")
        circles: dict[str, Any] = {
            "s": (2 * radius) ** 2,
            "facecolor": "none",
            "edgecolor": REAL,
            "lw": 1.1,
            "zorder": 3,
        }
        axes.scatter(centres[:, 0], centres[:, 1], **circles)
        axes.scatter([], [], **{**circles, "s": 40}, label=name)
    elif log_density is not None and plane.given:
        grid = plane.grid(200)
        density = log_density(grid)
        height = (density - density.max()).clamp(min=2 * LEVELS[0]).nan_to_num(2 * LEVELS[0]).numpy()
        lines = [line for line in LEVELS if (height < line).any() and (height > line).any()]
        if lines:
            axes.contour(
                grid[0, :, 0], grid[:, 0, 1], height, levels=lines, colors=REAL, linewidths=1.1, linestyles="-"
            )
            axes.plot([], color=REAL, lw=1.1, label="the law's density")
    legend(axes, "upper left", title="examples and the law", veil=True)
    tidy(axes)


def _window(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Ends of the window that holds the real examples, [n, k]; where they are all the same, the generated ones too."""
    if (real == real[0]).all():
        real = torch.cat([real, fake[fake.isfinite().all(-1)].clamp(-1e30, 1e30)])
    low, high = real.amin(0), real.amax(0)
    margin = 0.12 * ((high - low).max().item() or 1.0)
    return low - margin, high + margin


def _draw_densities(axes: Axes, real: Tensor, fake: Tensor, log_density: LogDensity | None, verdict: Verdict) -> None:
    axes.set_position((GAME[0] + 0.025, GAME[1], GAME[2] - 0.025, GAME[3]))  # a density's tick labels are long
    low, high = (end.item() for end in _window(real, fake))
    x = torch.linspace(low, high, 600, dtype=torch.float64)
    bins = np.linspace(low, high, 81)
    for cloud, colour, name in ((real, REAL, "real"), (fake, FAKE, "generated")):
        seen = cloud[(cloud > low) & (cloud < high)].numpy()
        label = seen_of(name, len(cloud), len(seen))
        if len(seen) and (seen == seen[0]).all():  # which has no density
            axes.axvline(seen[0], color=colour, lw=2.2, ls="-" if name == "real" else "--", label=label)
            continue
        share = np.full(len(seen), 1 / (len(cloud) * (bins[1] - bins[0])))
        axes.hist(seen, bins=bins.tolist(), weights=share, color=colour, alpha=0.35, label=label)
    if log_density is not None:
        axes.plot(x, log_density(x.unsqueeze(-1)).exp(), color=REAL, lw=1.7)
    axes.set(xlabel="x", ylabel="density", xlim=(low, high))
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # room for the legend
    verdict.draw_curve(axes, x, real, fake)
    legend(axes, "upper left", title="examples and the law", veil=True)
    tidy(axes)


def _draw_modes(axes: Axes, history: History) -> None:
    iterations, modes = over_iterations(history, "val/modes")
    if modes:
        count = axes.twinx()
        count.step(iterations, modes, where="post", color=MUTED, lw=1.2)
        axes.set(zorder=count.get_zorder() + 1, facecolor="none")  # it stays behind the legend
        count.set_ylim(0, 1.15 * max([1.0, *filter(math.isfinite, modes)]))
        count.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        tidy_twin(count, "modes covered (grey)")
