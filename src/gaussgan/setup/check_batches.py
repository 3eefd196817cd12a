"""Check that the batches of a run suit what is computed from a whole batch: batch norm, and losses of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.datamodule import DataModule
from gaussgan.gan.module import GAN
from gaussgan.gan.penalties import Seen
from gaussgan.rng import normal, stream, uniform
from gaussgan.setup.trial import ROWS


def check_batches(gan: GAN, data: DataModule, processes: int) -> None:
    """Check that every batch has enough examples, and that a run on several processes needs no whole batch.

    Each of several processes has only a shard of a batch. There a loss of a batch would be another loss.

    Raises:
        ConfigError: for the first mistake.
    """
    fewest = data.fewest_rows(1)
    smallest = fewest // data.packing
    packs = "packs" if data.packing > 1 else "examples"
    for network, inputs, what in ((gan.generator, fewest, "examples"), (gan.discriminator, smallest, packs)):
        if any(isinstance(module, nn.BatchNorm1d) for module in network.modules()):
            _check_processes(processes, "batch norm: batch norm needs")
            if inputs < 2:
                raise _too_few(f"at least two {what} for batch norm", data, fewest)
    if getattr(gan.update, "one_process", False):
        _check_processes(processes, f"the update rule {type(gan.update).__name__}: its gradients need")
    with torch.enable_grad():
        for name, values in _terms(gan):
            try:
                if smallest < ROWS:  # with ROWS rows they were tried before
                    values(_seen(gan, data, smallest))
            except Exception as error:
                raise _too_few(f"enough examples for {name}: {one_line(error)}", data, fewest) from error
            if processes > 1:
                whole, part = (values(_seen(gan, data, rows)) for rows in (ROWS, ROWS - 1))
                if not torch.allclose(whole[: ROWS - 1], part, rtol=1e-4, atol=1e-6):
                    _check_processes(processes, f"{name}: it needs")


def _terms(gan: GAN) -> Iterator[tuple[str, Callable[[Seen], Tensor]]]:
    """Yield the name of each loss and of each penalty, and a function that returns its values on a batch."""
    objective, paired = gan.game.objective, gan.game.paired
    name = type(objective).__name__
    yield f"{name}.discriminator_loss", lambda seen: objective.discriminator_loss(seen.real_logits, seen.fake_logits)
    yield (
        f"{name}.generator_loss",
        lambda seen: objective.generator_loss(seen.real_logits if paired else None, seen.fake_logits),
    )
    for penalty in gan.game.penalties:
        yield type(penalty).__name__, lambda seen, penalty=penalty: _later(penalty, seen)  # type: ignore[misc]


def _later(penalty: Any, seen: Seen) -> Tensor:
    """Return a penalty after its first batch, which may set what it remembers."""
    memory = penalty.start(torch.zeros_like(seen.real_logits[..., :1, :])) if hasattr(penalty, "start") else ()
    first = Seen(*(torch.ones_like(column) for column in seen if column is not None))
    for batch in (first, seen):
        values = penalty(_quadratic, batch, *memory)
    return values


def _seen(gan: GAN, data: DataModule, rows: int) -> Seen:
    """Return the first `rows` rows of a batch of ROWS rows that are drawn, as `_quadratic` sees them."""
    leading, rng = [gan.replicas] if gan.replicas > 1 else [], stream(0, "protocol")
    width = data.packing * data.distribution.dim
    real, fake, noise = (normal(*leading, ROWS, width, generator=rng)[..., :rows, :] for _ in range(3))
    mix = uniform(*leading, ROWS, 1, generator=rng)[..., :rows, :]
    return Seen(real, fake, _quadratic(real), _quadratic(fake), mix, noise)


def _quadratic(x: Tensor) -> Tensor:
    """A discriminator whose logits and gradients differ from example to example."""
    return x.square().sum(-1, keepdim=True) / 2


def _check_processes(processes: int, why: str) -> None:
    if processes > 1:
        raise ConfigError(f"trainer.devices must be 1 with {why} the whole batch (got {processes})")


def _too_few(needed: str, data: DataModule, fewest: int) -> ConfigError:
    return ConfigError(
        f"data.num_examples and data.batch_size must give every batch, also the last of an epoch, {needed}"
        f" (got {data.num_examples}, whose smallest batch has {fewest})"
    )
