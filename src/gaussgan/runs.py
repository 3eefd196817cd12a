"""A run, back from its directory as plain modules."""

from __future__ import annotations

import io
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from gaussgan.config import ConfigError, one_line
from gaussgan.directory import LAST, parts_of, write_whole
from gaussgan.distributions import Law
from gaussgan.replicas import Replicas
from gaussgan.single import single_checkpoint
from gaussgan.streams import stream
from gaussgan.variation import seeds, varying


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


def load_run(directory: str | Path, checkpoint: str = LAST, replica: int | None = None) -> Run:
    """Load a run from its directory.

    Args:
        checkpoint: which parameters, `checkpoints/last.ckpt` or `checkpoints/best.ckpt`.
        replica: which of a run of many, from 0 on; its configuration is then that of its single run.

    Raises:
        ConfigError: when the directory holds no run, its checkpoint cannot be read, or it has no such replica.
    """
    directory = Path(directory)
    parts = parts_of(directory)
    first = max((first for first in parts if first <= (replica or 0)), default=0)
    part = parts.get(first, directory)
    if not (part / checkpoint).is_file():
        raise ConfigError(f"{part} is no run directory: it holds no {checkpoint}")
    state = read_checkpoint(part / checkpoint)
    iterations = state["global_step"]
    if (replicas := state["config"].get("whole", state["config"])["replicas"]) > 1 or replica is not None:
        if replica is None or not 0 <= replica < replicas:
            raise ConfigError(
                f"{directory}: replica must be a number from 0 to {replicas - 1}, with replicas={replicas} (got"
                f" {replica})"
            )
        if replica - first >= (there := state["config"]["replicas"]):
            raise ConfigError(f"{directory}: the part of replica {replica} has not begun")
        iterations, _ = state["diverged"].get(replica - first, (iterations, None))
        state = single_checkpoint(state, replica - first) if there > 1 else state
    config = state["config"]
    try:
        distribution = instantiate(config["data"]["distribution"])
    except InstantiationException as error:
        raise ConfigError(f"data.distribution: {one_line(error)}") from error
    modules = trained_networks(state, distribution.dim)
    return Run(
        part,
        config,
        modules["generator"],
        modules["discriminator"],
        modules.get("generator_ema"),
        distribution,
        iterations,
    )


def trained_networks(checkpoint: Mapping[str, Any], dim: int) -> dict[str, nn.Module]:
    """The networks of a checkpoint as they are used, and the generator's moving average where there is one."""
    modules = build_networks(checkpoint["config"], dim)
    prefixes = {name: f"{name}." for name in modules}
    if checkpoint["config"]["ema_half_life"] is not None:
        modules["generator_ema"] = deepcopy(modules["generator"])
        prefixes["generator_ema"] = "generator_ema.module."
    for name, module in modules.items():
        prefix = prefixes[name]
        weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        module.to(next(iter(weights.values())).dtype).load_state_dict(weights)
        module.eval()
    return modules


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
        except Exception as error:  # whatever a network raises at what it is given
            raise ConfigError(f"{name}: {one_line(error)}") from error
        networks[name] = Replicas(copies) if len(copies) > 1 else copies[0]
    return networks


def save_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_whole(path, content.getbuffer())


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of this package, loaded with weights_only on the CPU.

    Raises:
        ConfigError: when the file is not whole, or is something else.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["config"]["seed"], checkpoint["state_dict"], checkpoint["history"]
    except Exception as error:
        raise ConfigError(f"{path} is no whole checkpoint of gaussgan ({type(error).__name__})") from error
    return checkpoint
