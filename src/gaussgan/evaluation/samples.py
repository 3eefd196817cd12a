"""Measures that are computed from samples alone. All functions accept samples with leading batch dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from gaussgan.data.gaussian import sample_moments
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.rng import normal

DIRECTIONS = 128  # number of random directions for sliced_w2


def sliced_w2(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """Return the sliced 2-Wasserstein distance SW₂ (not squared) of two samples x and y, in units of the data.

        SW₂² = mean over unit vectors θ of W₂²(θ·x, θ·y)

    The mean is over the given directions θ. θ·x is the projection of the sample x onto θ. In one dimension, W₂² is the
    mean squared difference of the sorted samples (Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3). If the mean were
    over all directions, SW₂ would be at most W₂ / √d.

    Args:
        x: the n examples of the first sample, [..., n, d].
        y: the n examples of the second sample, [..., n, d].
        directions: k unit vectors θ, [..., k, d].

    Returns:
        The distance, [...], in float64. NaN in a sample gives NaN.
    """
    x, y = (torch.sort(sample.double() @ directions.double().mT, dim=-2).values for sample in (x, y))
    return (x - y).square().mean((-2, -1)).sqrt()


def unit_vectors(n: int, d: int, rng: torch.Generator) -> Tensor:
    """Draw n random directions: vectors of length 1, [n, d], in float64."""
    vectors = normal(n, d, generator=rng).double()
    return vectors / vectors.norm(dim=-1, keepdim=True)


def frechet(x: Tensor, y: Tensor) -> Tensor:
    """Return the Fréchet distance F (not squared) of two samples, in units of the data.

    F is the 2-Wasserstein distance of the two Gaussians that have the means and covariances of the samples; see
    `gaussian_w2`. It does not see differences beyond the second moments.

    F is biased. If both samples come from one Gaussian whose covariance has the eigenvalues λ, then for large n and m

        E F² ≈ (1/n + 1/m) (5/4 Σ_i λ_i + 1/2 Σ_ij λ_i λ_j / (λ_i + λ_j))

    instead of 0. So F grows like n^−½ as n falls; with d equal eigenvalues λ, F² ≈ (1/n + 1/m) λ d (d + 5) / 4. Compare
    two values only if they have the same n and m, as a value and its baseline have.

    Shapes: x [..., n, d], y [..., m, d] → distance [...], in float64. NaN or infinity in a sample gives NaN.
    """
    return gaussian_w2(*sample_moments(x), *sample_moments(y))


def fid(x: Tensor, y: Tensor) -> Tensor:
    """Return the Fréchet inception distance of features of the Inception network, as other software computes it.

    It is the square of `frechet`, but covariances are divided by n − 1. Heusel et al. 2017, arXiv 1706.08500.

    Shapes: x [..., n, f], y [..., m, f] → distance [...], in float64. NaN or infinity in a sample gives NaN.
    """
    (mean_x, cov_x), (mean_y, cov_y) = sample_moments(x), sample_moments(y)
    n, m = x.shape[-2], y.shape[-2]
    return gaussian_w2(mean_x, cov_x * n / (n - 1), mean_y, cov_y * m / (m - 1)).square()


def mode_metrics(x: Tensor, modes: Tensor, std: float) -> dict[str, Tensor]:
    """Measure how well samples cover the modes of a mixture of m isotropic Gaussians with equal weights.

    - val/modes: the number of modes that have a sample within a distance of 3 std;
    - val/high_quality: the proportion of samples within 3 std of their nearest mode. For samples of a mixture in the
      plane with distant modes, the expected proportion is 1 − e^{−9/2} = 0.98889;
    - val/reverse_kl: KL(q ‖ uniform) = Σ q_i log(m q_i) in nats. q_i is the proportion of samples whose nearest mode
      is mode i.

    The measures are from Srivastava et al. 2017, arXiv 1705.07761, section 4, and Lin et al. 2018, arXiv 1712.04086,
    section 4. A sample with NaN or infinity is near no mode, and makes val/reverse_kl NaN.

    Args:
        x: the samples, [..., n, d].
        modes: the means of the m Gaussians, [m, d].
        std: the standard deviation of each Gaussian in every direction.

    Returns:
        A dict from the names above to measures. Each measure is in float64 and has the shape [...].
    """
    distances = torch.cdist(x.double(), modes.double(), compute_mode="donot_use_mm_for_euclid_dist")
    smallest, nearest = distances.where(distances.isfinite(), torch.inf).min(-1)
    q = torch.nn.functional.one_hot(nearest, len(modes)).double().mean(-2)
    divergence = torch.xlogy(q, len(modes) * q).sum(-1)
    return {
        "val/modes": (distances <= 3 * std).any(-2).sum(-1).double(),
        "val/high_quality": (smallest <= 3 * std).double().mean(-1),
        "val/reverse_kl": divergence.where(smallest.isfinite().all(-1), torch.nan),
    }
