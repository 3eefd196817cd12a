"""A law of many modes beside what a generator makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gaussgan.figures.curves import History, draw_losses, draw_score, over_iterations
from gaussgan.figures.plane import Plane, widen
from gaussgan.figures.style import FAKE, MUTED, REAL, aspect, legend, seen_of, sheet, tidy, tidy_twin

LEFT = (0.055, 0.11, 0.53, 0.81)
DEPTH = 8.0  # nats below the peak where the map of the log-density ends: 4σ of a mode
DENSITY = LinearSegmentedColormap.from_list("density", ["#ffffff", "#eaf0f9", "#c3d4ee", "#9dbbe6"])
LogDensity = Callable[[Tensor], Tensor]


def mixture_figure(
    real: Tensor,
    fake: Tensor,
    log_density: LogDensity | None,
    history: History,
    score: str,
    title: str,
    logistic: bool = True,
) -> Figure:
    """What a generator makes of a law of any form: examples and law on the left; losses and a score on the right.

    In two dimensions the map shows log p down to 8 nats below its peak. Beyond two the left part shows the plane of the
    real examples' two leading principal axes, without a map; in one dimension, histograms and the density.

    Args:
        real: examples of the law, [n, d]; they set the window.
        fake: generated ones, [m, d]; those out of the window, not finite ones among them, are counted in the legend.
        log_density: log p in nats at points in float64, [..., d] → [...]; None where the law has none.
        history: rows with iteration, train/loss_d, train/loss_g and the score; val/modes is drawn where rows have it.
        score: the tag of a distance to the truth, such as val/sliced_w2.
        logistic: whether the losses are log 2 at the equilibrium.
    """
    figure = sheet(title)
    axes = figure.add_axes(LEFT)
    real, fake = real.double(), fake.double()
    draw = _draw_densities if real.shape[-1] == 1 else _draw_plane
    draw(axes, real, fake, log_density)
    draw_losses(figure.add_axes((0.66, 0.55, 0.295, 0.37)), history, logistic)
    distance = figure.add_axes((0.66, 0.11, 0.295, 0.37))
    draw_score(distance, *over_iterations(history, score), score)
    _draw_modes(distance, history)
    return figure


def _draw_plane(axes: Axes, real: Tensor, fake: Tensor, log_density: LogDensity | None) -> None:
    plane = Plane(real.mean(0), real.T.cov())
    points = plane.project(real)
    low, high = points.amin(0), points.amax(0)
    margin = 0.12 * (high - low).max().clamp(min=1e-3)
    plane.low, plane.high = widen(low - margin, high + margin, ratio=aspect(LEFT))
    # What was added goes to the left and to the top, where the legend is.
    shift = (low - margin - plane.low) * low.new_tensor([-1, 1])
    plane.low, plane.high = plane.low + shift, plane.high + shift
    plane.frame(axes)
    if mapped := log_density is not None and plane.given:
        density = log_density(plane.grid(260))
        plane.paint(axes, density - density.max(), cmap=DENSITY, vmin=-DEPTH, vmax=0)
    for cloud, colour, size, name in ((real, REAL, 9, "real"), (fake, FAKE, 9, "generated")):
        points = plane.project(cloud)
        seen = points[((points > plane.low) & (points < plane.high)).all(-1)].numpy()
        label = seen_of(name, len(cloud), len(seen))
        axes.scatter(seen[:, 0], seen[:, 1], s=size, color=colour, alpha=0.65, lw=0, zorder=2, label=label)
    legend(axes, "upper left", title="examples on the law's log-density" if mapped else "examples")
    tidy(axes)


def _draw_densities(axes: Axes, real: Tensor, fake: Tensor, log_density: LogDensity | None) -> None:
    axes.set_position((LEFT[0] + 0.025, LEFT[1], LEFT[2] - 0.025, LEFT[3]))  # a density's tick labels are long
    margin = 0.12 * (real.max() - real.min()).clamp(min=1e-3)
    x = torch.linspace((real.min() - margin).item(), (real.max() + margin).item(), 600, dtype=torch.float64)
    bins = np.linspace(x[0].item(), x[-1].item(), 81)
    for cloud, colour, name in ((real, REAL, "real"), (fake, FAKE, "generated")):
        seen = cloud[(cloud > x[0]) & (cloud < x[-1])].numpy()
        share = np.full(len(seen), 1 / (len(cloud) * (bins[1] - bins[0])))
        label = seen_of(name, len(cloud), len(seen))
        axes.hist(seen, bins=bins.tolist(), weights=share, color=colour, alpha=0.35, label=label)
    if log_density is not None:
        axes.plot(x, log_density(x.unsqueeze(-1)).exp(), color=REAL, lw=1.7)
    axes.set(xlabel="x", ylabel="density", xlim=(x[0].item(), x[-1].item()))
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # room for the legend
    legend(axes, "upper left", title="examples and the law")
    tidy(axes)


def _draw_modes(axes: Axes, history: History) -> None:
    iterations, modes = over_iterations(history, "val/modes")
    if modes:
        count = axes.twinx()
        count.step(iterations, modes, where="post", color=MUTED, lw=1.2)
        count.set_ylim(0, 1.15 * max([1.0, *filter(math.isfinite, modes)]))
        count.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        tidy_twin(count, "modes covered (grey)")
