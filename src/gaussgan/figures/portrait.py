"""The phase portrait of a game of two parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.figures.style import FAKE, INK, MUTED, REAL, TIME, decades, legend, sheet, tidy, tidy_bar

PORTRAIT, BAR = (0.055, 0.11, 0.43, 0.81), (0.492, 0.11, 0.011, 0.81)
Field = Callable[[Tensor], Tensor]


def portrait_figure(trajectory: Tensor, field: Field, title: str) -> Figure:
    """Where a game went, over the directions in which its players descend; beside it, the distance from (0, 0).

    Args:
        trajectory: θ of the generator and ψ of the discriminator at the start and after each iteration, [T, 2].
        field: from points to the players' steps there, [..., 2] → [..., 2].
    """
    figure = sheet(title)
    axes = figure.add_axes(PORTRAIT)
    path = trajectory.double()
    path = path[path.isfinite().all(-1)]
    reach = 1.15 * max([1e-3, *path.abs().flatten().tolist()])
    ticks = torch.linspace(-reach, reach, 15, dtype=torch.float64)
    flow = field(torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1))
    axes.streamplot(
        *(ticks.numpy(), ticks.numpy(), flow[..., 0].numpy(), flow[..., 1].numpy()),
        color="#c9ced6",
        linewidth=0.8,
        arrowsize=0.8,
        density=1.1,
        zorder=1,
    )
    steps = LineCollection(torch.stack([path[:-1], path[1:]], 1).tolist(), cmap=TIME, lw=1.5, zorder=2)
    steps.set_array(np.arange(1, len(path)))
    axes.add_collection(steps)
    axes.scatter(0, 0, marker="+", s=90, color=INK, lw=1.4, zorder=4, label="equilibrium")
    ends = path[[0, -1]].tolist() if len(path) else ()
    for (theta, psi), colour, name in zip(ends, (REAL, FAKE), ("start", "end"), strict=False):
        axes.scatter(theta, psi, s=34, color=colour, lw=0, zorder=3, label=name)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="θ of the generator", ylabel="ψ of the discriminator")
    legend(axes, "upper left")
    if len(path) > 2:
        tidy_bar(figure.colorbar(steps, cax=figure.add_axes(BAR)), "iteration")
    tidy(axes)
    _draw_distance(figure, path)
    return figure


def _draw_distance(figure: Figure, path: Tensor) -> None:
    axes = figure.add_axes((0.66, 0.11, 0.325, 0.81))
    distances = path.norm(dim=-1)
    axes.plot(distances, color=INK, lw=1.7)
    axes.set(xlabel="iteration", ylabel="√(θ² + ψ²)", xlim=(0, max(1, len(path) - 1)))
    if (distances > 0).any():
        decades(axes)
    axes.grid(axis="y", color=MUTED, alpha=0.2, lw=0.8)
    tidy(axes)
