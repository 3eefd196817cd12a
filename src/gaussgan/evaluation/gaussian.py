"""Exact distances between Gaussians. All functions accept arguments with leading batch dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from gaussgan.data.gaussian import is_singular, log_diagonal


def gaussian_w2(mean_p: Tensor, cov_p: Tensor, mean_q: Tensor, cov_q: Tensor) -> Tensor:
    """Return the 2-Wasserstein distance W₂ (not squared) of two Gaussians p and q, in units of the data.

        W₂² = ‖m_p − m_q‖² + tr C_p + tr C_q − 2 ‖C_p^½ C_q^½‖_*

    ‖·‖_* is the nuclear norm. Covariances may be singular. This is the Bures–Wasserstein distance (Gelbrich 1990,
    doi:10.1002/mana.19901470121; Bhatia, Jain, Lim 2019, arXiv 1712.01504). NaN or infinity in an argument gives NaN.
    Because of rounding, the distance of two equal distributions can be about 1e-7 √tr C_p instead of 0.

    Shapes: means [..., d], covariances [..., d, d] → distance [...]. The distance is in float64.
    """
    mean_p, cov_p, mean_q, cov_q = mean_p.double(), cov_p.double(), mean_q.double(), cov_q.double()
    finite = _finite(mean_p, cov_p) & _finite(mean_q, cov_q)
    overlap = torch.linalg.svdvals(_sqrt(cov_p) @ _sqrt(cov_q)).sum(-1)
    bures = _trace(cov_p) + _trace(cov_q) - 2 * overlap
    squared = (mean_p - mean_q).square().sum(-1) + bures.clamp(min=0)
    return squared.sqrt().where(finite, torch.nan)


def gaussian_kl(mean_p: Tensor, cov_p: Tensor, mean_q: Tensor, cov_q: Tensor, noise_q: Tensor | None = None) -> Tensor:
    """Return KL(p ‖ q) in nats for the Gaussians p = N(mean_p, cov_p) and q = N(mean_q, cov_q).

        KL = ½ [tr(C_q⁻¹ C_p) + (m_q − m_p)ᵀ C_q⁻¹ (m_q − m_p) − d + log det C_q − log det C_p]

    The KL is infinite if a covariance is singular; see `is_singular`. NaN or infinity in an argument gives NaN.

    Args:
        noise_q: that part of each coordinate's variance in cov_q that comes from rounding, [..., d]; see `rounding`.
            None if cov_q is exact and not estimated from samples.

    Shapes: means [..., d], covariances [..., d, d] → KL [...]. The KL is in float64.
    """
    singular = is_singular(cov_p) | is_singular(cov_q, noise_q)
    mean_p, cov_p, mean_q, cov_q = mean_p.double(), cov_p.double(), mean_q.double(), cov_q.double()
    finite = _finite(mean_p, cov_p) & _finite(mean_q, cov_q)
    chol_p, chol_q = torch.linalg.cholesky_ex(cov_p).L, torch.linalg.cholesky_ex(cov_q).L
    shift = torch.linalg.solve_triangular(chol_q, (mean_q - mean_p).unsqueeze(-1), upper=False)
    scale = torch.linalg.solve_triangular(chol_q, chol_p, upper=False)
    log_det_ratio = 2 * (log_diagonal(chol_q) - log_diagonal(chol_p))
    kl = (scale.square().sum((-2, -1)) + shift.square().sum((-2, -1)) - mean_p.shape[-1] + log_det_ratio) / 2
    return kl.where(~singular, torch.inf).where(finite, torch.nan)


def _finite(mean: Tensor, cov: Tensor) -> Tensor:
    return mean.isfinite().all(-1) & cov.isfinite().all(-1).all(-1)


def _sqrt(cov: Tensor) -> Tensor:
    # eigh raises an error for NaN. Zeros instead of NaN keep the results of the replicas that did not diverge.
    values, vectors = torch.linalg.eigh(cov.nan_to_num(0.0, 0.0, 0.0))
    return vectors * values.clamp(min=0).sqrt().unsqueeze(-2) @ vectors.mT


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)
