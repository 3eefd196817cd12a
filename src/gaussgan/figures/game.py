"""A figure of a game on Gaussian data: examples, distributions, discriminator, losses and the distance W₂."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.figures.colors import AVERAGE, FAKE, REAL
from gaussgan.figures.curves import History, draw_history
from gaussgan.figures.plane import Line, Plane
from gaussgan.figures.style import indented, legend, level, panel, sheet
from gaussgan.figures.verdict import GAME, Verdict

NOT_VISIBLE = ": not visible"


class Cloud(NamedTuple):
    """Examples of a distribution, [n, d], with the distribution's mean, [d], and covariance, [d, d]."""

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
    """Draw examples, distributions and discriminator on the left, and losses and W₂ over iterations on the right.

    W₂ is the 2-Wasserstein distance of the generator's distribution to the true one.

    In more than two dimensions, the left panel is the plane of the true distribution's two leading principal axes.

    Args:
        real: real examples, with the true mean and covariance.
        fake: generated examples, with the mean and covariance of the generator's output.
        verdict: draws the discriminator.
        history: rows with the keys iteration, train/loss_d, train/loss_g and val/w2. A row may also have the key
            val/w2_ema, for the distance of the generator's moving average. This distance is drawn too.
        mle: the distance W₂ of the maximum-likelihood baseline to the true distribution.
        title: the text above the figure.
        average: the mean, [d], and covariance, [d, d], of the output of the generator's moving average; None if there
            is no moving average.
    """
    figure = sheet(title, left=GAME[0])
    draw = _draw_densities if len(real.mean) == 1 else _draw_plane
    draw(figure, real, fake, verdict, average)
    error = draw_history(figure, history, verdict.probability, "val/w2")
    if not history:
        error.set_ylim(mle / 2, mle * 2)
    level(error, mle, f"baseline: {mle:.3f}")
    return figure


def _draw_plane(
    figure: Figure, real: Cloud, fake: Cloud, verdict: Verdict, average: tuple[Tensor, Tensor] | None
) -> None:
    axes, plane = panel(figure, GAME), Plane(real.mean, real.cov)
    verdict.draw_surface(figure, axes, plane, real.points, fake.points)
    for cloud, color, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        points = plane.project(cloud.points)
        seen = points[((points - plane.centre).abs() < 4 * plane.spread).all(-1)].numpy()
        label = name if len(seen) else name + NOT_VISIBLE
        axes.scatter(seen[:, 0], seen[:, 1], s=14, color=color, alpha=0.75, lw=0, zorder=2, label=label)
        plane.outline(axes, cloud.mean, cloud.cov, color=color, ls=style, lw=1.7, zorder=3)
    if average is not None:
        visible = plane.outline(axes, *average, color=AVERAGE, ls=":", lw=1.9, zorder=4)
        label = "moving average" + ("" if visible else NOT_VISIBLE)
        axes.plot([], color=AVERAGE, ls=":", lw=1.9, label=label)
    legend(axes, "upper left", title="examples; distributions at 1σ and 2σ")


def _draw_densities(
    figure: Figure, real: Cloud, fake: Cloud, verdict: Verdict, average: tuple[Tensor, Tensor] | None
) -> None:
    axes, line = panel(figure, indented(GAME)), Line(real.mean, real.cov)
    for cloud, color, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        points = cloud.points.double().flatten()
        seen = points[(points - real.mean).abs() < 4 * line.spread].numpy()
        label = name if len(seen) else name + NOT_VISIBLE
        axes.hist(seen, bins=25, density=len(seen) > 0, color=color, alpha=0.3, label=label)
        line.outline(axes, cloud.mean, cloud.cov, color=color, ls=style, lw=1.7)
    if average is not None:
        line.outline(axes, *average, color=AVERAGE, ls=":", lw=1.9, label="moving average")
    verdict.draw_curve(figure, axes, line.x, real.points, fake.points)
    line.frame(axes)
    legend(axes, "upper left", title="examples and distributions", veil=True)
