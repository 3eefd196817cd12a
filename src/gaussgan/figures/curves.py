"""Draw losses and distances as curves over the iterations of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gaussgan.figures.colors import AVERAGE, FAKE, INK, REAL
from gaussgan.figures.style import Place, decades, legend, level, panel, sparse_ticks

History = Sequence[dict[str, float]]
PLACES: tuple[Place, Place] = ((0.66, 0.55, 0.325, 0.37), (0.66, 0.11, 0.325, 0.37))
NAMES = {
    "val/w2": "W₂ to the truth",
    "val/sliced_w2": "sliced W₂ to real examples",
    "val/frechet": "Fréchet distance to real images",
}


def draw_history(
    figure: Figure, history: History, logistic: bool, tag: str, places: tuple[Place, Place] = PLACES
) -> Axes:
    """Draw the losses over iterations in one panel of a figure, and a distance over iterations in another below it.

    Args:
        figure: a sheet; see `sheet`.
        history: rows with the keys iteration, train/loss_d, train/loss_g and `tag`. A row may also have the key `tag`
            followed by _ema, for the distance of the generator's moving average. This distance is drawn too.
        logistic: true to mark the level log 2, the value of a logistic loss of D, and of the non-saturating loss of G,
            at the equilibrium.
        tag: the name of a distance to the true distribution, such as val/w2.
        places: the places of both panels; by default on the right.

    Returns:
        The axes on which the distance is drawn.
    """
    losses = panel(figure, places[0])
    for player, color, name in (("d", REAL, "discriminator"), ("g", FAKE, "generator")):
        losses.plot(*over_iterations(history, f"train/loss_{player}"), color=color, lw=1.7, label=name)
    if logistic:
        level(losses, float(np.log(2)), "log 2")
    losses.set_ylabel("loss")
    losses.tick_params(labelbottom=False)
    sparse_ticks(losses)
    legend(losses, "best")

    distance = panel(figure, places[1])
    iterations, averages = over_iterations(history, f"{tag}_ema")
    if averages:
        distance.plot(iterations, averages, color=AVERAGE, ls=":", lw=1.9, label="moving average")
    draw_distance(distance, *over_iterations(history, tag), tag, label="generator")
    if averages:
        legend(distance, "best", veil=True)
    return distance


def draw_distance(
    axes: Axes, iterations: Sequence[float], values: Sequence[float], tag: str, color: str = INK, **style: object
) -> None:
    """Draw a distance to the true distribution over iterations. Its axis is logarithmic, and `tag` is its name."""
    axes.plot(iterations, values, color=color, **{"lw": 1.9, **style})  # type: ignore[arg-type]
    axes.set(xlabel="iteration", ylabel=NAMES.get(tag, tag))
    sparse_ticks(axes)
    decades(axes)


def over_iterations(history: History, tag: str) -> tuple[list[float], list[float]]:
    """Return two lists for those rows that have the key `tag`: their iterations, and their values of `tag`."""
    rows = [row for row in history if tag in row]
    return [row["iteration"] for row in rows], [row[tag] for row in rows]
