"""Mixtures of Gaussians. Import them from `gaussgan.data.distributions`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gaussgan.data.checks import check_count, check_resolution, number_tensor, positive_number
from gaussgan.rng import normal


class GaussianMixture:
    """The mixture of m isotropic Gaussians with equal weights, p(x) = 1/m Σ_i N(x; μ_i, std² I).

        mean = 1/m Σ μ_i,   cov = std² I + 1/m Σ (μ_i − mean)(μ_i − mean)ᵀ

    Args:
        means: the means μ_i, m rows of d numbers. They are called modes, and the attribute `modes` holds them.
        std: the standard deviation of each Gaussian, in every direction.

    Raises:
        ValueError: when means is not m rows of d numbers, when a number is not finite, when std is not above 0, or when
            float32 is not precise enough for the examples; see `check_resolution`.
    """

    def __init__(self, means: Sequence[Sequence[float]] | Tensor, std: float) -> None:
        self.modes = number_tensor("means", means, ndim=2, form="m rows of d numbers each")
        self.std = positive_number("std", std)
        check_resolution(self.std * torch.eye(self.dim, dtype=torch.float64), self.modes.abs().amax(0))

    @property
    def dim(self) -> int:
        """d, the number of features of an example."""
        return self.modes.shape[1]

    @property
    def mean(self) -> Tensor:
        """The mean 1/m Σ μ_i, [d]."""
        return self.modes.mean(0)

    @property
    def cov(self) -> Tensor:
        """The covariance, [d, d]."""
        centred = self.modes - self.mean
        return self.std**2 * torch.eye(self.dim, dtype=torch.float64) + centred.T @ centred / len(self.modes)

    @property
    def gaussian(self) -> bool:
        """True if there is only one mode."""
        return len(self.modes) == 1

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n examples, [n, d], in float32. Each example is a mode, chosen at random, plus Gaussian noise."""
        chosen = torch.randint(len(self.modes), (n,), generator=generator)
        return self.modes.float()[chosen] + self.std * normal(n, self.dim, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) in nats, [..., d] → [...], in float64."""
        squares = ((x.double().unsqueeze(-2) - self.modes) / self.std).square().sum(-1)
        constant = math.log(len(self.modes)) + self.dim * math.log(self.std * math.sqrt(2 * math.pi))
        return torch.logsumexp(-squares / 2, -1) - constant

    def __repr__(self) -> str:
        return f"{len(self.modes)} modes of std {self.std:g} around {[round(m, 6) + 0.0 for m in self.mean.tolist()]}"


def ring(modes: int, radius: float, std: float) -> GaussianMixture:
    """Return a mixture of Gaussians whose means are evenly spaced on a circle around 0 in the plane.

    Args:
        modes: the number of Gaussians. The mean of the first is (radius, 0).
        radius: the radius of the circle.
        std: the standard deviation of each Gaussian in both directions.

    Raises:
        ValueError: when modes is not a whole number of at least 1, or radius or std is not a finite number above 0,
            or when float32 is not precise enough for the examples; see `check_resolution`.
    """
    check_count("modes", modes)
    angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return GaussianMixture(positive_number("radius", radius) * torch.stack([angles.cos(), angles.sin()], -1), std)


def grid(side: int, spacing: float, std: float) -> GaussianMixture:
    """Return a mixture of side × side Gaussians whose means form a square grid around 0 in the plane.

    Args:
        side: the number of means along each side of the grid.
        spacing: the distance between neighbouring means.
        std: the standard deviation of each Gaussian in both directions.

    Raises:
        ValueError: when side is not a whole number of at least 1, or spacing or std is not a finite number above 0,
            or when float32 is not precise enough for the examples; see `check_resolution`.
    """
    check_count("side", side)
    ticks = positive_number("spacing", spacing) * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return GaussianMixture(torch.cartesian_prod(ticks, ticks), std)
