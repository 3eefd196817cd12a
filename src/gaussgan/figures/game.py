"""A game between a generator and a discriminator where the law is Gaussian."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.figures.curves import History, draw_losses, draw_scores
from gaussgan.figures.plane import Line, Plane
from gaussgan.figures.style import AVERAGE, FAKE, REAL, legend, level, sheet, tidy
from gaussgan.figures.verdict import GAME, Verdict


class Cloud(NamedTuple):
    """Examples of a law, [n, d], beside its mean, [d], and covariance, [d, d]."""

    points: Tensor
    mean: Tensor
    cov: Tensor


def game_figure(
    real: Cloud,
    fake: Cloud,
    verdict: Verdict,
    history: History,
    mle: float,
    title: str,
    average: tuple[Tensor, Tensor] | None = None,
) -> Figure:
    """What a run looks like: examples, laws and discriminator on the left; losses and w2 over iterations on the right.

    Beyond two dimensions the left part shows the plane of the real law's two leading principal axes through its mean.

    Args:
        history: rows with iteration, train/loss_d, train/loss_g and val/w2; also val/w2_ema, where rows have it.
        mle: the w2 of the maximum-likelihood fit.
        average: mean, [d], and covariance, [d, d], of the moving average of the generator.
    """
    figure = sheet(title, left=GAME[0])
    draw = _draw_densities if len(real.mean) == 1 else _draw_plane
    draw(figure, real, fake, verdict, average)
    draw_losses(figure.add_axes((0.66, 0.55, 0.325, 0.37)), history, verdict.probability)
    error = figure.add_axes((0.66, 0.11, 0.325, 0.37))
    draw_scores(error, history, "val/w2")
    if not history:
        error.set_ylim(mle / 2, mle * 2)
    level(error, mle, f"maximum likelihood: {mle:.3f}")
    return figure


def _draw_plane(
    figure: Figure, real: Cloud, fake: Cloud, verdict: Verdict, average: tuple[Tensor, Tensor] | None
) -> None:
    axes, plane = figure.add_axes(GAME), Plane(real.mean, real.cov)
    verdict.draw_surface(axes, plane, real.points, fake.points)
    for cloud, colour, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        points = plane.project(cloud.points)
        seen = points[((points - plane.centre).abs() < 4 * plane.spread).all(-1)].numpy()
        label = name if len(seen) else f"{name}: out of sight"
        axes.scatter(seen[:, 0], seen[:, 1], s=14, color=colour, alpha=0.75, lw=0, zorder=2, label=label)
        plane.outline(axes, cloud.mean, cloud.cov, color=colour, ls=style, lw=1.7, zorder=3)
    if average is not None:
        name = "moving average"
        if not plane.outline(axes, *average, color=AVERAGE, ls=":", lw=1.9, zorder=4):
            name += ": out of sight"
        axes.plot([], color=AVERAGE, ls=":", lw=1.9, label=name)
    legend(axes, "upper left", title="examples, and laws at 1σ and 2σ")
    tidy(axes)


def _draw_densities(
    figure: Figure, real: Cloud, fake: Cloud, verdict: Verdict, average: tuple[Tensor, Tensor] | None
) -> None:
    axes = figure.add_axes(GAME)
    axes.set_position((GAME[0] + 0.025, GAME[1], GAME[2] - 0.025, GAME[3]))  # a density's tick labels are long
    line = Line(real.mean, real.cov)
    for cloud, colour, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        points = cloud.points.double().flatten()
        seen = points[(points - real.mean).abs() < 4 * line.spread].numpy()
        label = name if len(seen) else f"{name}: out of sight"
        axes.hist(seen, bins=25, density=len(seen) > 0, color=colour, alpha=0.3, label=label)
        line.outline(axes, cloud.mean, cloud.cov, color=colour, ls=style, lw=1.7)
    if average is not None:
        line.outline(axes, *average, color=AVERAGE, ls=":", lw=1.9, label="moving average")
    verdict.draw_curve(axes, line.x, real.points, fake.points)
    line.frame(axes)
    legend(axes, "upper left", title="examples and laws", veil=True)
    tidy(axes)
