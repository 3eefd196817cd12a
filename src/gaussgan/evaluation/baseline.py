"""The maximum-likelihood baseline of a run."""

from __future__ import annotations

from torch import Tensor

from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.evaluation.gaussian import gaussian_w2


def mle_w2(data: GaussianDataModule, iterations: int) -> Tensor | None:
    """Return the 2-Wasserstein distance between a maximum-likelihood fit and the true distribution.

    The fit is the Gaussian that maximises the likelihood of the examples of a run's first iterations.

    Args:
        iterations: the number of these iterations. If they end within an epoch, the whole epoch is used.

    Returns:
        The distance, [], or [R] for R replicas; None if the data are not Gaussian.
    """
    distribution = data.distribution
    if not distribution.gaussian:
        return None
    return gaussian_w2(distribution.mean, distribution.cov, *data.moments(iterations))
