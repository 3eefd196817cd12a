"""Check that the batches of a run suit what is computed from a whole batch: batch norm, and losses of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.datamodule import DataModule
from gaussgan.gan.module import GAN
from gaussgan.rng import normal, stream
from gaussgan.setup.trial import ROWS


def check_batches(gan: GAN, data: DataModule, processes: int) -> None:
    """Check that every batch has enough examples, and that a run on several processes needs no whole batch.

    Each of several processes has only a shard of a batch. A loss of a batch would be another loss there.

    Raises:
        ConfigError: for the first mistake.
    """
    fewest = data.fewest_rows(1)
    if any(isinstance(module, nn.BatchNorm1d) for module in gan.modules()):
        _check_processes(processes, "batch norm: batch norm needs")
        if fewest < 2:
            raise _too_few("at least two examples for batch norm", data, fewest)
    if getattr(gan.update, "one_process", False):
        _check_processes(processes, f"the update rule {type(gan.update).__name__}: its gradients need")
    objective = gan.game.objective
    name = type(objective).__name__
    for loss in ("discriminator_loss", "generator_loss"):
        try:
            _losses(objective, loss, fewest)
        except Exception as error:
            raise _too_few(f"enough examples for {name}.{loss}: {one_line(error)}", data, fewest) from error
        if processes > 1 and _is_loss_of_a_batch(objective, loss):
            _check_processes(processes, f"the objective {name}: its losses need")


def _losses(objective: Any, loss: str, rows: int, first: int | None = None) -> torch.Tensor:
    """Return the losses of a batch of `rows` examples that are drawn; if `first` is given, of its first examples."""
    rng = stream(0, "protocol")
    real, fake = (normal(rows, 1, generator=rng)[:first] for _ in range(2))
    paired = loss == "discriminator_loss" or getattr(objective, "paired", False)
    return getattr(objective, loss)(real if paired else None, fake)


def _is_loss_of_a_batch(objective: Any, loss: str) -> bool:
    """Return whether the losses of two examples change when a third example is left out of the batch."""
    whole, part = _losses(objective, loss, ROWS), _losses(objective, loss, ROWS, ROWS - 1)
    return not torch.allclose(whole[: ROWS - 1], part, rtol=1e-5, atol=1e-6)


def _check_processes(processes: int, why: str) -> None:
    if processes > 1:
        raise ConfigError(f"trainer.devices must be 1 with {why} the whole batch (got {processes})")


def _too_few(needed: str, data: DataModule, fewest: int) -> ConfigError:
    return ConfigError(
        f"data.num_examples and data.batch_size must give every batch, also the last of an epoch, {needed}"
        f" (got {data.num_examples}, whose smallest batch has {fewest})"
    )
