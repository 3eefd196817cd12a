"""What a discriminator says beside what the best one would say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gaussgan.figures.plane import Plane
from gaussgan.figures.style import INK, MUTED, PALE, caption, legend, sheet, tidy, tidy_bar

NAMES = ("the discriminator's logit", "the optimal logit, log p/q")
PANELS = (0.05, 0.11, 0.405, 0.755), (0.505, 0.11, 0.405, 0.755)
CURVES = (0.115, 0.11, 0.855, 0.755)
BAR = (0.924, 0.11, 0.011, 0.755)
LOGIT = LinearSegmentedColormap.from_list("logit", ["#dd7243", "#f6c4a6", "#ffffff", "#b5caea", "#4a78bd"])
LEAST, MOST = 0.5, 12.0  # nats at the ends of the colour scale: neither noise about 0 nor a diverged logit may set it
Logit = Callable[[Tensor], Tensor]


def logit_figure(
    logit: Logit, log_ratio: Logit, mean: Tensor, cov: Tensor, title: str, error: float | None = None
) -> Figure:
    """The discriminator's logit and the optimal one, log p/q, on one scale, out to 3.6σ of the true law.

    The scale is set by what is within 3σ, and shades end at its ends.

    Beyond two dimensions the plane of the law's two leading principal axes through its mean; in one, two curves.

    Args:
        logit: the discriminator's at points in float64, [..., d] → [...].
        log_ratio: of the true law's density to the generator's, in nats, [..., d] → [...].
        mean, cov: the true law's, [d] and [d, d].
        error: the root mean square of the difference, for the caption.
    """
    mean, cov = mean.double(), cov.double()
    draw = _draw_curves if len(mean) == 1 else _draw_planes
    figure = draw(logit, log_ratio, mean, cov, title)
    if error is not None:
        text = f"root mean square difference: {error:.3g}"
        figure.text(figure.axes[-1].get_position().x1, 0.945, text, fontsize=9, color=MUTED, ha="right")
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
    (left, bottom), (right, top) = plane.low.tolist(), plane.high.tolist()
    xs, ys = np.linspace(left, right, len(grid)), np.linspace(bottom, top, len(grid))
    for name, place, surface in zip(NAMES, PANELS, surfaces, strict=True):
        axes = figure.add_axes(place)
        heights = surface.clamp(-4 * scale, 4 * scale)
        axes.set_facecolor(PALE)  # what is not a number shows through
        image = plane.paint(axes, heights, cmap=LOGIT, vmin=-scale, vmax=scale)
        # The lines of a diverged logit would lie on top of each other.
        lines = ticks if (surface.abs() < scale).double().mean() > 0.02 else np.zeros(1)
        crossed = [line for line in lines if (heights < line).any() and (heights > line).any()]
        if crossed:
            widths = [1.6 if line == 0 else 0.7 for line in crossed]
            contours = axes.contour(
                xs, ys, heights.numpy(), levels=crossed, colors=INK, linewidths=widths, linestyles="-"
            )
            axes.clabel(contours, fontsize=8, fmt=lambda line: f"{line:g}".replace("-", "−"))
        plane.outline(axes, mean, cov, color=INK, ls=":", lw=1.1)
        caption(axes, f"{name} (dotted: the true law at 1σ and 2σ)")
        tidy(axes)
    figure.axes[1].set_ylabel("")
    bar = figure.colorbar(image, cax=figure.add_axes(BAR), ticks=ticks)
    tidy_bar(bar, "generated ← logit → real")
    return figure


def _draw_curves(logit: Logit, log_ratio: Logit, mean: Tensor, cov: Tensor, title: str) -> Figure:
    figure = sheet(title, left=CURVES[0], width=5.6)
    axes, std = figure.add_axes(CURVES), cov.flatten().sqrt()
    x = mean + std * torch.linspace(-3.6, 3.6, 400, dtype=torch.float64)
    curves = [surface(x.unsqueeze(-1)).detach().double() for surface in (logit, log_ratio)]
    limit = 1.4 * _scale(curves)  # room for the legend
    hues = LOGIT(np.linspace(0.25, 0.75, 100))[:, None]
    ends = (x[0].item(), x[-1].item(), -limit, limit)
    axes.imshow(hues, extent=ends, origin="lower", aspect="auto", interpolation="bilinear", alpha=0.55)
    axes.axhline(0, color=MUTED, lw=1.1, ls="--")
    for k in (-2, -1, 1, 2):
        axes.axvline((mean + k * std).item(), color=INK, lw=1.1, ls=":", alpha=0.5, ymax=0.78)
    for name, style, curve in zip(NAMES, ("-", "--"), curves, strict=True):
        axes.plot(x, curve, color=INK, ls=style, lw=1.9, label=name)
    axes.set(xlim=ends[:2], ylim=ends[2:], xlabel="x", ylabel="generated ← logit → real")
    legend(axes, "upper left", title="dotted: the true law at 1σ and 2σ")
    tidy(axes)
    return figure


def _scale(surfaces: list[Tensor]) -> float:
    sizes = torch.cat([surface.abs().flatten() for surface in surfaces])
    sizes = sizes[sizes.isfinite()]
    return sizes.quantile(0.98).clamp(LEAST, MOST).item() if len(sizes) else LEAST
