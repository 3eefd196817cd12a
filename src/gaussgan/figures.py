"""Figures of a game as pure functions from numbers to matplotlib figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import LogLocator, NullLocator
from torch import Tensor

REAL, FAKE, INK, MUTED = "#1f4e9c", "#d1541f", "#22252a", "#7d838d"
# From "generated" through the undecided middle to "real", pale enough to let the points stand out.
PROBABILITY = LinearSegmentedColormap.from_list("probability", ["#f4b58f", "#fdeee2", "#ffffff", "#e3ecf8", "#9dbbe6"])
GAME, BAR = (0.045, 0.11, 0.5, 0.81), (0.552, 0.11, 0.011, 0.81)  # where they stand: left, bottom, width, height
Probability = Callable[[Tensor], Tensor]
History = Sequence[dict[str, float]]


class Cloud(NamedTuple):
    """Examples of a law, [n, d], beside its mean, [d], and covariance, [d, d]."""

    points: Tensor
    mean: Tensor
    cov: Tensor


def game_figure(real: Cloud, fake: Cloud, probability: Probability, history: History, mle: float, title: str) -> Figure:
    """What a run looks like: examples, laws and discriminator on the left; losses and w2 over iterations on the right.

    Beyond two dimensions the left part shows the plane of the real law's two leading principal axes through its mean.

    Args:
        probability: the discriminator's that a point is real, [..., d] → [..., 1].
        history: rows with iteration, train/loss_d, train/loss_g and val/w2.
        mle: the w2 of the maximum-likelihood fit.
    """
    figure = Figure(figsize=(11, 5.2), dpi=100)
    draw = _draw_densities if len(real.mean) == 1 else _draw_plane
    draw(figure, real, fake, probability)
    _draw_losses(figure.add_axes((0.66, 0.55, 0.325, 0.37)), history)
    _draw_error(figure.add_axes((0.66, 0.11, 0.325, 0.37)), history, mle)
    figure.text(GAME[0], 0.945, title, fontsize=11, color=INK)
    return figure


def render(figure: Figure) -> np.ndarray:
    """A figure as an image, [height, width, RGB], of bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _draw_plane(figure: Figure, real: Cloud, fake: Cloud, probability: Probability) -> None:
    axes = figure.add_axes(GAME)
    d = len(real.mean)
    basis = torch.eye(2, dtype=torch.float64) if d == 2 else torch.linalg.eigh(real.cov).eigenvectors.flip(-1)[:, :2]
    centre, spread = real.mean @ basis, (basis.mT @ real.cov @ basis).diagonal().sqrt().clamp(min=1e-3)
    low, high = (centre - 3.6 * spread).tolist(), (centre + 3.6 * spread).tolist()
    xs, ys = (torch.linspace(low[i], high[i], 90, dtype=torch.float64) for i in (0, 1))
    plane = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)
    image = axes.imshow(
        probability(real.mean + (plane - centre) @ basis.mT).squeeze(-1).numpy(),
        extent=(low[0], high[0], low[1], high[1]),
        origin="lower",
        aspect="auto",
        cmap=PROBABILITY,
        vmin=0,
        vmax=1,
        interpolation="bilinear",
    )
    for cloud, colour, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        points = cloud.points.double() @ basis
        seen = points[((points - centre).abs() < 4 * spread).all(-1)].numpy()
        label = name if len(seen) else f"{name}: out of sight"
        axes.scatter(seen[:, 0], seen[:, 1], s=14, color=colour, alpha=0.75, lw=0, zorder=2, label=label)
        mean, cov = cloud.mean.double() @ basis, basis.mT @ cloud.cov.double() @ basis
        # A diverged law's ellipse would be endless to draw in dashes, and not to be seen.
        if (mean - centre).abs().max() < 20 * spread.max() and cov.abs().max().sqrt() < 20 * spread.max():
            for k in (1, 2):
                axes.add_patch(_ellipse(mean, cov, k, fill=False, color=colour, ls=style, lw=1.7, zorder=3))
    names = ("x₁", "x₂") if d == 2 else ("first principal axis", "second principal axis")
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel=names[0], ylabel=names[1])
    _legend(axes, "upper left", title="examples, and laws at 1σ and 2σ")
    bar = figure.colorbar(image, cax=figure.add_axes(BAR), ticks=[0, 0.5, 1])
    bar.set_label("D's probability of real", color=INK, fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    _tidy(axes)


def _ellipse(mean: Tensor, cov: Tensor, k: int, **style: object) -> Ellipse:
    values, vectors = torch.linalg.eigh(cov)
    width, height = (2 * k * values.clamp(min=0).sqrt()).tolist()
    angle = torch.atan2(vectors[1, 0], vectors[0, 0]).rad2deg().item()
    return Ellipse(tuple(mean.tolist()), width, height, angle=angle, **style)


def _draw_densities(figure: Figure, real: Cloud, fake: Cloud, probability: Probability) -> None:
    axes = figure.add_axes(GAME)
    axes.set_position((GAME[0] + 0.025, GAME[1], GAME[2] - 0.025, GAME[3]))  # a density's tick labels are long
    spread = real.cov.flatten().sqrt()
    x = real.mean + spread * torch.linspace(-4, 4, 300, dtype=torch.float64)
    for cloud, colour, style, name in ((real, REAL, "-", "real"), (fake, FAKE, "--", "generated")):
        points, std = cloud.points.double().flatten(), cloud.cov.double().flatten().sqrt()
        seen = points[(points - real.mean).abs() < 4 * spread].numpy()
        label = name if len(seen) else f"{name}: out of sight"
        axes.hist(seen, bins=25, density=len(seen) > 0, color=colour, alpha=0.3, label=label)
        density = torch.exp(-(((x - cloud.mean) / std) ** 2) / 2) / (std * (2 * torch.pi) ** 0.5)
        axes.plot(x, density.detach(), color=colour, ls=style, lw=1.7)
    chance = axes.twinx()
    chance.plot(x, probability(x.unsqueeze(-1)).flatten(), color=MUTED, lw=1.2)
    chance.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    chance.set_ylabel("D's probability of real (grey)", color=INK, fontsize=9)
    chance.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    chance.spines[:].set_visible(False)
    axes.set(xlabel="x", ylabel="density", xlim=(x[0].item(), x[-1].item()))
    _legend(axes, "upper left", title="examples and laws")
    _tidy(axes)


def _draw_losses(axes: Axes, history: History) -> None:
    iterations = [row["iteration"] for row in history]
    axes.plot(iterations, [row["train/loss_d"] for row in history], color=REAL, lw=1.7, label="discriminator")
    axes.plot(iterations, [row["train/loss_g"] for row in history], color=FAKE, lw=1.7, label="generator")
    _level(axes, float(np.log(2)), "log 2")
    axes.set_ylabel("loss")
    axes.tick_params(labelbottom=False)
    _legend(axes, "upper right")
    _tidy(axes)


def _draw_error(axes: Axes, history: History, mle: float) -> None:
    axes.plot([row["iteration"] for row in history], [row["val/w2"] for row in history], color=INK, lw=1.9)
    _level(axes, mle, f"maximum likelihood: {mle:.3f}")
    if not history:
        axes.set_ylim(mle / 2, mle * 2)
    axes.set(xlabel="iteration", ylabel="W₂ to the true law", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    _tidy(axes)


def _level(axes: Axes, y: float, name: str) -> None:
    axes.axhline(y, color=MUTED, lw=1.1, ls="--", zorder=1)
    axes.annotate(
        name,
        xy=(0.99, y),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=MUTED,
    )


def _legend(axes: Axes, place: str, title: str = "") -> None:
    legend = axes.legend(  # type: ignore[call-overload]
        frameon=False, fontsize=9, title=title, title_fontsize=8, alignment="left", loc=place
    )
    legend.get_title().set_color(MUTED)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9)
