"""Distributions of the data. Means, covariances and, where they exist, densities have closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.data.checks import check_count, check_resolution, number_tensor
from gaussgan.data.gaussian import gaussian_log_prob, is_singular
from gaussgan.data.mixtures import GaussianMixture, grid, ring
from gaussgan.rng import normal, stream

__all__ = [
    "AffineGaussian", "Dirac", "Distribution", "GaussianMixture", "examples_of", "grid", "has_density", "name_of",
    "random_gaussian", "ring",
]  # fmt: skip


class Distribution(Protocol):
    """The attributes that every distribution must have.

    `mean`, [d], and `cov`, [d, d], are the mean and the covariance of an example, in float64. `gaussian` is true if the
    distribution is Gaussian. The covariance may be singular. A distribution without a density may lack `log_prob`.

    A mixture of m isotropic Gaussians with equal weights may have two more attributes: `modes`, [m, d], the means of
    the Gaussians, and `std`, the standard deviation of each Gaussian in every direction. If a distribution has these
    attributes and is not Gaussian, the evaluation counts the modes that a generator covers.
    """

    @property
    def dim(self) -> int:
        """d, the number of features of an example."""

    @property
    def mean(self) -> Tensor: ...

    @property
    def cov(self) -> Tensor: ...

    @property
    def gaussian(self) -> bool: ...

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n examples, [n, d], in float32. All random numbers come from `generator`."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) in nats, [..., d] → [...], in float64.

        Raises:
            ValueError: when the distribution has no density.
        """


class AffineGaussian:
    """N(b, AᵀA), the distribution of the row vector X A + b for X ~ N(0, I_k).

    Args:
        A: the matrix, k rows of d numbers.
        b: the shift, d numbers.

    Raises:
        ValueError: when A is not k rows of d numbers, when b is not d numbers, when a number is not finite in float32,
            or when float32 is not precise enough for the examples; see `check_resolution`.
    """

    gaussian = True

    def __init__(self, A: Sequence[Sequence[float]] | Tensor, b: Sequence[float] | Tensor) -> None:
        self.A = number_tensor("A", A, ndim=2, form="k rows of d numbers each")
        self.mean = number_tensor("b", b, ndim=1, form="d numbers")
        if len(self.mean) != self.dim:
            raise ValueError(f"b must have {self.dim} numbers, one for each column of A (got {len(self.mean)})")
        check_resolution(self.A, self.mean)

    @property
    def dim(self) -> int:
        """d, the number of features of an example."""
        return self.A.shape[1]

    @property
    def cov(self) -> Tensor:
        """The covariance AᵀA, [d, d]."""
        return self.A.T @ self.A

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n examples, [n, d], in float32."""
        return torch.addmm(self.mean.float(), normal(n, len(self.A), generator=generator), self.A.float())

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) in nats, [..., d] → [...], in float64.

        Raises:
            ValueError: when AᵀA is singular; then the distribution has no density.
        """
        if self._singular:
            raise ValueError(f"{self} has no density: its covariance is singular")
        return gaussian_log_prob(torch.atleast_2d(x), self.mean, self.cov).reshape(x.shape[:-1])

    @cached_property
    def _singular(self) -> bool:
        return bool(is_singular(self.cov))

    def __repr__(self) -> str:
        return f"N(mean={self.mean.tolist()}, cov={[[round(c, 6) for c in row] for row in self.cov.tolist()]})"


class Dirac(AffineGaussian):
    """The distribution of an example that always equals `point`.

    It is the data of the Dirac-GAN (Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406).

    Args:
        point: d numbers.

    Raises:
        ValueError: when point is not d finite numbers.
    """

    def __init__(self, point: Sequence[float] | Tensor) -> None:
        mean = number_tensor("point", point, ndim=1, form="d numbers")
        super().__init__(torch.zeros(1, len(mean)), mean)

    def __repr__(self) -> str:
        return f"δ({self.mean.tolist()})"


def random_gaussian(dim: int, condition_number: float, seed: int) -> AffineGaussian:
    """Return a random Gaussian N(b, Q diag(λ) Qᵀ) whose covariance has a given condition number.

    The mean b is drawn from N(0, I_d). The eigenvalues λ are log-spaced from 1 down to 1 / condition_number; in one
    dimension λ = 1. The orthogonal matrix Q is drawn from the uniform (Haar) distribution: a matrix of draws from
    N(0, 1) is decomposed as Q R, where R is upper triangular. The signs of the columns of Q are chosen so that the
    diagonal of R is positive (Mezzadri 2007, arXiv math-ph/0609050).

    Args:
        dim: d, the dimension.
        condition_number: the largest eigenvalue of the covariance divided by the smallest.
        seed: the seed of b and Q. It is not the run's seed, so runs with different seeds can share a distribution.

    Raises:
        ValueError: when dim is not a whole number of at least 1, or condition_number is not a finite number of at least
            1, or when float32 is not precise enough for the examples; see `check_resolution`.
    """
    check_count("dim", dim)
    if number_tensor("condition_number", condition_number, ndim=0, form="a number") < 1:
        raise ValueError(f"condition_number must be at least 1 (got {condition_number})")
    rng = stream(seed, "law")
    q, r = torch.linalg.qr(normal(dim, dim, generator=rng).double())
    scales = torch.logspace(0, -math.log10(condition_number) / 2, dim, dtype=torch.float64)
    return AffineGaussian(scales.unsqueeze(-1) * (q * r.diagonal().sign()).T, normal(dim, generator=rng))


def examples_of(distribution: Distribution, n: int, rng: torch.Generator) -> Tensor:
    """Draw n examples of a distribution, [n, d], and check that they are finite. All random numbers come from `rng`.

    The examples are in float32, or in float64 if the distribution draws in float64.

    Raises:
        ConfigError: when the distribution does not return n rows of d finite numbers.
    """
    x = distribution.sample(n, rng)
    what = f"data.distribution: {type(distribution).__name__}.sample({n}, generator)"
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.shape != (n, distribution.dim):
        got = f"{[*x.shape]} of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ConfigError(f"{what} must be a tensor of floats, {[n, distribution.dim]} (got {got})")
    if not x.isfinite().all():
        raise ConfigError(f"{what} must be finite (got NaN or infinity)")
    return x.to(torch.promote_types(x.dtype, torch.float32))


def has_density(distribution: Distribution) -> bool:
    """Check whether a distribution can compute log p(x)."""
    try:
        return hasattr(distribution, "log_prob") and distribution.log_prob(distribution.mean) is not None
    except ValueError:
        return False


def name_of(distribution: Distribution) -> str:
    """Return the repr of a distribution, or the name of its class if it defines no repr."""
    kind = type(distribution)
    return kind.__name__ if kind.__repr__ is object.__repr__ else repr(distribution)
