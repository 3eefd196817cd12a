"""The maximum-likelihood baseline of a run."""

from __future__ import annotations

from torch import Tensor

from gaussgan.data.datamodule import DataModule
from gaussgan.evaluation.gaussian import gaussian_w2


def mle_w2(data: DataModule, iterations: int) -> Tensor | None:
    """Return the 2-Wasserstein distance between a maximum-likelihood fit and the true distribution.

    The fit is the Gaussian that maximises the likelihood of the examples of a run's first iterations.

    Args:
        data: the data of the run.
        iterations: the number of these first iterations. If the last of them lies within an epoch, all examples of this
            epoch are used.

    Returns:
        The distance, of shape [], or [R] for data of R replicas. None if the data are not Gaussian.
    """
    distribution = data.distribution
    if not distribution.gaussian:
        return None
    return gaussian_w2(distribution.mean, distribution.cov, *data.moments(iterations))
