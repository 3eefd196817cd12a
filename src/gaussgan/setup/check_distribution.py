"""Check the attributes and methods of a distribution before the run."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.config.schema import is_number
from gaussgan.data.distributions import examples_of
from gaussgan.rng import stream
from gaussgan.setup.trial import ONLY_GIVEN_GENERATOR, ROWS, check_numbers, naming_key


def check_distribution(distribution: Any) -> None:
    """Check that an object follows the protocol `Distribution`: its attributes and methods must exist and be valid.

    Raises:
        ConfigError: for the first attribute or method that is missing or invalid.
    """
    where = f"data.distribution: {type(distribution).__name__}"
    for attribute in ("dim", "mean", "cov", "gaussian", "sample"):
        if not hasattr(distribution, attribute):
            raise ConfigError(f"{where} must have the attribute {attribute} (it has none)")
    with naming_key("data.distribution"):
        d = distribution.dim
        if type(d) is not int or d < 1:
            raise ConfigError(f"{where}.dim must be a whole number of at least 1 (got {d!r})")
        if type(distribution.gaussian) is not bool:
            raise ConfigError(f"{where}.gaussian must be true or false (got {distribution.gaussian!r})")
        check_numbers(f"{where}.mean", distribution.mean, (d,))
        check_numbers(f"{where}.cov", distribution.cov, (d, d))
        cov = distribution.cov.double()
        if not torch.allclose(cov, cov.mT) or torch.linalg.eigvalsh(cov)[0] < -1e-6 * cov.abs().max():
            raise ConfigError(f"{where}.cov must be symmetric and positive semidefinite (got {cov.tolist()})")
        if hasattr(distribution, "modes"):
            check_numbers(f"{where}.modes", distribution.modes, (len(distribution.modes), d))
            std: Any = getattr(distribution, "std", None)
            if not is_number(std) or std <= 0:
                raise ConfigError(f"{where}.std must be a number above 0 (got {std!r})")
        before = _global_states()
        x, again = (examples_of(distribution, ROWS, stream(0, "protocol")) for _ in range(2))
        if not torch.equal(x, again) or before != _global_states():
            raise ConfigError(f"{where}.sample {ONLY_GIVEN_GENERATOR}")
        _check_log_prob(distribution, x)


def _check_log_prob(distribution: Any, x: Tensor) -> None:
    if not hasattr(distribution, "log_prob"):
        return
    where = f"data.distribution: {type(distribution).__name__}.log_prob"
    for points in (x[0], x, torch.stack([x, x])):
        try:
            value = distribution.log_prob(points)
        except ValueError:  # the distribution has no density
            return
        check_numbers(where, value, points.shape[:-1], finite=False)
        if value.isnan().any():
            raise ConfigError(f"{where} must be a number at every sample of the distribution (got nan)")


def _global_states() -> tuple[Any, ...]:
    """Return the states of the global random number generators of torch, Python and NumPy."""
    legacy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), legacy[1].tolist()  # type: ignore[index]
