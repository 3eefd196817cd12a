"""A figure of the eigenvalues of the Jacobian of a game's update."""

from __future__ import annotations

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import NullLocator
from torch import Tensor

from gaussgan.figures.colors import FAKE, INK, INSIDE, MUTED, PALE, REAL
from gaussgan.figures.plane import frame, widen
from gaussgan.figures.style import Place, aspect, crosshair, legend, note, panel, sheet

PLANE: Place = (0.055, 0.11, 0.36, 0.76)
RATES: Place = (0.5, 0.11, 0.485, 0.76)
ROUNDING = 1e-9  # an eigenvalue with a smaller |log|λ|| counts as on the unit circle
KINDS = (("inside: decays", REAL), ("outside: grows", FAKE), ("on the circle", MUTED))


def spectrum_figure(eigenvalues: Tensor, title: str, exact: bool = True) -> Figure:
    """Draw the eigenvalues λ of the Jacobian of a game's update.

    Near an equilibrium, the update converges if all λ are inside the unit circle. The left panel shows λ. For gradient
    steps with small learning rates, all λ are close to 1. So the right panel shows log λ = log|λ| + i arg λ. In the
    right panel, the unit circle is the line log|λ| = 0. The axis of log|λ| is linear near 0 and logarithmic elsewhere.

    Args:
        eigenvalues: the complex eigenvalues, [n]. They should be computed in float64, because the rounding of float32
            may move them across the circle. Eigenvalues that are not finite are not drawn.
        title: the text above the figure.
        exact: true if the run makes this update; false if the run uses another optimizer, so that this update only
            approximates the run's.
    """
    figure = sheet(title, left=PLANE[0])
    values = eigenvalues.to(torch.complex128).flatten()
    values = values[values.abs().isfinite()]
    growth = values.abs().clamp(min=1e-6).log()
    kinds = torch.where(growth < 0, 0, 1).where(growth.abs() > ROUNDING, 2)
    _draw_plane(panel(figure, PLANE, "eigenvalues and the unit circle"), values, kinds)
    _draw_rates(panel(figure, RATES, "their logarithms: growth and turn"), growth, values.angle(), kinds)
    lost = eigenvalues.numel() - len(values)
    text = _radius(growth.max().item(), exact) if len(growth) else "no finite eigenvalues"
    text += f"; {lost:,} of {eigenvalues.numel():,} not finite" if lost and len(growth) else ""
    note(figure, RATES[0] + RATES[2], text, color=INK)
    return figure


def _draw_plane(axes: Axes, values: Tensor, kinds: Tensor) -> None:
    crosshair(axes)
    axes.add_patch(Circle((0, 0), 1, facecolor=INSIDE, edgecolor=MUTED, lw=1.1, zorder=0))
    _scatter(axes, values.real, values.imag, kinds)
    reach = min(max(1.25, 1.1 * torch.view_as_real(values).abs().max().item()), 5) if len(values) else 1.25
    limit = torch.full((2,), reach, dtype=torch.float64)
    frame(axes, *widen(-limit, limit, ratio=aspect(PLANE)))
    axes.set(xlabel="Re λ", ylabel="Im λ")


def _draw_rates(axes: Axes, growth: Tensor, turn: Tensor, kinds: Tensor) -> None:
    sizes = growth.abs()[kinds < 2]
    largest = sizes.max().item() if len(sizes) else 1.0
    linear = min(max(sizes.min().item(), 1e-8 * largest), largest / 10) if len(sizes) else 0.1
    limit, reach = 3 * largest, 1.35 * (turn.abs().max().item() if turn.any() else 1.0)
    axes.axvspan(-limit, 0, color=INSIDE, lw=0, zorder=-1)
    axes.axvline(0, color=MUTED, lw=1.1)
    axes.axhline(0, color=PALE, lw=0.8, zorder=0)
    _scatter(axes, growth, turn, kinds, labelled=True)
    axes.set_xscale("symlog", linthresh=linear, linscale=1)
    last, first = math.floor(math.log10(limit)), math.ceil(math.log10(linear))
    powers = [10.0**k for k in range(last, first - 1, -math.ceil((last - first + 1) / 4))]
    axes.set_xticks([-power for power in powers] + [0, *powers], minor=False)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlim=(-limit, limit), ylim=(-reach, reach))
    axes.set(xlabel="log|λ|, growth per iteration", ylabel="arg λ, turn per iteration in radians")
    if len(growth):
        legend(axes, "upper left")


def _radius(growth: float, exact: bool) -> str:
    """Return a text with the spectral radius e^growth. If `exact`, it also says how fast the distance changes."""
    of = "" if exact else " of plain gradient steps at these rates"
    if abs(growth) <= ROUNDING:
        return f"spectral radius 1{of}"
    excess = math.expm1(growth)
    mantissa, exponent = f"{abs(excess):.1e}".split("e")
    near = rf"1 {'+' if excess > 0 else '−'} {mantissa} · $10^{{{int(exponent)}}}$"
    verb, period = "doubles" if growth > 0 else "halves", float(f"{math.log(2) / abs(growth):.3g}")
    radius = f"{1 + excess:.4g}" if abs(excess) >= 1e-3 else near
    return f"spectral radius {radius}" + (of or f": the distance {verb} every {period:,.12g} iterations")


def _scatter(axes: Axes, x: Tensor, y: Tensor, kinds: Tensor, labelled: bool = False) -> None:
    for kind, (name, color) in enumerate(KINDS):
        chosen = kinds == kind
        label = f"{name} ({int(chosen.sum()):,})" if labelled and chosen.any() else None
        axes.scatter(x[chosen], y[chosen], s=26, color=color, alpha=0.7, lw=0, zorder=2, label=label)
