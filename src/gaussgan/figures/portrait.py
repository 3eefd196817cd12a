"""The phase portrait of a game with one parameter for each player."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.figures.colors import INK, TIME
from gaussgan.figures.plane import frame, mesh, widen
from gaussgan.figures.style import Place, aspect, crosshair, decades, legend, panel, sheet, sparse_ticks

LEFT: Place = (0.055, 0.11, 0.54, 0.81)
RIGHT: Place = (0.67, 0.11, 0.315, 0.81)
SHADES = 256  # a trajectory is drawn as at most this number of segments; each has one colour
Field = Callable[[Tensor], Tensor]


def portrait_figure(trajectory: Tensor, field: Field, title: str) -> Figure:
    """Draw the phase portrait of a game in which each player has one parameter and the equilibrium is (0, 0).

    The left panel shows the path of the parameters (θ, ψ), and arrows that show the directions of descent. A path that
    goes further than about five times its initial distance from the equilibrium is cut off. The right panel shows the
    distance √(θ² + ψ²) from the equilibrium over iterations.

    Args:
        trajectory: [T, 2], the generator's parameter θ and the discriminator's parameter ψ at iterations 0, …, T − 1.
        field: maps points (θ, ψ) to the directions of descent (−η_G ∂L_G/∂θ, −η_D ∂L_D/∂ψ), [..., 2] → [..., 2]. η_G
            and η_D are the learning rates.
        title: the text above the figure.
    """
    figure = sheet(title, left=LEFT[0])
    path = trajectory.double()
    iterations = torch.arange(len(path), dtype=torch.float64)
    _draw_path(panel(figure, LEFT), path, field)
    _draw_distance(panel(figure, RIGHT), torch.stack([iterations, path.norm(dim=-1)], -1))
    return figure


def _draw_path(axes: Axes, path: Tensor, field: Field) -> None:
    limit = 1.15 * _reach(path)
    low, high = widen(-limit.expand(2), limit.expand(2), ratio=aspect(LEFT))
    grid = mesh(low, high, 31, 23)
    # Close to the equilibrium, streamlines would overlap.
    directions = torch.where(grid.norm(dim=-1, keepdim=True) > 0.05 * limit, field(grid).double(), torch.nan)
    xs, ys, (u, v) = grid[0, :, 0].numpy(), grid[:, 0, 1].numpy(), directions.unbind(-1)
    axes.streamplot(xs, ys, u.numpy(), v.numpy(), color="#c9cdd4", density=0.9, linewidth=0.8, arrowsize=0.8, zorder=0)
    crosshair(axes)
    axes.plot(0, 0, "+", color=INK, ms=15, mew=1.6, zorder=4, label="equilibrium")
    axes.add_collection(_shaded(path), autolim=False)
    for point, color, name in ((path[:1], TIME(0.0), "start"), (path[-1:], TIME(1.0), "end")):
        seen = len(point) and bool(((point > low) & (point < high)).all())
        label = name if seen else f"{name}: not visible"
        axes.scatter(point[:, 0], point[:, 1], s=52, color=color, edgecolor="white", lw=1.3, zorder=5, label=label)
    frame(axes, low, high)
    axes.set(xlabel="θ, the generator's", ylabel="ψ, the discriminator's")
    legend(axes, "upper left", title="arrows: descent", veil=True)


def _draw_distance(axes: Axes, distance: Tensor) -> None:
    distance = distance.where(distance[:, 1:].isfinite() & (distance[:, 1:] > 0), torch.nan)
    axes.plot(*distance.T.tolist(), lw=0)  # sets the limits, as a logarithmic axis ignores collections
    axes.add_collection(_shaded(distance), autolim=False)
    axes.set(xlabel="iteration", ylabel="distance from equilibrium, √(θ² + ψ²)")
    sparse_ticks(axes)
    decades(axes)


def _reach(path: Tensor) -> Tensor:
    """Return the distance from 0 that the left panel must show. The panel adds a margin to it."""
    distances = path.norm(dim=-1)
    finite = distances[distances.isfinite()]
    start = finite[:1].sum()
    largest = finite.max() if len(finite) else start
    return torch.minimum(largest, 5 * start) if start > 0 else torch.ones_like(start)


def _shaded(line: Tensor) -> LineCollection:
    """Return a line through T points, [T, 2]. The colour changes along the line to show the time."""
    n, points = max(len(line) - 1, 1), line.numpy()
    chunks = np.array_split(np.arange(n), min(SHADES, n))
    segments, colors = [points[chunk[0] : chunk[-1] + 2] for chunk in chunks], TIME(np.linspace(0, 1, len(chunks)))
    return LineCollection(segments, colors=colors, linewidths=1.8, capstyle="round", zorder=3)
