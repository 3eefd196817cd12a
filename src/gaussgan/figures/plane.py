"""The plane or line on which laws are shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Ellipse
from torch import Tensor


class Line:
    """The line of a law of one dimension, out to 4 standard deviations.

    Args:
        mean: the law's, [1], in float64.
        cov: the law's, [1, 1], in float64.
    """

    def __init__(self, mean: Tensor, cov: Tensor) -> None:
        self.spread = cov.flatten().sqrt()
        self.x = mean + self.spread * torch.linspace(-4, 4, 300, dtype=torch.float64)

    def outline(self, axes: Axes, mean: Tensor, cov: Tensor, **style: object) -> bool:
        """The density of a normal law, [1] and [1, 1]; whether it is to be seen."""
        std = cov.double().flatten().sqrt()
        density = torch.exp(-(((self.x - mean) / std) ** 2) / 2) / (std * (2 * torch.pi) ** 0.5)
        axes.plot(self.x, density.detach(), **style)  # type: ignore[arg-type]
        return bool((density * self.spread).max() > 0.01)

    def frame(self, axes: Axes) -> None:
        """Limits of x, and names of the axes."""
        axes.set(xlabel="x", ylabel="density", xlim=(self.x[0].item(), self.x[-1].item()))


class Plane:
    """The plane of a law's two leading principal axes through its mean; in two dimensions, the plane as it is.

    Args:
        mean: the law's, [d] with d ≥ 2, in float64.
        cov: the law's, [d, d], in float64.
        reach: how many standard deviations it shows on either side of the mean.
    """

    def __init__(self, mean: Tensor, cov: Tensor, reach: float = 3.6) -> None:
        self.mean, self.given = mean, len(mean) == 2
        leading = torch.linalg.eigh(cov).eigenvectors.flip(-1)[:, :2]
        self.basis = torch.eye(2, dtype=torch.float64) if self.given else leading
        self.centre, self.cov = self.moments(mean, cov)
        spread = self.cov.diagonal().clamp(min=0).sqrt()
        self.spread = spread.clamp(min=1e-3 * (spread.max().item() or 1.0))
        self.low, self.high = self.centre - reach * self.spread, self.centre + reach * self.spread

    def project(self, points: Tensor) -> Tensor:
        """Where points lie in the plane, [..., d] → [..., 2]."""
        return points.double() @ self.basis

    def moments(self, mean: Tensor, cov: Tensor) -> tuple[Tensor, Tensor]:
        """A law's mean and covariance in the plane: [d] → [2] and [d, d] → [2, 2]."""
        return mean.double() @ self.basis, self.basis.mT @ cov.double() @ self.basis

    def outline(self, axes: Axes, mean: Tensor, cov: Tensor, sigmas: Sequence[int] = (1, 2), **style: object) -> bool:
        """A law's ellipses at so many standard deviations, [d] and [d, d]; whether the first is to be seen."""
        mean, cov = self.moments(mean, cov)
        # A diverged law's ellipse would be endless to draw in dashes, and not to be seen.
        limit = 20 * self.spread.max()
        if not ((mean - self.centre).abs().max() < limit and cov.abs().max().sqrt() < limit):
            return False
        for k in sigmas:
            axes.add_artist(_ellipse(mean, cov, k, fill=False, **style))
        reach = sigmas[0] * cov.diagonal().sqrt()
        return bool(((mean + reach > self.low) & (mean - reach < self.high)).all())

    def grid(self, n: int) -> Tensor:
        """n × n points of the space that lie in the plane's window from low to high, [n, n, d], rows of equal y."""
        xs, ys = (torch.linspace(*ends, n, dtype=torch.float64) for ends in zip(self.low, self.high, strict=True))
        return self.mean + (torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1) - self.centre) @ self.basis.mT

    def paint(self, axes: Axes, values: Tensor, **style: object) -> AxesImage:
        """An image of values on the grid, [n, n], and axes that end where it ends."""
        (left, bottom), (right, top) = self.low.tolist(), self.high.tolist()
        image = axes.imshow(
            values.numpy(),
            extent=(left, right, bottom, top),
            origin="lower",
            aspect="auto",
            interpolation="bilinear",
            **style,  # type: ignore[arg-type]
        )
        self.frame(axes)
        return image

    def frame(self, axes: Axes) -> None:
        """Limits and names of the axes."""
        (left, bottom), (right, top) = self.low.tolist(), self.high.tolist()
        names = ("x₁", "x₂") if self.given else ("first principal axis", "second principal axis")
        axes.set(xlim=(left, right), ylim=(bottom, top), xlabel=names[0], ylabel=names[1])


def _ellipse(mean: Tensor, cov: Tensor, k: int, **style: object) -> Ellipse:
    """The points of the plane at k standard deviations from a mean, [2], under a covariance, [2, 2]."""
    values, vectors = torch.linalg.eigh(cov)
    width, height = (2 * k * values.clamp(min=0).sqrt()).tolist()
    angle = torch.atan2(vectors[1, 0], vectors[0, 0]).rad2deg().item()
    return Ellipse(tuple(mean.tolist()), width, height, angle=angle, **style)


def widen(low: Tensor, high: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """The smallest window about a window's centre, [2] and [2], that holds it and has width / height = ratio."""
    centre, (width, height) = (low + high) / 2, (high - low).tolist()
    half = low.new_tensor([max(width, height * ratio), max(height, width / ratio)]) / 2
    return centre - half, centre + half
