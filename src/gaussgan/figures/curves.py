"""What changes over the iterations of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from gaussgan.figures.style import AVERAGE, FAKE, INK, REAL, decades, legend, level, tidy

History = Sequence[dict[str, float]]
NAMES = {"val/w2": "W₂ to the true law", "val/sliced_w2": "sliced W₂ to the true law"}


def draw_losses(axes: Axes, history: History, logistic: bool) -> None:
    """Either player's loss: train/loss_d and train/loss_g; for a logistic objective beside its equilibrium's, log 2."""
    iterations = [row["iteration"] for row in history]
    axes.plot(iterations, [row["train/loss_d"] for row in history], color=REAL, lw=1.7, label="discriminator")
    axes.plot(iterations, [row["train/loss_g"] for row in history], color=FAKE, lw=1.7, label="generator")
    if logistic:
        level(axes, float(np.log(2)), "log 2")
    axes.set_ylabel("loss")
    axes.tick_params(labelbottom=False)
    legend(axes, "best")
    tidy(axes)


def draw_score(
    axes: Axes, iterations: Sequence[float], values: Sequence[float], tag: str, color: str = INK, **style: object
) -> None:
    """A distance to the truth, on a logarithmic axis."""
    axes.plot(iterations, values, color=color, lw=1.9, **style)  # type: ignore[arg-type]
    axes.set(xlabel="iteration", ylabel=NAMES.get(tag, tag))
    decades(axes)
    tidy(axes)


def draw_scores(axes: Axes, history: History, tag: str) -> None:
    """The distance of the generator, and that of its moving average where rows have it."""
    iterations, averages = over_iterations(history, f"{tag}_ema")
    if averages:
        axes.plot(iterations, averages, color=AVERAGE, ls=":", lw=1.9, label="moving average")
    draw_score(axes, *over_iterations(history, tag), tag, label="generator")
    if averages:
        legend(axes, "best", veil=True)


def over_iterations(history: History, tag: str) -> tuple[list[float], list[float]]:
    """Iterations and values of the rows that have the tag."""
    rows = [row for row in history if tag in row]
    return [row["iteration"] for row in rows], [row[tag] for row in rows]
