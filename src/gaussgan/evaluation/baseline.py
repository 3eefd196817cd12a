"""The maximum-likelihood baseline of a run."""

from __future__ import annotations

from torch import Tensor

from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.evaluation.gaussian import gaussian_w2


def mle_w2(data: GaussianDataModule, iterations: int) -> Tensor | None:
    """Return the w2 of the maximum-likelihood fit to all examples drawn for the first iterations of a run, [(R)].

    It is None if the data are not Gaussian.
    """
    distribution = data.distribution
    if not distribution.gaussian:
        return None
    return gaussian_w2(distribution.mean, distribution.cov, *data.moments(iterations))
