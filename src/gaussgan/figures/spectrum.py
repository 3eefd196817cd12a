"""Eigenvalues of an iteration on the unit circle."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from gaussgan.figures.style import FAKE, INK, MUTED, REAL, legend, sheet, tidy


def spectrum_figure(eigenvalues: Tensor, title: str) -> Figure:
    """The eigenvalues of a linear map in the complex plane; beside them, those of largest modulus at close range.

    A game near an equilibrium contracts where all lie within the unit circle.

    Args:
        eigenvalues: complex, [n].
    """
    figure = sheet(title)
    values = eigenvalues[torch.view_as_real(eigenvalues).isfinite().all(-1)].to(torch.complex128)
    whole, close = figure.add_axes((0.065, 0.11, 0.385, 0.81)), figure.add_axes((0.585, 0.11, 0.385, 0.81))
    reach = 1.12 * max(1.0, values.abs().max().item() if len(values) else 1.0)
    ratio = whole.bbox.width / whole.bbox.height
    for axes, centre, half in ((whole, 0j, reach), (close, *_closer(values))):
        _draw(axes, values)
        axes.set(
            xlim=(centre.real - half * ratio, centre.real + half * ratio),
            ylim=(centre.imag - half, centre.imag + half),
            xlabel="real part",
        )
    whole.set_ylabel("imaginary part")
    legend(whole, "upper left")
    return figure


def _draw(axes: Axes, values: Tensor) -> None:
    axes.add_patch(Circle((0, 0), 1, fill=False, color=MUTED, lw=1.2, zorder=1))
    axes.axhline(0, color=MUTED, lw=0.6, alpha=0.5, zorder=0)
    axes.axvline(0, color=MUTED, lw=0.6, alpha=0.5, zorder=0)
    outside = values.abs() > 1 + 1e-9
    for part, colour, name in ((values[~outside], REAL, "within"), (values[outside], FAKE, "outside")):
        if len(part):
            label = f"{name} the unit circle: {len(part)}"
            axes.scatter(
                part.real, part.imag, s=30, color=colour, alpha=0.75, lw=0.6, ec="white", zorder=2, label=label
            )
    axes.set_aspect("equal")
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(colors=INK)
    tidy(axes)


def _closer(values: Tensor) -> tuple[complex, float]:
    """Centre and half height of a window on the largest eigenvalue that holds its nearest neighbours."""
    if not len(values):
        return 1 + 0j, 0.5
    largest = values[values.abs().argmax()]
    largest = torch.complex(largest.real, largest.imag.abs())
    apart = (values - largest).abs().sort().values
    near = apart[: max(2, len(values) // 2)].max().item()
    to_circle = abs(largest.abs().item() - 1)
    return complex(largest), 1.3 * max(near, 2 * to_circle, 1e-3)
