"""Build the generator and the discriminator of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import chain
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
    the data. A discriminator of packs has `packing` times as many features; of images, as many channels.

    Args:
        config: the run's configuration as plain dicts and lists.
        dim: d, the dimension of the data.

    Raises:
        ConfigError: when a network cannot be built.
    """
    networks: dict[str, nn.Module] = {}
    for name in ("generator", "discriminator"):
        section = {key: value for key, value in config[name].items() if key != "packing"}
        packing = config[name].get("packing", 1)
        widths: dict[str, Any] = {key: dim * packing for key, value in section.items() if value is None}
        if packing > 1 and section.get("shape"):  # pixel by pixel in a row, so channels come one after the other
            channels, *sides = section["shape"]
            widths["shape"] = [channels * packing, *sides]
        own = {key: value for key, value in varying(config).items() if key.startswith(f"{name}.")}
        numbers = [{key.rpartition(".")[2]: value[i] for key, value in own.items()} for i in range(config["replicas"])]
        try:
            make = instantiate(section, **widths, _partial_=True, _convert_="all")
            again = partial(make.func, *make.args, **make.keywords)  # calling Hydra's partial takes twice as long
            rngs = (stream(seed, f"init_{name}") for seed in seeds(config))
            each = ({"rng": rng, **own} for rng, own in zip(rngs, numbers, strict=True))
            first = make(**next(each))
            if not isinstance(first, nn.Module) or not [*first.parameters()]:
                raise TypeError(f"it must be a torch.nn.Module with parameters (got {type(first).__name__})")
            rest = (again(**arguments) for arguments in each)
            networks[name] = Replicas(chain([first], rest)) if config["replicas"] > 1 else first
        except Exception as error:  # a network may raise anything
            raise ConfigError(f"{name}: {one_line(error)}") from error
    return networks
