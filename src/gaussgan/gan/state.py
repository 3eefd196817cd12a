"""The state of a training run as named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from gaussgan.gan.divergence import Diverged


class PlayerState(NamedTuple):
    """The tensors of one player that training changes.

    Attributes:
        theta: its parameters as one vector, [n]; for R replicas [R, n].
        optimizer: the state of its optimizer, by name. Optimizers of torch.optim keep theirs; for them it is empty.
        buffers: the buffers of its network, by name, such as the running means of batch norm.
    """

    theta: Tensor
    optimizer: dict[str, Tensor]
    buffers: dict[str, Tensor]


class AverageState(NamedTuple):
    """The moving average of the generator's parameters.

    Attributes:
        theta: the average, with the shape of the generator's θ.
        weight: the weight of the next θ: 1 for the first, then 1 − δ. Its shape is [], or [R, 1] if replicas differ.
    """

    theta: Tensor
    weight: Tensor


class EpochSums(NamedTuple):
    """Sums over the examples of one epoch.

    Attributes:
        sums: both losses, and D's verdicts on real and on generated examples, [..., 4] in float64; see `TAGS`.
        counts: the number of examples in each sum, [4] in float64. They differ if D takes more steps than G.
        epoch: the number of the epoch; −1 before the first.
    """

    sums: Tensor = torch.zeros(4, dtype=torch.float64)
    counts: Tensor = torch.zeros(4, dtype=torch.float64)
    epoch: int = -1

    def add(self, values: list[Tensor]) -> EpochSums:
        """Return new sums with more examples added.

        Args:
            values: one tensor for each of `TAGS`, with one number for each example, [..., n, 1].
        """
        means = torch.stack([value.mean((-2, -1)) for value in values], -1)
        counts = torch.tensor([value.shape[-2] for value in values], dtype=torch.float64)
        return self._replace(sums=self.sums + means.cpu().double() * counts, counts=self.counts + counts)

    def since(self, earlier: EpochSums) -> EpochSums:
        """Return these sums minus earlier sums of the same epoch. Sums of another epoch are not subtracted."""
        if earlier.epoch != self.epoch:
            return self
        return self._replace(sums=self.sums - earlier.sums, counts=self.counts - earlier.counts)

    def means(self) -> Tensor:
        return self.sums / self.counts


TAGS = ("train/loss_d", "train/loss_g", "train/d_real", "train/d_fake")


class State(NamedTuple):
    """The state of a training run. It is complete before the first iteration.

    Attributes:
        memory: the tensors that the update rule remembers; see `Update`.
        average: the moving average of the generator; None if the run keeps none.
        epoch: sums over the examples of the current epoch.
        diverged: the errors of the replicas that diverged, by number; a single run is number 0.
    """

    discriminator: PlayerState
    generator: PlayerState
    memory: tuple[Tensor, ...] = ()
    average: AverageState | None = None
    epoch: EpochSums = EpochSums()
    diverged: Mapping[int, Diverged] = MappingProxyType({})

    def tensors(self) -> list[Tensor]:
        """Return the tensors that an iteration may change."""
        players = (self.discriminator, self.generator)
        of_players = [[each.theta, *each.optimizer.values(), *each.buffers.values()] for each in players]
        return [*of_players[0], *of_players[1], *self.memory, *(self.average or ())]
