"""Train a GAN block by block, one PyTorch operation after the other: the eager mode."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from gaussgan.data.loader import Batch, Block
from gaussgan.gan.divergence import Diverged, all_finite, freeze, newly_diverged
from gaussgan.gan.player import Loss
from gaussgan.gan.state import State
from gaussgan.gan.updates import Losses


class Outcome(NamedTuple):
    """What a block of iterations returns.

    Attributes:
        sums: the sum of each of the four values in `TAGS` over the examples of the block, [4] in float64; for R
            replicas [R, 4].
        counts: the number of terms in each sum, [4] in float64.
        diverged: maps the number of each replica that diverged in the block to its error. A single run has number 0.
    """

    sums: Tensor
    counts: Tensor
    diverged: dict[int, Diverged]


class TrainBlock(Protocol):
    """Runs a block of iterations, and changes the state of a GAN in place.

    Attributes:
        backend: by what it runs them, as the end of "this run is compiled …".
    """

    @property
    def backend(self) -> str: ...

    def __call__(self, gan: Any, block: Block) -> Outcome: ...


class EagerIterations:
    """Runs a block of iterations. A replica that diverges gets the state back that it had before the block."""

    backend = "by nothing, it is eager"

    def __call__(self, gan: Any, block: Block) -> Outcome:
        before = [tensor.clone() for tensor in _replica_tensors(gan)]
        losses = [_iterate(gan, batch) for batch in block]
        outcome = outcome_of(gan, losses, (gan.state.discriminator.theta, gan.state.generator.theta))
        if gan.replicas > 1:
            freeze(_replica_tensors(gan), before, {**gan.diverged, **outcome.diverged})
        return outcome


def outcome_of(gan: Any, losses: Sequence[Losses], thetas: Sequence[Tensor]) -> Outcome:
    """Return the outcome of a block from the losses of its iterations and from both players' θ after it."""
    losses_d, losses_g = ([*chain.from_iterable(each)] for each in zip(*losses, strict=True))
    values = values_of(losses_d, losses_g, gan.logistic)
    new: dict[int, Diverged] = {}
    finite = all_finite([*values[:2], *thetas], gan.replicas)
    # If a loss is finite on this rank but not on another rank, all ranks must stop.
    if gan.diverged or not gan.trainer.strategy.reduce_boolean_decision(bool(finite.all())):
        by_player = {"discriminator": losses_d, "generator": losses_g}
        each = {player: [loss.values for loss in losses] for player, losses in by_player.items()}
        new = newly_diverged(each, finite, gan.diverged, gan.global_step + 1, len(losses))
    return Outcome(*sums_of(values), new)


def values_of(losses_d: Sequence[Loss], losses_g: Sequence[Loss], logistic: bool) -> list[Tensor]:
    """Return the values whose means over an epoch are logged: one tensor, [..., n, 1], for each name in `TAGS`."""
    logits = [torch.cat(each, -2) for each in zip(*((loss.real, loss.fake) for loss in losses_d), strict=True)]
    verdicts = [each.sigmoid() for each in logits] if logistic else logits
    return [*(torch.cat([loss.values for loss in each], -2) for each in (losses_d, losses_g)), *verdicts]


def sums_of(values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the sums of values over all their examples, [..., 4], and the numbers of examples, [4], in float64."""
    # A mean in bfloat16 would have two digits only.
    precision = torch.promote_types(values[0].dtype, torch.float32)
    means = torch.stack([value.mean((-2, -1), dtype=precision) for value in values], -1)
    counts = torch.tensor([value.shape[-2] for value in values], dtype=torch.float64)
    return means.cpu().double() * counts, counts


def _iterate(gan: Any, batch: Batch) -> Losses:
    losses = gan.iteration(gan.state, batch)
    for scheduler in gan.schedulers:
        scheduler.step()
    return losses


def _replica_tensors(gan: Any) -> list[Tensor]:
    """Return the tensors of the state that have one row for each replica; an empty list for a single run."""
    if gan.replicas == 1:
        return []
    players = gan.discriminator_player.state, gan.generator_player.state  # a network may replace its buffers
    state = State(*players, gan.state.memory, gan.state.average)
    return [tensor for tensor in state.tensors() if tensor.ndim]
