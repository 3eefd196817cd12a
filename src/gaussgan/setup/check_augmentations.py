"""Call the augmentations before the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gaussgan.config.errors import ConfigError
from gaussgan.config.schema import FRACTION
from gaussgan.rng import normal, stream, uniform
from gaussgan.setup.trial import ROWS, check_numbers, naming_key


def check_draws(augmentations: Mapping[str, Any]) -> None:
    """Check that each augmentation has the attributes `draws` and `probability`.

    Raises:
        ConfigError: for the first mistake.
    """
    for name, augmentation in augmentations.items():
        where = f"augment.{name}: {type(augmentation).__name__}"
        draws, probability = (getattr(augmentation, key, None) for key in ("draws", "probability"))
        if type(draws) is not int or draws < 0:
            raise ConfigError(f"{where}.draws must be a whole number of at least 0 (got {draws})")
        if not FRACTION[1](probability):
            raise ConfigError(f"{where}.probability must be {FRACTION[0]} (got {probability})")


def check_augmentations(augmentations: Mapping[str, Any], d: int, replicas: int) -> None:
    """Check that each augmentation is a function of each example and of its draws alone, with gradients.

    Args:
        augmentations: maps the name of each augmentation in the configuration to the augmentation.
        d: the dimension of the data.
        replicas: the number of replicas.

    Raises:
        ConfigError: for the first mistake.
    """
    leading = [replicas] if replicas > 1 else []
    rng = stream(0, "protocol")
    for name, augmentation in augmentations.items():
        where = f"augment.{name}: the value of {type(augmentation).__name__}"
        x = normal(*leading, ROWS, d, generator=rng).requires_grad_()
        u = uniform(*leading, ROWS, augmentation.draws, generator=rng)
        with naming_key(f"augment.{name}"), torch.enable_grad():
            value = augmentation(x, u)
            check_numbers(where, value, x.shape)
            if not value.requires_grad:
                raise ConfigError(f"{where} must have a gradient with respect to the examples")
            one = (0,) * len(leading) + (slice(1),)
            if not torch.allclose(augmentation(x[one], u[one]), value[one], rtol=1e-3, atol=1e-4):
                raise ConfigError(f"{where} must depend on one example and its draws alone, and draw nothing itself")
