"""A discriminator beside the best one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.figures.plane import Plane
from gaussgan.figures.style import FAKE, INK, MUTED, REAL, legend, sheet, tidy, tidy_bar

LOGIT = LinearSegmentedColormap.from_list("logit", ["#a63c0c", FAKE, "#f6c7a8", "#ffffff", "#bcd0ee", REAL, "#0f3068"])
Logit = Callable[[Tensor], Tensor]


def logit_figure(
    logit: Logit, log_ratio: Logit, mean: Tensor, cov: Tensor, title: str, error: float | None = None
) -> Figure:
    """The discriminator's logit beside the optimal one, log p/q, on one scale: blue for real, orange for generated.

    Beyond two dimensions it is shown in the plane of the law's two leading principal axes; in one, as two curves.

    Args:
        logit: the discriminator's, [..., d] → [...]; `log_ratio` the optimal one's.
        mean: the law's, [d], and `cov` its covariance, [d, d].
        error: the root mean square of their difference.
    """
    figure = sheet(title if error is None else f"{title}: the two differ by {error:.3g} (root mean square)")
    if len(mean) == 1:
        _draw_curves(figure, logit, log_ratio, mean, cov)
        return figure
    plane = Plane(mean, cov)
    maps = [function(plane.grid(120)).double() for function in (logit, log_ratio)]
    # The logarithm of a ratio grows without end, and what matters is near 0: linear to about 1, logarithmic beyond.
    largest = min(max(values.abs().max().item() for values in maps), 1e3)
    norm = AsinhNorm(1.0, -largest, largest)
    for left, values, name in (
        (0.05, maps[0], "D, the discriminator's logit"),
        (0.5, maps[1], "log p/q, the best one"),
    ):
        axes = figure.add_axes((left, 0.11, 0.395, 0.76))
        image = plane.paint(axes, values, cmap=LOGIT, norm=norm)
        _draw_contours(axes, plane, values)
        axes.set_title(name, fontsize=9, color=INK, loc="left")
        if left > 0.05:
            axes.set_ylabel("")
        tidy(axes)
    tidy_bar(figure.colorbar(image, cax=figure.add_axes((0.91, 0.11, 0.011, 0.76))), "nats")
    return figure


def _draw_contours(axes: Axes, plane: Plane, values: Tensor) -> None:
    xs, ys = (torch.linspace(*ends, len(values)) for ends in zip(plane.low, plane.high, strict=True))
    levels = [level for level in (-30, -10, -3, -1, 0, 1, 3, 10) if values.min() < level < values.max()]
    if levels:
        widths = [1.4 if level == 0 else 0.7 for level in levels]
        lines = axes.contour(xs, ys, values, levels=levels, colors=INK, linewidths=widths, alpha=0.7)
        axes.clabel(lines, fontsize=7)


def _draw_curves(figure: Figure, logit: Logit, log_ratio: Logit, mean: Tensor, cov: Tensor) -> None:
    axes = figure.add_axes((0.07, 0.11, 0.9, 0.78))
    x = mean + cov.flatten().sqrt() * torch.linspace(-3.6, 3.6, 400, dtype=torch.float64)
    points = x.unsqueeze(-1)
    axes.plot(x, logit(points), color=REAL, lw=1.7, label="D, the discriminator's logit")
    axes.plot(x, log_ratio(points), color=MUTED, lw=1.7, ls="--", label="log p/q, the best one")
    axes.set(xlabel="x", ylabel="nats", xlim=(x[0].item(), x[-1].item()))
    legend(axes, "upper left")
    tidy(axes)
