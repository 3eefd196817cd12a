"""The maximum-likelihood baseline of a run."""

from __future__ import annotations

from torch import Tensor

from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.evaluation.gaussian import gaussian_w2


def mle_w2(data: GaussianDataModule, iterations: int) -> Tensor | None:
    """Return the 2-Wasserstein distance of a maximum-likelihood fit to the truth; None if the data are not Gaussian.

    Args:
        iterations: the fit uses the examples of this number of iterations; see `GaussianDataModule.moments`.

    Returns:
        The distance, []; for replicas [R].
    """
    distribution = data.distribution
    if not distribution.gaussian:
        return None
    return gaussian_w2(distribution.mean, distribution.cov, *data.moments(iterations))
