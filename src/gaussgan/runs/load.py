"""Load a trained run from its directory. The run's networks become plain torch modules."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gaussgan.config.errors import ConfigError
from gaussgan.data.distributions import Distribution
from gaussgan.data.examples import Examples
from gaussgan.data.layout import Layout
from gaussgan.data.source import source_of
from gaussgan.networks.build import build_networks
from gaussgan.networks.packing import copies
from gaussgan.runs.checkpoint import expecting_checkpoint, read_checkpoint, saved_layout
from gaussgan.runs.directory import LAST
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.runs.trust import check_trusted


@dataclass(frozen=True)
class Run:
    """A run loaded from its directory: trained networks as torch modules, data, configuration."""

    directory: Path
    config: dict[str, Any]
    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module | None  # the generator's moving average, if the run kept one
    iterations: int  # for a replica that diverged, the iteration at which it diverged
    known: Distribution | None  # the distribution of the data; None for given examples
    layout: Layout | None = None  # the meaning of the columns of given examples; None for a known distribution
    fingerprint: str = ""  # of the given examples

    @property
    def best_generator(self) -> nn.Module:
        """The moving average of the generator if the run kept one, else the generator."""
        return self.generator if self.generator_ema is None else self.generator_ema

    @cached_property
    def distribution(self) -> Distribution:
        """The distribution of the data, or the given examples. These are read from their file.

        Raises:
            ConfigError: when the file cannot be read, or has other rows than when the run was trained.
        """
        if self.known is not None:
            return self.known
        examples = source_of(self.config["data"])
        assert isinstance(examples, Examples)
        examples.check_same(self.fingerprint)
        return examples


def load_run(directory: str | Path, checkpoint: str = LAST, replica: int | None = None, trust: bool = False) -> Run:
    """Load a run from its directory.

    Args:
        directory: the run's directory.
        checkpoint: the checkpoint file inside the directory, checkpoints/last.ckpt or checkpoints/best.ckpt.
        replica: for a run of R replicas, the index of the replica to load, from 0 to R − 1. The replica is loaded as a
            single run with the replica's own seed. None for a run without replicas.
        trust: true to import and call everything that the run's configuration names. By default, the
            configuration may name only classes and functions of gaussgan and torch that do nothing but compute; see
            `gaussgan.runs.trust`.

    Raises:
        ConfigError: when the directory holds no run, when the checkpoint cannot be read, when the run has no replica
            with this index, or when `trust` is false and the configuration names a class that is not allowed.
    """
    directory = Path(directory)
    if not (directory / checkpoint).is_file():
        raise ConfigError(f"{directory} is not a run directory: it has no {checkpoint}")
    state = read_checkpoint(directory / checkpoint)
    with expecting_checkpoint(directory / checkpoint):
        return _load(directory, state, replica, trust)


def _load(directory: Path, state: dict[str, Any], replica: int | None, trust: bool) -> Run:
    iterations = state["global_step"]
    if (replicas := state["config"]["replicas"]) > 1 or replica is not None:
        if replica is None or not 0 <= replica < replicas:
            raise ConfigError(
                f"{directory}: replica must be a number from 0 to {replicas - 1} for a run with replicas={replicas}"
                f" (got {replica})"
            )
        iterations, _ = state["diverged"].get(replica, (iterations, None))
        state = single_checkpoint(state, replica) if replicas > 1 else state
    config = state["config"]
    if not trust:
        check_trusted(config, directory)
    layout = saved_layout(state)
    known = source_of(config["data"]) if layout is None else None
    dim = layout.dim if layout is not None else known.dim  # type: ignore[union-attr]
    modules = trained_networks(state, dim, on_meta=not trust)
    _check_widths(modules, config["data"]["latent_dim"], dim, config["discriminator"].get("packing", 1))
    return Run(
        directory,
        config,
        modules["generator"],
        modules["discriminator"],
        modules.get("generator_ema"),
        iterations,
        known,
        layout,
        state["DataModule"].get("fingerprint", ""),
    )


def trained_networks(checkpoint: Mapping[str, Any], dim: int, on_meta: bool) -> dict[str, nn.Module]:
    """Return the networks of a checkpoint, with their trained parameters and in evaluation mode.

    Args:
        checkpoint: the checkpoint of a single run.
        dim: the number of features of an example.
        on_meta: true to build the networks on torch's meta device, so that only the checkpoint's parameters need
            memory; false to draw initial parameters first, as a new run does. A network of a user's own class may need
            false.

    Returns:
        A dict with the keys generator and discriminator. If the run kept a moving average of the generator, the dict
        also has the key generator_ema.
    """
    config, weights = checkpoint["config"], checkpoint["state_dict"]
    with torch.device("meta") if on_meta else nullcontext():
        modules = build_networks(config, dim)
    if config["ema_half_life"] is not None:
        modules["generator_ema"] = deepcopy(modules["generator"])
    if others := [key for key in weights if key.partition(".")[0] not in modules]:
        raise ValueError(f"{others[0]} does not belong to a network of the run")
    for name, module in modules.items():
        prefix = f"{name}."
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        module.to(next(iter(own.values())).dtype).load_state_dict(own, assign=on_meta)
        module.eval()
    return modules


@torch.no_grad()
def _check_widths(modules: Mapping[str, nn.Module], latent_dim: int, dim: int, packing: int) -> None:
    generator, discriminator = modules["generator"], modules["discriminator"]
    latents = torch.zeros(2, latent_dim, dtype=next(generator.parameters()).dtype)
    fake = generator(latents)
    if fake.shape != (2, dim) or discriminator(copies(fake, packing)).shape != (2, 1):
        raise ValueError("the shapes of the networks do not match the distribution")
