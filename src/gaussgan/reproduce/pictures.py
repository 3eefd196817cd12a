"""Pictures beside the table: samples of runs, and the value surfaces of critics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.figures.colors import FAKE, INK, REAL
from gaussgan.figures.style import panel, sheet
from gaussgan.rng import normal, stream
from gaussgan.runs.directory import LAST
from gaussgan.runs.load import load_run

COLUMNS = 3


def samples_figure(runs: Mapping[str, Path], title: str, n: int = 1000) -> Figure | None:
    """Draw real and generated examples of several runs in the plane, one panel each; None if a run has no checkpoint.

    Args:
        runs: maps the caption of a panel to the directory of its run.
        title: the text above the figure.
        n: the number of examples of each kind.
    """
    if not all((directory / LAST).is_file() for directory in runs.values()):
        return None
    figure = sheet(title, height=7.6)
    for i, (caption, directory) in enumerate(runs.items()):
        run = load_run(directory)
        noise = normal(n, run.config["data"]["latent_dim"], generator=stream(0, "picture latents"))
        with torch.no_grad():
            fake = run.best_generator(noise)
        real = run.distribution.sample(n, stream(0, "picture examples"))
        axes = panel(figure, _place(i), caption)
        reach = 1.2 * real.abs().max().item()
        for points, color, size in ((real, REAL, 9), (fake, FAKE, 4)):
            axes.scatter(points[:, 0], points[:, 1], s=size, color=color, alpha=0.6, lw=0)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    return figure


def surfaces_figure(surfaces: Mapping[str, tuple[Tensor, Tensor]], reach: float, title: str) -> Figure:
    """Draw contours of critics over the plane, one panel each.

    Args:
        surfaces: maps the caption of a panel to the critic's values on a square grid, [m, m], whose first row is the
            lowest, and to real examples, [n, 2].
        reach: the grid goes from −reach to reach along both axes.
        title: the text above the figure.
    """
    figure = sheet(title, height=7.6)
    for i, (caption, (values, real)) in enumerate(surfaces.items()):
        axes, ticks = panel(figure, _place(i), caption), torch.linspace(-reach, reach, len(values)).numpy()
        axes.contourf(ticks, ticks, values.numpy(), 16, cmap="viridis", alpha=0.85)
        axes.contour(ticks, ticks, values.numpy(), 16, colors=INK, linewidths=0.4)
        axes.scatter(real[:, 0], real[:, 1], s=3, color=FAKE, alpha=0.7, lw=0)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    return figure


def _place(i: int) -> tuple[float, float, float, float]:
    row, column = divmod(i, COLUMNS)
    return 0.02 + 0.33 * column, 0.49 - 0.475 * row, 0.3, 0.42
