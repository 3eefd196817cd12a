"""Which classes and functions a run may name that comes from anywhere: they do nothing but compute."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

from gaussgan import networks
from gaussgan.config.errors import ConfigError
from gaussgan.data import distributions
from gaussgan.data.datamodule import GaussianDataModule

DISTRIBUTIONS = (
    distributions.AffineGaussian, distributions.Dirac, distributions.GaussianMixture, distributions.grid,
    distributions.random_gaussian, distributions.ring,
)  # fmt: skip
NETWORKS = (
    networks.Linear, networks.Location, networks.Maxout, networks.MLP, networks.Quadratic, networks.SpectralLinear,
)  # fmt: skip
ACTIVATIONS = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardtanh, nn.Identity, nn.LeakyReLU, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid,
    nn.SiLU, nn.Softplus, nn.Softsign, nn.Tanh,
)  # fmt: skip
ALLOWED = {  # by the key of what is made
    "data": (GaussianDataModule,),
    "data.distribution": DISTRIBUTIONS,
    "generator": NETWORKS,
    "generator.activation": ACTIVATIONS,
    "discriminator": NETWORKS,
    "discriminator.activation": ACTIVATIONS,
}


def check_trusted(config: dict[str, Any], path: Path) -> None:
    """Check that what is made of a checkpoint's configuration is of the table, and depends on nothing else.

    A name counts as it stands: looking up any other would import a module, which runs its code.

    Raises:
        ConfigError: naming the first target that is none of these.
    """
    for part in ("data", "generator", "discriminator"):
        for key, value in _leaves(config[part], part):
            node, _, name = key.rpartition(".")
            refused = value not in _names(*ALLOWED.get(node, ())) if name == "_target_" else "${" in str(value)
            if refused:
                raise ConfigError(
                    f"{path} names {key}={value!r:.200}, which may run the code of whoever made it; if you trust"
                    " them, load it with trust=True or --trust"
                )


def _names(*allowed: Callable[..., Any]) -> set[str]:
    """The dotted names of objects: where each is defined, and in the packages that export it."""
    homes = ((each, home) for each in allowed for home in (each.__module__, networks.__name__, nn.__name__))
    return {f"{home}.{o.__name__}" for o, home in homes if getattr(sys.modules[home], o.__name__, None) is o}


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """All that is in dicts and lists, and all targets, by dotted keys."""
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            if name == "_target_":
                yield f"{key}._target_", part if isinstance(part, str) else str(part)
            else:
                yield from _leaves(part, f"{key}.{name}")
    else:
        yield key, value
