"""A figure of the discriminator's logit and the optimal logit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gaussgan.figures.colors import INK, LOGIT, MUTED, PALE
from gaussgan.figures.plane import Plane, paint
from gaussgan.figures.style import Place, legend, note, panel, sheet, tidy_bar

NAMES = ("the discriminator's logit", "the optimal logit, log p/q")
PANELS: tuple[Place, Place] = ((0.05, 0.11, 0.405, 0.755), (0.505, 0.11, 0.405, 0.755))
CURVES: Place = (0.115, 0.11, 0.855, 0.755)
BAR: Place = (0.924, 0.11, 0.011, 0.755)
AXIS = "generated ← logit → real"
MIN_SCALE, MAX_SCALE = 0.5, 12.0  # of the scale, in nats; a logit may be noise around 0 or may have diverged
Logit = Callable[[Tensor], Tensor]


def logit_figure(
    logit: Logit, log_ratio: Logit, mean: Tensor, cov: Tensor, title: str, error: float | None = None
) -> Figure:
    """Draw the discriminator's logit and the optimal logit on the same scale.

    The optimal logit is log p/q, where p is the true density and q is the density of the generator's output. The figure
    reaches 3.6 standard deviations σ from the true mean. In one dimension the logits are two curves, whose values set
    the scale. In two dimensions they are two coloured panels, and their values within 3σ set the scale. In more than
    two dimensions the panels show the plane of the true distribution's two leading principal axes.

    Args:
        logit: maps points in float64 to the discriminator's logit, [..., d] → [...].
        log_ratio: maps points in float64 to log p/q in nats, [..., d] → [...].
        mean: the true mean, [d].
        cov: the true covariance, [d, d].
        title: the text above the figure.
        error: the root mean square difference of the two logits, which is written above the figure; None to write
            nothing.
    """
    mean, cov = mean.double(), cov.double()
    draw = _draw_curves if len(mean) == 1 else _draw_planes
    figure = draw(logit, log_ratio, mean, cov, title)
    if error is not None:
        note(figure, figure.axes[-1].get_position().x1, f"root mean square difference: {error:.3g}")
    return figure


def _draw_planes(logit: Logit, log_ratio: Logit, mean: Tensor, cov: Tensor, title: str) -> Figure:
    figure, plane = sheet(title, left=0.05), Plane(mean, cov)
    grid = plane.grid(120)
    surfaces = [surface(grid).detach().double() for surface in (logit, log_ratio)]
    offsets = plane.project(grid) - plane.centre
    inside = ((offsets @ torch.linalg.pinv(plane.cov)) * offsets).sum(-1) < 3**2
    scale = _scale([surface[inside] for surface in surfaces])
    ticks = np.array(MaxNLocator(14, symmetric=True, steps=[1, 2, 5, 10]).tick_values(-scale, scale))
    ticks = ticks[abs(ticks) <= scale]
    xs, ys = (np.linspace(low, high, len(grid)) for low, high in zip(plane.low, plane.high, strict=True))
    for name, place, surface in zip(NAMES, PANELS, surfaces, strict=True):
        axes = panel(figure, place, f"{name} (dotted: the data at 1σ and 2σ)")
        heights = surface.clamp(-4 * scale, 4 * scale)
        axes.set_facecolor(PALE)  # visible where a logit is NaN
        image = plane.paint(axes, heights, cmap=LOGIT, vmin=-scale, vmax=scale)
        # The contours of a diverged logit would overlap.
        levels = ticks if (surface.abs() < scale).double().mean() > 0.02 else np.zeros(1)
        crossed = [level for level in levels if (heights < level).any() and (heights > level).any()]
        if crossed:
            widths = [1.6 if level == 0 else 0.7 for level in crossed]
            contours = axes.contour(xs, ys, heights, crossed, colors=INK, linewidths=widths, linestyles="-")
            axes.clabel(contours, fontsize=8, fmt=lambda level: f"{level:g}".replace("-", "−"))
        plane.outline(axes, mean, cov, color=INK, ls=":", lw=1.1)
    figure.axes[1].set_ylabel("")
    tidy_bar(figure.colorbar(image, cax=figure.add_axes(BAR), ticks=ticks), AXIS)
    return figure


def _draw_curves(logit: Logit, log_ratio: Logit, mean: Tensor, cov: Tensor, title: str) -> Figure:
    figure = sheet(title, left=CURVES[0], width=5.6)
    axes, std = panel(figure, CURVES), cov.flatten().sqrt()
    x = mean + std * torch.linspace(-3.6, 3.6, 400, dtype=torch.float64)
    curves = [surface(x.unsqueeze(-1)).detach().double() for surface in (logit, log_ratio)]
    limit = 1.4 * _scale(curves)  # leaves space for the legend
    colors = LOGIT(np.linspace(0.25, 0.75, 100))[:, None]
    ends = (x[0].item(), x[-1].item(), -limit, limit)
    paint(axes, colors, ends, alpha=0.55)
    axes.axhline(0, color=MUTED, lw=1.1, ls="--")
    for k in (-2, -1, 1, 2):
        axes.axvline((mean + k * std).item(), color=INK, lw=1.1, ls=":", alpha=0.5, ymax=0.78)
    for name, style, curve in zip(NAMES, ("-", "--"), curves, strict=True):
        axes.plot(x, curve, color=INK, ls=style, lw=1.9, label=name)
    axes.set(xlim=ends[:2], ylim=ends[2:], xlabel="x", ylabel=AXIS)
    legend(axes, "upper left", title="dotted: the data at 1σ and 2σ")
    return figure


def _scale(surfaces: list[Tensor]) -> float:
    sizes = torch.cat([surface.abs().flatten() for surface in surfaces])
    sizes = sizes[sizes.isfinite()]
    return sizes.quantile(0.98).clamp(MIN_SCALE, MAX_SCALE).item() if len(sizes) else MIN_SCALE
