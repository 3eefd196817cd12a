"""Draw efficiencies: against maximum likelihood seed by seed, and over dimensions and condition numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.evaluation.summary import infinite_for_nan
from gaussgan.figures.colors import CATEGORIES, MUTED, TIME
from gaussgan.figures.style import decades, label, legend, panel, sheet

FLOOR = 1e-3  # the lower end of the axis of efficiencies
PLACES = [(0.06 + 0.315 * i, 0.12, 0.275, 0.72) for i in range(3)]


class Runs(NamedTuple):
    """The distances of R runs.

    Attributes:
        w2: the distance of each generator from the true distribution after each evaluated epoch, [R, E]; NaN for a run
            that has diverged.
        baseline: the distance of the maximum-likelihood fit to the same examples, [R].
        iterations: the number of iterations after each evaluated epoch, [E].
    """

    w2: Tensor
    baseline: Tensor
    iterations: Tensor

    def efficiency(self) -> Tensor:
        """Return mean(baseline²) / mean(w2²) after each evaluated epoch, [E]. It is 0 if a run has diverged."""
        return self.baseline.square().mean() / infinite_for_nan(self.w2).square().mean(0)


def interval(runs: Runs, draws: int = 1000) -> tuple[float, float]:
    """Return a 95% bootstrap interval of the final efficiency: its runs are drawn again, with replacement."""
    squares = np.stack([runs.baseline.numpy() ** 2, infinite_for_nan(runs.w2[:, -1]).numpy() ** 2])
    index = np.random.default_rng(0).integers(len(runs.baseline), size=(draws, len(runs.baseline)))
    baseline, w2 = squares[:, index].mean(-1)
    low, high = np.quantile(baseline / w2, [0.025, 0.975])
    return float(low), float(high)


def efficiency_figure(recipes: Mapping[str, Runs]) -> Figure:
    """Draw the distances of runs over those of their baselines, and the efficiency of each recipe during training.

    The title of the first panel says how many runs lie outside its axes. A run that diverged does.

    Args:
        recipes: maps the name of each of two or three recipes to its runs, in the order of their colours.
    """
    figure = sheet("Generators and maximum likelihood on the same examples", 0.06)
    colors = dict(zip(recipes, CATEGORIES, strict=False))
    low, right, high = 0.005, 0.4, 3.0
    hidden = sum(
        int((~_between(low, runs.baseline, right) | ~_between(low, runs.w2[:, -1], high)).sum())
        for runs in recipes.values()
    )
    more = f"; outside: {hidden}" if hidden else ""
    seeds = panel(figure, (0.06, 0.12, 0.37, 0.74), f"each run, after its last iteration{more}")
    seeds.plot([low, high], [low, high], color=MUTED, lw=1.1, ls="--", zorder=1)
    label(seeds, "as good as the fit", (0.007, 0.007), (8, -2))
    for name, runs in recipes.items():
        seeds.scatter(runs.baseline, runs.w2[:, -1], 7, colors[name], alpha=0.5, linewidths=0, label=name)
    seeds.set(
        xlabel="w2 of the maximum-likelihood fit", ylabel="w2 of the generator", xlim=(low, right), ylim=(low, high)
    )
    decades(seeds, "x")
    decades(seeds)
    over = panel(figure, (0.53, 0.12, 0.44, 0.74), "over the iterations; 1: as good as maximum likelihood")
    for name, runs in recipes.items():
        values = runs.efficiency()
        over.plot(runs.iterations, values, color=colors[name], lw=1.6, label=f"{name}: {values[-1]:.3f}")
    over.axhline(1, color=MUTED, lw=1.1, ls="--", zorder=0)
    over.set(xlabel="iterations", ylabel="efficiency", ylim=(2e-4, 2), xlim=(0, None))
    decades(over)
    legend(over, "lower right", "after the last iteration")
    return figure


def _between(low: float, values: Tensor, high: float) -> Tensor:
    return (values >= low) & (values <= high)  # false for NaN


def efficiency_map(recipes: Mapping[str, Mapping[tuple[int, float], Runs]]) -> Figure:
    """Draw the efficiency of recipes over the condition number of the covariance, with a line for each dimension.

    Bars are 95% bootstrap intervals. An efficiency below 0.001, or of runs that diverged, is a cross at the bottom.

    Args:
        recipes: maps the name of each of up to three recipes to a map from (dimension, condition number) to runs.
    """
    figure = sheet("Efficiency over the dimension and the condition number of the covariance", PLACES[0][0])
    for place, (name, cells) in zip(PLACES, recipes.items(), strict=False):
        axes = panel(figure, place, name)
        dims = sorted({dim for dim, _ in cells})
        for i, dim in enumerate(dims):
            _line(axes, dim, {k: runs for (d, k), runs in cells.items() if d == dim}, (i + 0.5) / len(dims), i)
        axes.axhline(1, color=MUTED, lw=1.1, ls="--", zorder=0)
        axes.set(xlabel="condition number", ylim=(FLOOR, 1.6))
        axes.set_ylabel("efficiency" if place is PLACES[0] else "")
        decades(axes)
        decades(axes, "x")
    legend(axes, "lower right", veil=True)
    return figure


def _line(axes: Axes, dim: int, cells: Mapping[float, Runs], shade: float, i: int) -> None:
    numbers = sorted(cells)
    x = np.array(numbers) * 1.09**i  # a little apart, so that bars do not cover each other
    y = np.array([cells[k].efficiency()[-1].item() for k in numbers])
    ends = np.array([interval(cells[k]) for k in numbers]).T
    color, seen = TIME(shade), y > FLOOR
    axes.plot(x[seen], y[seen], color=color, lw=1.5, marker="o", ms=3.5, label=f"{dim} dimensions")
    axes.vlines(x[seen], ends[0][seen].clip(FLOOR), ends[1][seen], color=color, lw=1.2)
    axes.scatter(x[~seen], np.full((~seen).sum(), FLOOR), 22, [color], marker="x", clip_on=False, zorder=3)


def texts(recipes: Mapping[str, Runs]) -> Sequence[str]:
    """Return a line for each recipe: its final efficiency with a 95% bootstrap interval."""
    lines = []
    for name, runs in recipes.items():
        low, high = interval(runs)
        lines.append(f"{name}: {runs.efficiency()[-1].item():.3f} [{low:.3f}, {high:.3f}]")
    return lines
