"""Draw the discriminator's verdict as a surface or a curve: a probability, or the values of a critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gaussgan.figures.colors import MUTED, PALE, PROBABILITY
from gaussgan.figures.plane import Plane
from gaussgan.figures.style import Place, background_axes, note, tidy_bar

ROUNDING = 1e-5  # relative; smaller differences are rounding errors of float32
PLAIN = "{x:.6g}"  # plain numbers; matplotlib's default adds an offset, which would overlap the label above
GAME: Place = (0.055, 0.11, 0.49, 0.81)
BAR: Place = (0.552, 0.11, 0.011, 0.81)


class Verdict(NamedTuple):
    """Draws the output of a discriminator: the probability σ(logit), or the logit if the discriminator is a critic.

    A critic is a discriminator whose logits are not log odds, so that 0 need not be their middle. The middle of the
    scale of logits is halfway between the mean logit of real examples and the mean logit of generated examples. The
    scale includes 98% of the logits of these examples.

    Args:
        logit: maps points to logits, [..., d] → [..., 1].
        probability: true to draw σ(logit), as for a logistic objective; false for a critic.
    """

    logit: Callable[[Tensor], Tensor]
    probability: bool

    def draw_surface(self, figure: Figure, axes: Axes, plane: Plane, real: Tensor, fake: Tensor) -> None:
        """Draw the output on a plane as colours, and add a colour bar to the right of the axes.

        The real and generated examples, `real` and `fake`, set the scale of a critic's logits.
        """
        values, (low, high) = self.at(plane.grid(90)), self.range(real, fake)
        axes.set_facecolor(PALE)  # visible where a value is NaN
        image = plane.paint(axes, values, cmap=PROBABILITY, vmin=low, vmax=high)
        tidy_bar(figure.colorbar(image, cax=figure.add_axes(BAR), ticks=self._ticks, format=PLAIN), "")
        self._label(figure, "colour")

    def draw_curve(self, figure: Figure, axes: Axes, x: Tensor, real: Tensor, fake: Tensor) -> None:
        """Draw the output at the points x of a line, [n], as a curve with a second y axis.

        The real and generated examples, `real` and `fake`, set the scale of a critic's logits.
        """
        twin = background_axes(axes)
        twin.plot(x, self.at(x.unsqueeze(-1)), color=MUTED, lw=1.2)
        twin.set_ylim(*self.range(real, fake))
        twin.yaxis.set_major_locator(self._ticks)
        twin.yaxis.set_major_formatter(PLAIN)
        self._label(figure, "grey line")

    @property
    def label(self) -> str:
        """What the output means."""
        return "D's probability of real" if self.probability else "generated ← D(x) → real"

    def _label(self, figure: Figure, what: str) -> None:
        """Write above the axes what the colour or the line means. There is no space next to the axes."""
        note(figure, 0.605, f"{what}: {self.label}")

    @property
    def _ticks(self) -> MaxNLocator:
        return MaxNLocator(2 if self.probability else 5)

    def at(self, x: Tensor) -> Tensor:
        """Return the output at points, [..., d] → [...]."""
        values = self.logit(x).squeeze(-1)
        return values.sigmoid() if self.probability else values

    def range(self, real: Tensor, fake: Tensor) -> tuple[float, float]:
        """Return the ends of the scale for real examples, [n, d], and generated examples, [m, d]."""
        if self.probability:
            return 0.0, 1.0
        values = [self.at(points).double().flatten() for points in (real, fake)]
        means = [each[each.isfinite()].mean() for each in values if each.isfinite().any()]
        if not means:
            return -1.0, 1.0
        middle, both = torch.stack(means).mean(), torch.cat(values)
        reach = (both[both.isfinite()] - middle).abs().quantile(0.98)
        constant = reach <= ROUNDING * middle.abs()
        reach = middle.abs().clamp(min=1) if constant else reach
        return (middle - reach).item(), (middle + reach).item()
