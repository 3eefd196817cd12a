"""Gaussian densities, and the moments of samples. Every function is batched over leading dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def is_singular(cov: Tensor, noise: Tensor | None = None) -> Tensor:
    """Check whether a covariance C has a direction whose variance is 0 or no larger than rounding error.

    C is singular if vᵀ C v ≤ vᵀ diag(unit²) v for some v ≠ 0, with unit² = 10 · d · eps · diag(C) + noise. So the units
    of the coordinates do not matter. NaN or infinity in a covariance counts as 0.

    Args:
        noise: for each coordinate, the variance that comes from rounding of the samples; see `rounding`.

    Shapes: [..., d, d], [..., d] → [...].
    """
    variance = cov.double().diagonal(dim1=-2, dim2=-1)
    unit = (10 * cov.shape[-1] * torch.finfo(cov.dtype).eps * variance + (0 if noise is None else noise)).sqrt()
    whitened = (cov.double() / unit.unsqueeze(-1) / unit.unsqueeze(-2)).nan_to_num(0.0, 0.0, 0.0)
    return torch.linalg.eigvalsh(whitened)[..., 0] <= 1


def rounding(mean: Tensor, cov: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the `noise` of `is_singular` for samples of this precision: (3 eps)² times the mean squares.

    Shapes: [..., d], [..., d, d] → [..., d].
    """
    return (3 * torch.finfo(dtype).eps) ** 2 * (mean.square() + cov.diagonal(dim1=-2, dim2=-1))


def gaussian_log_prob(x: Tensor, mean: Tensor, cov: Tensor) -> Tensor:
    """Return log N(x; mean, cov) in nats, in float64; NaN where cov `is_singular`.

    Shapes: [..., n, d], [..., d], [..., d, d] → [..., n].
    """
    d = mean.shape[-1]
    scale = torch.linalg.cholesky_ex(cov.double()).L
    inverse = torch.linalg.solve_triangular(scale, torch.eye(d, dtype=scale.dtype), upper=False)
    white = inverse @ (x.double() - mean.double().unsqueeze(-2)).mT  # [..., d, n]: sums over long rows are fast
    constant = log_diagonal(scale) + d * math.log(2 * math.pi) / 2
    log_prob = white.square_().sum(-2).div_(-2) - constant.unsqueeze(-1)
    return log_prob.where(~is_singular(cov).unsqueeze(-1), torch.nan)


def sample_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum-likelihood mean and covariance (divided by n) of samples, in float64.

    Shapes: [..., n, d] → [..., d], [..., d, d].
    """
    x = x.double()
    mean = x.mean(-2)
    centred = x - mean.unsqueeze(-2)
    return mean, centred.mT @ centred / x.shape[-2]


def log_diagonal(chol: Tensor) -> Tensor:
    """Return Σ log c_ii, half the log determinant of C = c cᵀ: [..., d, d] → [...]."""
    return chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
