"""Gaussian densities, and the moments of samples. Every function is batched over leading dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def is_singular(cov: Tensor, noise: Tensor | None = None) -> Tensor:
    """Check whether a covariance C, the argument `cov`, is singular up to rounding errors.

    C counts as singular if vᵀ C v ≤ vᵀ diag(s) v for some vector v ≠ 0. Here s is the vector 10 · d · eps · diag(C) +
    noise, and eps is the machine epsilon of the precision of C. The result does not depend on the units of the
    coordinates. NaN or infinity in C counts as 0.

    Args:
        noise: the part of each coordinate's variance that comes from rounding, if C is the covariance of samples; see
            `rounding`. None counts as 0.

    Shapes: C [..., d, d], noise [..., d] → [...].
    """
    variance = cov.double().diagonal(dim1=-2, dim2=-1)
    unit = (10 * cov.shape[-1] * torch.finfo(cov.dtype).eps * variance + (0 if noise is None else noise)).sqrt()
    whitened = (cov.double() / unit.unsqueeze(-1) / unit.unsqueeze(-2)).nan_to_num(0.0, 0.0, 0.0)
    return torch.linalg.eigvalsh(whitened)[..., 0] <= 1


def rounding(mean: Tensor, cov: Tensor, dtype: torch.dtype) -> Tensor:
    """Return an estimate of the variance that rounding adds to each coordinate of samples.

    It is (3 eps)² times the mean square of the coordinate, where eps is the machine epsilon of `dtype`. Pass the result
    to `is_singular` as `noise`.

    Args:
        mean: the mean of the samples.
        cov: the covariance of the samples.
        dtype: the precision in which the samples were computed.

    Shapes: mean [..., d], cov [..., d, d] → [..., d].
    """
    return (3 * torch.finfo(dtype).eps) ** 2 * (mean.square() + cov.diagonal(dim1=-2, dim2=-1))


def gaussian_log_prob(x: Tensor, mean: Tensor, cov: Tensor) -> Tensor:
    """Return the log density of the Gaussian N(mean, cov) at each row of x, in nats and in float64.

    The result is NaN where cov is singular; see `is_singular`.

    Shapes: x [..., n, d], mean [..., d], cov [..., d, d] → [..., n].
    """
    d = mean.shape[-1]
    scale = torch.linalg.cholesky_ex(cov.double()).L
    inverse = torch.linalg.solve_triangular(scale, torch.eye(d, dtype=scale.dtype), upper=False)
    white = inverse @ (x.double() - mean.double().unsqueeze(-2)).mT  # [..., d, n]: sums over long rows are fast
    constant = log_diagonal(scale) + d * math.log(2 * math.pi) / 2
    log_prob = white.square_().sum(-2).div_(-2) - constant.unsqueeze(-1)
    return log_prob.where(~is_singular(cov).unsqueeze(-1), torch.nan)


def sample_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the covariance of samples in float64. The covariance is a sum divided by n, not n − 1.

    Shapes: samples [..., n, d] → mean [..., d], covariance [..., d, d].
    """
    x = x.double()
    mean = x.mean(-2)
    centred = x - mean.unsqueeze(-2)
    return mean, centred.mT @ centred / x.shape[-2]


def log_diagonal(chol: Tensor) -> Tensor:
    """Return Σ log c_ii, half the log determinant of c cᵀ, for the Cholesky factor c = `chol`, [..., d, d] → [...]."""
    return chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
