"""What a discriminator says, as a surface or as a curve: a probability, or a critic's values."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gaussgan.figures.plane import Plane
from gaussgan.figures.style import MUTED, PALE, PROBABILITY, tidy_bar, tidy_twin

ROUNDING = 1e-5  # of a value: what varies by less is constant, but for float32
PLAIN = "{x:.6g}"  # without an offset, which would stand on the label above
GAME, BAR = (0.055, 0.11, 0.49, 0.81), (0.552, 0.11, 0.011, 0.81)  # where they stand: left, bottom, width, height


def _figure(axes: Axes) -> Figure:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


class Verdict(NamedTuple):
    """A discriminator as it is drawn.

    Where σ of its logit is a probability, that; else the logit, on a scale of its own, as for a critic only differences
    count. The scale's middle lies halfway between the means over real and over generated examples, and it holds 98% of
    the values at either.

    Args:
        logit: [..., d] → [..., 1].
        probability: whether σ of the logit is one, as it is for a logistic objective.
    """

    logit: Callable[[Tensor], Tensor]
    probability: bool

    @property
    def label(self) -> str:
        return "D's probability of real" if self.probability else "generated ← D(x) → real"

    def draw_surface(self, axes: Axes, plane: Plane, real: Tensor, fake: Tensor) -> None:
        """The verdict on a plane, and a colour bar to the right of the axes."""
        values, (low, high) = self._at(plane.grid(90)), self._range(real, fake)
        axes.set_facecolor(PALE)  # what is not a number shows through
        image = plane.paint(axes, values, cmap=PROBABILITY, vmin=low, vmax=high)
        figure = _figure(axes)
        bar = figure.colorbar(image, cax=figure.add_axes(BAR), ticks=self._ticks, format=PLAIN)
        tidy_bar(bar, "")
        self._name(axes, "colour")

    def draw_curve(self, axes: Axes, x: Tensor, real: Tensor, fake: Tensor) -> None:
        """The verdict at points of a line, [n], on a second axis."""
        twin = axes.twinx()
        twin.plot(x, self._at(x.unsqueeze(-1)), color=MUTED, lw=1.2)
        twin.set_ylim(*self._range(real, fake))
        axes.set(zorder=twin.get_zorder() + 1, facecolor="none")  # the curve stays behind the legend
        twin.yaxis.set_major_locator(self._ticks)
        twin.yaxis.set_major_formatter(PLAIN)
        tidy_twin(twin, "")
        self._name(axes, "grey line")

    def _name(self, axes: Axes, what: str) -> None:
        """Say above the axes what is drawn of the discriminator: beside them there are labels of others."""
        _figure(axes).text(0.605, 0.945, f"{what}: {self.label}", fontsize=9, color=MUTED, ha="right")

    @property
    def _ticks(self) -> MaxNLocator:
        return MaxNLocator(2 if self.probability else 5)

    def _at(self, x: Tensor) -> Tensor:
        values = self.logit(x).squeeze(-1)
        return values.sigmoid() if self.probability else values

    def _range(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        if self.probability:
            return 0.0, 1.0
        values = [self._at(points).double().flatten() for points in (real, fake)]
        means = [each[each.isfinite()].mean() for each in values if each.isfinite().any()]
        if not means:
            return -1.0, 1.0
        middle, both = torch.stack(means).mean(), torch.cat(values)
        reach = (both[both.isfinite()] - middle).abs().quantile(0.98)
        constant = reach <= ROUNDING * middle.abs()
        reach = middle.abs().clamp(min=1) if constant else reach
        return (middle - reach).item(), (middle + reach).item()
