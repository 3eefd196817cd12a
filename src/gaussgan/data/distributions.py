"""The laws that data come from: each has a closed form, so that the truth is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.data.gaussian import gaussian_log_prob, is_singular
from gaussgan.rng import normal, stream


class Law(Protocol):
    """What every law has: mean, [d], and covariance, [d, d], in float64; `gaussian`, whether they say all about it."""

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
        """n examples, [n, d], in float32."""

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, [..., d] → [...], in float64.

        Raises:
            ValueError: when the law has no density.
        """


def examples_of(law: Law, n: int, rng: torch.Generator) -> Tensor:
    """n examples of a law, [n, d], seen to be so many finite numbers.

    Raises:
        ConfigError: when they are not.
    """
    x = law.sample(n, rng)
    what = f"data.distribution: {type(law).__name__}.sample({n}, generator)"
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.shape != (n, law.dim):
        got = f"{[*x.shape]} of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ConfigError(f"{what} must be a tensor of floats, {[n, law.dim]} (got {got})")
    if not x.isfinite().all():
        raise ConfigError(f"{what} must be finite (it holds NaN or infinity)")
    return x


def name_of(law: Law) -> str:
    """How a law calls itself, or the name of a class that does not say."""
    return type(law).__name__ if type(law).__repr__ is object.__repr__ else repr(law)


class AffineGaussian:
    """The law of X A + b for X ~ N(0, I_k), as row vectors: N(b, AᵀA).

    Args:
        A: the matrix, k rows of d numbers.
        b: the shift, d numbers.

    Raises:
        ValueError: when A is ragged, empty or not two-dimensional, when b has not d numbers, when a number of either is
            not finite in float32, in which examples are drawn, or when float32 rounds away a direction.
    """

    gaussian = True

    def __init__(self, A: Sequence[Sequence[float]] | Tensor, b: Sequence[float] | Tensor) -> None:
        self.A = _numbers("A", A, ndim=2, form="k rows of d numbers each")
        self.mean = _numbers("b", b, ndim=1, form="d numbers")
        if len(self.mean) != self.dim:
            raise ValueError(f"b must have {self.dim} numbers, one for each column of A (got {len(self.mean)})")
        _check_resolution(self.A, self.mean)

    @property
    def dim(self) -> int:
        """d, the number of features of an example."""
        return self.A.shape[1]

    @property
    def cov(self) -> Tensor:
        """AᵀA, [d, d]."""
        return self.A.T @ self.A

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n examples, [n, d], in float32."""
        return torch.addmm(self.mean.float(), normal(n, len(self.A), generator=generator), self.A.float())

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, [..., d] → [...], in float64.

        Raises:
            ValueError: when AᵀA is singular: then the law has no density.
        """
        if self._singular:
            raise ValueError(f"{self} has no density: its covariance is singular")
        return gaussian_log_prob(torch.atleast_2d(x), self.mean, self.cov).reshape(x.shape[:-1])

    @cached_property
    def _singular(self) -> bool:
        return bool(is_singular(self.cov))

    def __repr__(self) -> str:
        return f"N(mean={self.mean.tolist()}, cov={[[round(c, 6) for c in row] for row in self.cov.tolist()]})"


def random_gaussian(dim: int, condition_number: float, seed: int) -> AffineGaussian:
    """N(b, Q diag(λ) Qᵀ) with b ~ N(0, I_d), λ log-spaced from 1 down to 1 / condition_number, and Q Haar-random.

    Q is the orthogonal factor of a matrix of standard normals, made unique by a positive diagonal of the other factor
    (Mezzadri 2007, arXiv math-ph/0609050). In one dimension λ = 1.

    Args:
        seed: of the law; it is none of a run's, so that runs of other seeds meet the same law.

    Raises:
        ValueError: when dim is not a whole number of at least 1, or condition_number not a finite one of at least 1.
    """
    _check_count("dim", dim)
    if _numbers("condition_number", condition_number, ndim=0, form="a number") < 1:
        raise ValueError(f"condition_number must be at least 1 (got {condition_number})")
    rng = stream(seed, "law")
    q, r = torch.linalg.qr(normal(dim, dim, generator=rng).double())
    scales = torch.logspace(0, -math.log10(condition_number) / 2, dim, dtype=torch.float64)
    return AffineGaussian(scales.unsqueeze(-1) * (q * r.diagonal().sign()).T, normal(dim, generator=rng))


class GaussianMixture:
    """The mixture of m isotropic Gaussians in equal shares, p(x) = 1/m Σ_i N(x; μ_i, std² I).

        mean = 1/m Σ μ_i,   cov = std² I + 1/m Σ (μ_i − mean)(μ_i − mean)ᵀ

    Args:
        means: the modes μ_i, m rows of d numbers; `modes` holds them.
        std: the standard deviation of each, in every direction.

    Raises:
        ValueError: when means is ragged, empty or not two-dimensional, when a number is not finite, std not above 0, or
            so small that float32 rounds it away.
    """

    def __init__(self, means: Sequence[Sequence[float]] | Tensor, std: float) -> None:
        self.modes = _numbers("means", means, ndim=2, form="m rows of d numbers each")
        self.std = _positive("std", std)
        _check_resolution(self.std * torch.eye(self.dim, dtype=torch.float64), self.modes.abs().amax(0))

    @property
    def dim(self) -> int:
        """d, the number of features of an example."""
        return self.modes.shape[1]

    @property
    def mean(self) -> Tensor:
        return self.modes.mean(0)

    @property
    def cov(self) -> Tensor:
        centred = self.modes - self.mean
        return self.std**2 * torch.eye(self.dim, dtype=torch.float64) + centred.T @ centred / len(self.modes)

    @property
    def gaussian(self) -> bool:
        """Whether there is but one mode."""
        return len(self.modes) == 1

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n examples, [n, d], in float32, each of a mode drawn for it."""
        chosen = torch.randint(len(self.modes), (n,), generator=generator)
        return self.modes.float()[chosen] + self.std * normal(n, self.dim, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, [..., d] → [...], in float64."""
        squares = ((x.double().unsqueeze(-2) - self.modes) / self.std).square().sum(-1)
        constant = math.log(len(self.modes)) + self.dim * math.log(self.std * math.sqrt(2 * math.pi))
        return torch.logsumexp(-squares / 2, -1) - constant

    def __repr__(self) -> str:
        return f"{len(self.modes)} modes of std {self.std:g} around {[round(m, 6) + 0.0 for m in self.mean.tolist()]}"


def ring(modes: int, radius: float, std: float) -> GaussianMixture:
    """So many modes, evenly spaced on a circle around 0 in the plane, from (radius, 0) on.

    Raises:
        ValueError: when modes is not a whole number of at least 1, or radius or std not a finite number above 0.
    """
    _check_count("modes", modes)
    angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return GaussianMixture(_positive("radius", radius) * torch.stack([angles.cos(), angles.sin()], -1), std)


def grid(side: int, spacing: float, std: float) -> GaussianMixture:
    """side × side modes on a square grid around 0 in the plane, neighbours at the given spacing.

    Raises:
        ValueError: when side is not a whole number of at least 1, or spacing or std not a finite number above 0.
    """
    _check_count("side", side)
    ticks = _positive("spacing", spacing) * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return GaussianMixture(torch.cartesian_prod(ticks, ticks), std)


class Dirac:
    """All mass at one point: the data of the Dirac-GAN (Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406).

    Args:
        point: where, d numbers.

    Raises:
        ValueError: when point is not d finite numbers.
    """

    gaussian = True

    def __init__(self, point: Sequence[float] | Tensor) -> None:
        self.mean = _numbers("point", point, ndim=1, form="d numbers")

    @property
    def dim(self) -> int:
        """d, the number of features of an example."""
        return len(self.mean)

    @property
    def cov(self) -> Tensor:
        """Zeros, [d, d]."""
        return torch.zeros(self.dim, self.dim, dtype=torch.float64)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n examples, [n, d], in float32, all the same; nothing is drawn."""
        return self.mean.float().repeat(n, 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """
        Raises:
            ValueError: always: a point mass has no density.
        """
        raise ValueError(f"{self} has no density: its covariance is singular")

    def __repr__(self) -> str:
        return f"δ({self.mean.tolist()})"


def _check_resolution(A: Tensor, shift: Tensor) -> None:
    """Check that examples in float32 are what they claim to be: Z A + shift for Z ~ N(0, I).

    Rounding a coordinate may change it by eps times its root mean square. That may be 1% of the standard deviation in
    each direction at most, save those in which it is 0. Directions are principal axes in units of the coordinates.

    Args:
        A: k rows of d numbers.
        shift: d numbers.

    Raises:
        ValueError: when it is more, or when examples may be infinite.
    """
    float32, std = torch.finfo(torch.float32), A.norm(dim=0)
    if ((largest := shift.abs() + 10 * std) > float32.max).any():
        raise ValueError(f"examples must be within {float32.max:.2g} of 0, as float32 is (got {largest.max():.2g})")
    rounding = float32.eps * torch.hypot(std, shift) + float32.tiny
    unit = std.where(std > 0, 1)
    _, stds, axes = torch.linalg.svd(A / unit, full_matrices=False)
    errors = (axes * rounding / unit).norm(dim=-1)
    real = stds > max(A.shape) * torch.finfo(torch.float64).eps * stds.max()
    share = (errors / stds)[real].max().item() if real.any() else 0.0
    if share > 0.01:
        raise ValueError(
            "the distribution must be nearer to 0, or wider in its thinnest direction: float32 may round examples by"
            f" 0.01 of the standard deviation there (got {share:.2g})"
        )


def _check_count(name: str, value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1 (got {value})")


def _positive(name: str, value: float) -> float:
    if _numbers(name, value, ndim=0, form="a number") <= 0:
        raise ValueError(f"{name} must be above 0 (got {value})")
    return float(value)


def _numbers(name: str, value: Sequence | Tensor | float, ndim: int, form: str) -> Tensor:
    try:
        if any(isinstance(entry, bool) for entry in _entries(value)):  # which torch takes for numbers
            raise TypeError
        tensor = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be {form} (got {value})") from None
    if tensor.ndim != ndim or tensor.numel() == 0:
        raise ValueError(f"{name} must be {form} (got {value})")
    if not tensor.float().isfinite().all():
        raise ValueError(f"{name} must be finite in float32 (got {value})")
    return tensor


def _entries(value: Any) -> Iterator[Any]:
    """What is in lists, however deep."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            yield from _entries(entry)
    else:
        yield value
