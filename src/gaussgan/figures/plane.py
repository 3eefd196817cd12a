"""The line or plane on which distributions are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Ellipse
from torch import Tensor


class Line:
    """The x axis of a figure of one-dimensional distributions.

    The axis reaches 4 standard deviations to each side of the mean of a reference distribution.

    Args:
        mean: the mean of the reference distribution, [1], in float64.
        cov: the covariance of the reference distribution, [1, 1], in float64.
    """

    def __init__(self, mean: Tensor, cov: Tensor) -> None:
        self.spread = cov.flatten().sqrt()
        self.x = mean + self.spread * torch.linspace(-4, 4, 300, dtype=torch.float64)

    def outline(self, axes: Axes, mean: Tensor, cov: Tensor, **style: object) -> bool:
        """Draw the density of a Gaussian with mean [1] and covariance [1, 1]. Return True if it is visible."""
        std = cov.double().flatten().sqrt()
        density = torch.exp(-(((self.x - mean) / std) ** 2) / 2) / (std * (2 * torch.pi) ** 0.5)
        axes.plot(self.x, density.detach(), **style)  # type: ignore[arg-type]
        return bool((density * self.spread).max() > 0.01)

    def frame(self, axes: Axes) -> None:
        """Set the limits of the x axis, and the names of both axes."""
        axes.set(xlabel="x", ylabel="density", xlim=(self.x[0].item(), self.x[-1].item()))


class Plane:
    """The plane of a figure of d-dimensional distributions, d ≥ 2.

    The plane goes through the mean of a reference distribution, along the two leading principal axes of this
    distribution. If d = 2, its axes are the coordinates x₁ and x₂ instead.

    Args:
        mean: the reference distribution's mean, [d], in float64.
        cov: the reference distribution's covariance, [d, d], in float64.
        reach: the number of standard deviations that the visible window of the plane extends to each side of the mean.
    """

    def __init__(self, mean: Tensor, cov: Tensor, reach: float = 3.6) -> None:
        self.mean, self.given = mean, len(mean) == 2
        leading = torch.linalg.eigh(cov).eigenvectors.flip(-1)[:, :2]
        self.basis = torch.eye(2, dtype=torch.float64) if self.given else leading
        self.centre, self.cov = self.moments(mean, cov)
        spread = self.cov.diagonal().clamp(min=0).sqrt()
        self.spread = spread.clamp(min=1e-3 * (spread.max().item() or 1.0))
        self.low, self.high = self.centre - reach * self.spread, self.centre + reach * self.spread

    @classmethod
    def framed(cls, origin: Tensor, axes: Tensor, window: Tensor) -> Plane:
        """Return a plane through `origin`, [d], along the columns of `axes`, [d, 2].

        Args:
            window: the lower left and the upper right corner of its window, [2, 2], in coordinates of the plane.
        """
        plane = cls.__new__(cls)
        plane.mean, plane.given, plane.basis = origin, len(origin) == 2, axes
        (plane.low, plane.high), plane.centre = window, origin @ axes
        plane.spread = (plane.high - plane.low) / 7.2
        plane.cov = plane.spread.square().diag()
        return plane

    def project(self, points: Tensor) -> Tensor:
        """Project points onto the plane, [..., d] → [..., 2]."""
        return points.double() @ self.basis

    def moments(self, mean: Tensor, cov: Tensor) -> tuple[Tensor, Tensor]:
        """Project a mean, [d] → [2], and a covariance, [d, d] → [2, 2], onto the plane."""
        return mean.double() @ self.basis, self.basis.mT @ cov.double() @ self.basis

    def outline(self, axes: Axes, mean: Tensor, cov: Tensor, sigmas: Sequence[int] = (1, 2), **style: object) -> bool:
        """Draw a Gaussian as one ellipse for each number of standard deviations in `sigmas`.

        Return True if the ellipse for the first entry of `sigmas` is visible.

        Args:
            mean: the mean of the Gaussian, [d].
            cov: the covariance of the Gaussian, [d, d].
        """
        mean, cov = self.moments(mean, cov)
        # The ellipse of a diverged generator would not be visible, but drawing its many dashes would take very long.
        limit = 20 * self.spread.max()
        if not ((mean - self.centre).abs().max() < limit and cov.abs().max().sqrt() < limit):
            return False
        for k in sigmas:
            axes.add_artist(_ellipse(mean, cov, k, fill=False, **style))
        reach = sigmas[0] * cov.diagonal().sqrt()
        return bool(((mean + reach > self.low) & (mean - reach < self.high)).all())

    def grid(self, n: int) -> Tensor:
        """Return n × n points, [n, n, d], that fill the plane's window. All points of a row have the same height."""
        return self.mean + (mesh(self.low, self.high, n, n) - self.centre) @ self.basis.mT

    def paint(self, axes: Axes, values: Tensor, **style: object) -> AxesImage:
        """Paint the values at the points of `grid(n)`, [n, n], as an image that fills the axes."""
        (left, bottom), (right, top) = self.low.tolist(), self.high.tolist()
        image = paint(axes, values.numpy(), (left, right, bottom, top), **style)
        self.frame(axes)
        return image

    def frame(self, axes: Axes) -> None:
        """Set the limits of the axes to the plane's window, and set the names of the axes."""
        frame(axes, self.low, self.high)
        names = ("x₁", "x₂") if self.given else ("first principal axis", "second principal axis")
        axes.set(xlabel=names[0], ylabel=names[1])


def plane_of(real: Tensor, fake: Tensor, ratio: float) -> Plane:
    """Return the plane of real examples, with a window that contains them; see `window_of`.

    The window has space for a legend: what widens it is added on the left and at the top.

    Args:
        real: real examples, [n, d].
        fake: generated examples, [m, d].
        ratio: the window's width / height.
    """
    plane = Plane(real.double().mean(0), real.double().T.cov())
    low, high = window_of(plane.project(real), plane.project(fake))
    plane.low, plane.high = widen(low, high, ratio)
    shift = (low - plane.low) * low.new_tensor([-1, 1])
    plane.low, plane.high = plane.low + shift, plane.high + shift
    return plane


def window_of(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower and upper corner of a window around the real examples; in one dimension, its two ends.

    If the real examples are all equal, the window also contains the generated examples.

    Shapes: real [n, k], fake [m, k] → low [k], high [k].
    """
    if (real == real[0]).all():
        real = torch.cat([real, fake[fake.isfinite().all(-1)].clamp(-1e30, 1e30)])
    low, high = real.amin(0), real.amax(0)
    margin = 0.12 * ((high - low).max().item() or 1.0)
    return low - margin, high + margin


def paint(axes: Axes, values: np.ndarray, ends: tuple[float, float, float, float], **style: object) -> AxesImage:
    """Paint values, [rows, columns], as a smooth image with the left, right, bottom and top edges `ends`."""
    smooth: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "bilinear", **style}
    return axes.imshow(values, extent=ends, **smooth)


def _ellipse(mean: Tensor, cov: Tensor, k: int, **style: object) -> Ellipse:
    """Return the ellipse at k standard deviations of a Gaussian with mean [2] and covariance [2, 2]."""
    values, vectors = torch.linalg.eigh(cov)
    width, height = (2 * k * values.clamp(min=0).sqrt()).tolist()
    angle = torch.atan2(vectors[1, 0], vectors[0, 0]).rad2deg().item()
    return Ellipse(tuple(mean.tolist()), width, height, angle=angle, **style)


def mesh(low: Tensor, high: Tensor, columns: int, rows: int) -> Tensor:
    """Return a grid of points, [rows, columns, 2], that fills a window. All points of a row have the same y.

    Args:
        low: the lower left corner of the window, [2].
        high: the upper right corner of the window, [2].
        columns: the number of columns of the grid.
        rows: the number of rows of the grid.
    """
    xs, ys = (torch.linspace(low[i], high[i], n, dtype=torch.float64) for i, n in enumerate((columns, rows)))
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)


def widen(low: Tensor, high: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Enlarge a window around its centre, as little as possible, so that width / height = ratio. Return the new window.

    A window is given by two points: its lower left corner `low`, [2], and its upper right corner `high`, [2].
    """
    centre, (width, height) = (low + high) / 2, (high - low).tolist()
    half = low.new_tensor([max(width, height * ratio), max(height, width / ratio)]) / 2
    return centre - half, centre + half


def frame(axes: Axes, low: Tensor, high: Tensor) -> None:
    """Set the limits of axes to a window: lower left corner `low`, [2], and upper right corner `high`, [2]."""
    (left, bottom), (right, top) = low.tolist(), high.tolist()
    axes.set(xlim=(left, right), ylim=(bottom, top))
