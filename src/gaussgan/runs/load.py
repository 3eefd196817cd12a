"""A run, back from its directory as plain modules."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.distributions import Law
from gaussgan.networks.build import build_networks
from gaussgan.runs.checkpoint import expecting_checkpoint, read_checkpoint
from gaussgan.runs.directory import LAST
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.runs.trust import check_trusted


@dataclass(frozen=True)
class Run:
    """What a run left behind: its trained networks as plain modules, its law, and its configuration."""

    directory: Path
    config: dict[str, Any]
    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module | None  # the generator's moving average, where the run kept one
    distribution: Law
    iterations: int  # of one of many replicas, until it diverged


def load_run(directory: str | Path, checkpoint: str = LAST, replica: int | None = None, trust: bool = False) -> Run:
    """Load a run from its directory.

    Args:
        checkpoint: which parameters, `checkpoints/last.ckpt` or `checkpoints/best.ckpt`.
        replica: which of a run of many, from 0 on; its configuration is then that of its single run.
        trust: import and call whatever the run's configuration names, and not only what this package has to offer.

    Raises:
        ConfigError: when the directory holds no run, its checkpoint cannot be read, it has no such replica, or it names
            other classes and is not trusted.
    """
    directory = Path(directory)
    if not (directory / checkpoint).is_file():
        raise ConfigError(f"{directory} is no run directory: it holds no {checkpoint}")
    state = read_checkpoint(directory / checkpoint)
    with expecting_checkpoint(directory / checkpoint):
        return _load(directory, state, replica, trust)


def _load(directory: Path, state: dict[str, Any], replica: int | None, trust: bool) -> Run:
    iterations = state["global_step"]
    if (replicas := state["config"]["replicas"]) > 1 or replica is not None:
        if replica is None or not 0 <= replica < replicas:
            raise ConfigError(
                f"{directory}: replica must be a number from 0 to {replicas - 1}, with replicas={replicas} (got"
                f" {replica})"
            )
        iterations, _ = state["diverged"].get(replica, (iterations, None))
        state = single_checkpoint(state, replica) if replicas > 1 else state
    config = state["config"]
    if not trust:
        check_trusted(config, directory)
    try:
        distribution = instantiate(config["data"]["distribution"])
    except InstantiationException as error:
        raise ConfigError(f"data.distribution: {one_line(error)}") from error
    modules = trained_networks(state, distribution.dim, trust)
    _check_widths(modules, config["data"]["latent_dim"], distribution.dim)
    return Run(
        directory,
        config,
        modules["generator"],
        modules["discriminator"],
        modules.get("generator_ema"),
        distribution,
        iterations,
    )


def trained_networks(checkpoint: Mapping[str, Any], dim: int, trust: bool = True) -> dict[str, nn.Module]:
    """The networks of a checkpoint as they are used, and the generator's moving average where there is one.

    Args:
        trust: draw the first parameters as a run does; else the networks take memory for those of the checkpoint alone.
    """
    with nullcontext() if trust else torch.device("meta"):
        modules = build_networks(checkpoint["config"], dim)
    prefixes = {name: f"{name}." for name in modules}
    if checkpoint["config"]["ema_half_life"] is not None:
        modules["generator_ema"] = deepcopy(modules["generator"])
        prefixes["generator_ema"] = "generator_ema."
    known = (*prefixes.values(),)
    if others := [key for key in checkpoint["state_dict"] if not key.startswith(known)]:
        raise ValueError(f"{others[0]} is of none of its networks")
    for name, module in modules.items():
        prefix = prefixes[name]
        weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        module.to(next(iter(weights.values())).dtype).load_state_dict(weights, assign=not trust)
        module.eval()
    return modules


@torch.no_grad()
def _check_widths(modules: Mapping[str, nn.Module], latent_dim: int, dim: int) -> None:
    generator, discriminator = modules["generator"], modules["discriminator"]
    latents = torch.zeros(2, latent_dim, dtype=next(generator.parameters()).dtype)
    if generator(latents).shape != (2, dim) or discriminator(generator(latents)).shape != (2, 1):
        raise ValueError("its networks do not fit its distribution")
