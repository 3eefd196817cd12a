"""The protocol of an update rule. One call is one iteration."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from gaussgan.gan.player import Loss, Player

Losses = tuple[list[Loss], list[Loss]]  # D's and G's losses, one for each gradient, in order


class Update(Protocol):
    """Moves both players by one iteration and returns their losses.

    A rule may remember tensors between iterations. Then it has a method `start(discriminator, generator)` that returns
    the initial tensors as a tuple. Each call of the rule gets the tensors as further arguments and changes them in
    place. With replicas, each tensor has a first dimension R or no dimension. A rule that differentiates gradients sets
    `second_order = True`. A rule whose iterations differ, but repeat after p of them, sets `period = p`. A rule that
    splits a batch into n chunks sets `batches = n`. A rule that is wrong on the shards of several processes sets
    `one_process = True`.
    """

    def __call__(self, discriminator: Player, generator: Player, batch: Any, *memory: Tensor) -> Losses: ...


def start(update: Update, discriminator: Player, generator: Player) -> tuple[Tensor, ...]:
    """Return the tensors that an update rule remembers, as they are before the first iteration.

    Raises:
        TypeError: when the rule's method `start` does not return a tuple or a list.
    """
    memory = update.start(discriminator, generator) if hasattr(update, "start") else ()
    if not isinstance(memory, tuple | list):
        raise TypeError(f"start must return a tuple of tensors (got {type(memory).__name__})")
    return tuple(memory)


def period(update: Update) -> int:
    """Return the number of iterations after which an update rule repeats itself: 1 if all its iterations are alike."""
    return getattr(update, "period", 1)


def batches(update: Update) -> int | None:
    """Return the number of chunks into which an update rule splits a batch; None if it does not say it."""
    return getattr(update, "batches", None)
