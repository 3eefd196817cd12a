"""Generators whose output distribution has a closed form."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import MultivariateNormal

from gaussgan.data.gaussian import is_singular


def has_closed_form(generator: nn.Module) -> bool:
    """Check whether a generator has a method `moments()`.

    The method returns the mean and covariance of G(z) for z ~ N(0, I). Only a generator whose output G(z) is Gaussian
    has this method.
    """
    return hasattr(generator, "moments")


def gaussian_density(generator: nn.Module) -> MultivariateNormal | None:
    """Return the distribution of G(z); None if this distribution has no closed form or no density."""
    if not has_closed_form(generator):
        return None
    mean, cov = generator.moments()  # type: ignore[operator]
    if is_singular(cov):
        return None
    return MultivariateNormal(mean, scale_tril=torch.linalg.cholesky(cov), validate_args=False)
