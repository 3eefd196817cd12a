"""The baselines of a run: values that a good generator reaches, and beats only by chance."""

from __future__ import annotations

from torch import Tensor

from gaussgan.data.datamodule import DataModule
from gaussgan.evaluation.chunked import ChunkedEvaluator
from gaussgan.evaluation.evaluator import Evaluator
from gaussgan.evaluation.gaussian import gaussian_w2


def baselines_of(data: DataModule, iterations: int, evaluator: Evaluator | ChunkedEvaluator) -> dict[str, Tensor]:
    """Return the baselines of a run, as a dict from tags to values.

    For Gaussian data it has mle/w2; see `mle_w2`. For measures of samples, the baseline is the same measure with
    training examples in place of generated ones, and its tag is like baseline/val/sliced_w2; see `HeldOut`.

    Args:
        data: the data of the run.
        iterations: the number of iterations of the run.
        evaluator: the run's evaluator.
    """
    mle = mle_w2(data, iterations)
    return evaluator.baselines() if mle is None else {"mle/w2": mle}


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
