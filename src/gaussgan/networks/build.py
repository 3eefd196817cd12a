"""The networks of a configuration, as they start."""

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
    """The generator and the discriminator of a configuration, as they start; `Replicas` of several. A null in it is the
    law's dimension.

    Raises:
        ConfigError: when one of them cannot be made.
    """
    networks: dict[str, nn.Module] = {}
    for name in ("generator", "discriminator"):
        widths = {key: dim for key, value in config[name].items() if value is None}
        own = {key: value for key, value in varying(config).items() if key.startswith(f"{name}.")}
        numbers = [{key.rpartition(".")[2]: value[i] for key, value in own.items()} for i in range(config["replicas"])]
        try:
            make = instantiate(config[name], **widths, _partial_=True)
            again = partial(make.func, *make.args, **make.keywords)  # Hydra's own takes as long again for each
            each = enumerate(zip(seeds(config), numbers, strict=True))
            copies = [(again if i else make)(rng=stream(seed, f"init_{name}"), **own) for i, (seed, own) in each]
            if not isinstance(copies[0], nn.Module) or not [*copies[0].parameters()]:
                raise TypeError(f"it must be a torch.nn.Module with parameters (got {type(copies[0]).__name__})")
        except Exception as error:  # whatever a network raises at what it is given
            raise ConfigError(f"{name}: {one_line(error)}") from error
        networks[name] = Replicas(copies) if len(copies) > 1 else copies[0]
    return networks
