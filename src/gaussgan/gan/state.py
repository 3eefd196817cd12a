"""The state of a training run as named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gaussgan.gan.divergence import Diverged


class PlayerState(NamedTuple):
    """The tensors of one player that training changes.

    Attributes:
        theta: the parameters of the player's network as one vector, [n]; for R replicas [R, n].
        optimizer: maps names to the tensors of the optimizer's state. It is empty for an optimizer of torch.optim,
            which keeps its own state.
        buffers: maps names to the buffers of the network, such as the running means of batch norm.
        memory: for each penalty in the player's loss, the tensors that it remembers between losses.
    """

    theta: Tensor
    optimizer: dict[str, Tensor]
    buffers: dict[str, Tensor]
    memory: tuple[tuple[Tensor, ...], ...] = ()

    def tensors(self) -> list[Tensor]:
        """Return all tensors of the player."""
        return [self.theta, *self.optimizer.values(), *self.buffers.values(), *chain.from_iterable(self.memory)]


class AverageState(NamedTuple):
    """The moving average of the generator's parameters.

    Attributes:
        theta: the average, with the shape of the generator's θ.
        weight: the weight that θ gets in the next update of the average. It is 1 in the first update, then 1 − δ (see
            `averaging_rate`). The shape is [], or [R, 1] if the half-lives of R replicas differ.
    """

    theta: Tensor
    weight: Tensor


class EpochSums(NamedTuple):
    """Sums over the examples of one epoch.

    Attributes:
        sums: four sums, in float64, [4]; for R replicas [R, 4]. The first two are the sums of D's losses and of G's
            losses. The other two are the sums of D's verdicts on real and on generated examples. A verdict is the
            sigmoid of a logit if the objective is logistic, otherwise the logit.
        counts: the number of terms in each sum, [4] in float64. The numbers differ if D makes more steps than G. An
            example gives several terms if an update rule computes a loss on it several times.
        epoch: the number of the epoch; −1 before the first epoch.
    """

    sums: Tensor = torch.zeros(4, dtype=torch.float64)
    counts: Tensor = torch.zeros(4, dtype=torch.float64)
    epoch: int = -1

    def add(self, sums: Tensor, counts: Tensor) -> EpochSums:
        """Return new sums that also hold the sums over more examples. The object itself does not change."""
        return self._replace(sums=self.sums + sums, counts=self.counts + counts)

    def since(self, earlier: EpochSums) -> EpochSums:
        """Return new sums: those of this object minus `earlier`. Return this object if the epochs differ."""
        if earlier.epoch != self.epoch:
            return self
        return self._replace(sums=self.sums - earlier.sums, counts=self.counts - earlier.counts)

    def means(self) -> Tensor:
        return self.sums / self.counts


TAGS = ("train/loss_d", "train/loss_g", "train/d_real", "train/d_fake")


class Start(NamedTuple):
    """What a new run takes from another run, in addition to the parameters and buffers of the networks.

    Attributes:
        optimizers: the states of D's and of G's optimizer: for each, a map from names to tensors. It is empty if the
            optimizers start anew.
        averaged: true if the generator_ema of this run begins as the moving average of the other run.
    """

    optimizers: list[dict[str, Any]]
    averaged: bool


class State(NamedTuple):
    """The state of a training run. It is complete before the first iteration.

    Attributes:
        discriminator: the tensors of the discriminator and of its optimizer.
        generator: the same for the generator.
        memory: the tensors that the update rule remembers between iterations; see `Update`.
        average: the moving average of the generator's parameters; None if the run keeps no average.
        epoch: sums over the examples of the current epoch.
        diverged: maps the number of each diverged replica to its error. A single run has number 0.
    """

    discriminator: PlayerState
    generator: PlayerState
    memory: tuple[Tensor, ...] = ()
    average: AverageState | None = None
    epoch: EpochSums = EpochSums()
    diverged: Mapping[int, Diverged] = {}

    def remembered(self) -> list[Tensor]:
        """Return the tensors that the update rule remembers, then those that the penalties remember."""
        return [*self.memory, *chain.from_iterable(self.discriminator.memory)]

    def tensors(self) -> list[Tensor]:
        """Return the tensors that an iteration may change."""
        return [*self.discriminator.tensors(), *self.generator.tensors(), *self.memory, *(self.average or ())]
