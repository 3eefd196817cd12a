"""Build the generator and the discriminator of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from hydra.utils import instantiate
from torch import nn

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.per_replica import seeds, varying
from gaussgan.networks.replicas import Replicas
from gaussgan.rng import stream


def build_networks(config: Mapping[str, Any], dim: int) -> dict[str, nn.Module]:
    """Return the generator and the discriminator of a configuration with their initial parameters.

    The keys of the result are "generator" and "discriminator". With several replicas, each value is a `Replicas`, one
    module that holds the networks of all replicas. A null in a network's configuration is replaced by the dimension of
    the data.

    Args:
        config: the run's configuration as plain dicts and lists.
        dim: d, the dimension of the data.

    Raises:
        ConfigError: when a network cannot be built.
    """
    networks: dict[str, nn.Module] = {}
    for name in ("generator", "discriminator"):
        widths = {key: dim for key, value in config[name].items() if value is None}
        own = {key: value for key, value in varying(config).items() if key.startswith(f"{name}.")}
        numbers = [{key.rpartition(".")[2]: value[i] for key, value in own.items()} for i in range(config["replicas"])]
        try:
            make = instantiate(config[name], **widths, _partial_=True)
            again = partial(make.func, *make.args, **make.keywords)  # calling Hydra's partial takes twice as long
            each = enumerate(zip(seeds(config), numbers, strict=True))
            copies = [(again if i else make)(rng=stream(seed, f"init_{name}"), **own) for i, (seed, own) in each]
            if not isinstance(copies[0], nn.Module) or not [*copies[0].parameters()]:
                raise TypeError(f"it must be a torch.nn.Module with parameters (got {type(copies[0]).__name__})")
        except Exception as error:  # a network may raise anything
            raise ConfigError(f"{name}: {one_line(error)}") from error
        networks[name] = Replicas(copies) if len(copies) > 1 else copies[0]
    return networks
