"""A game between a generator and a discriminator where the law is Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.figures.curves import History, draw_losses, draw_score, over_iterations
from gaussgan.figures.plane import Line, Plane
from gaussgan.figures.style import (
    FAKE,
    MUTED,
    PROBABILITY,
    REAL,
    legend,
    level,
    sheet,
    tidy,
    tidy_bar,
    tidy_twin,
)

GAME, BAR = (0.045, 0.11, 0.5, 0.81), (0.552, 0.11, 0.011, 0.81)  # where they stand: left, bottom, width, height
Probability = Callable[[Tensor], Tensor]


class Cloud(NamedTuple):
    """Examples of a law, [n, d], beside its mean, [d], and covariance, [d, d]."""

    points: Tensor
    mean: Tensor
    cov: Tensor


def game_figure(
    real: Cloud, fake: Cloud, probability: Probability, history: History, mle: float, title: str, logistic: bool = True
) -> Figure:
    """What a run looks like: examples, laws and discriminator on the left; losses and w2 over iterations on the right.

    Beyond two dimensions the left part shows the plane of the real law's two leading principal axes through its mean.

    Args:
        probability: the discriminator's that a point is real, [..., d] → [..., 1].
        history: rows with iteration, train/loss_d, train/loss_g and val/w2.
        mle: the w2 of the maximum-likelihood fit.
        logistic: whether the losses are log 2 at the equilibrium.
    """
    figure = sheet(title)
    draw = _draw_densities if len(real.mean) == 1 else _draw_plane
    draw(figure, real, fake, probability)
    draw_losses(figure.add_axes((0.66, 0.55, 0.325, 0.37)), history, logistic)
    error = figure.add_axes((0.66, 0.11, 0.325, 0.37))
    draw_score(error, *over_iterations(history, "val/w2"), "val/w2")
    if not history:
        error.set_ylim(mle / 2, mle * 2)
    level(error, mle, f"maximum likelihood: {mle:.3f}")
    return figure


def _draw_plane(figure: Figure, real: Cloud, fake: Cloud, probability: Probability) -> None:
    axes, plane = figure.add_axes(GAME), Plane(real.mean, real.cov)
    image = plane.paint(axes, probability(plane.grid(90)).squeeze(-1), cmap=PROBABILITY, vmin=0, vmax=1)
    for cloud, colour, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        points = plane.project(cloud.points)
        seen = points[((points - plane.centre).abs() < 4 * plane.spread).all(-1)].numpy()
        label = name if len(seen) else f"{name}: out of sight"
        axes.scatter(seen[:, 0], seen[:, 1], s=14, color=colour, alpha=0.75, lw=0, zorder=2, label=label)
        plane.outline(axes, cloud.mean, cloud.cov, color=colour, ls=style, lw=1.7, zorder=3)
    legend(axes, "upper left", title="examples, and laws at 1σ and 2σ")
    tidy_bar(figure.colorbar(image, cax=figure.add_axes(BAR), ticks=[0, 0.5, 1]), "D's probability of real")
    tidy(axes)


def _draw_densities(figure: Figure, real: Cloud, fake: Cloud, probability: Probability) -> None:
    axes = figure.add_axes(GAME)
    axes.set_position((GAME[0] + 0.025, GAME[1], GAME[2] - 0.025, GAME[3]))  # a density's tick labels are long
    line = Line(real.mean, real.cov)
    for cloud, colour, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        points = cloud.points.double().flatten()
        seen = points[(points - real.mean).abs() < 4 * line.spread].numpy()
        label = name if len(seen) else f"{name}: out of sight"
        axes.hist(seen, bins=25, density=len(seen) > 0, color=colour, alpha=0.3, label=label)
        line.outline(axes, cloud.mean, cloud.cov, color=colour, ls=style, lw=1.7)
    chance = axes.twinx()
    chance.plot(line.x, probability(line.x.unsqueeze(-1)).flatten(), color=MUTED, lw=1.2)
    chance.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    tidy_twin(chance, "D's probability of real (grey)")
    line.frame(axes)
    legend(axes, "upper left", title="examples and laws")
    tidy(axes)
