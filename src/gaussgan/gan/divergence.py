"""When a run stops being a run: the iteration at which a number was no longer finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Diverged(ArithmeticError):
    """A loss or a parameter became NaN or infinite at the named iteration (counted from 1)."""

    def __init__(self, iteration: int, what: str) -> None:
        super().__init__(f"diverged: {what} is not finite at iteration {iteration}")
        self.iteration, self.what = iteration, what


def all_finite(values: Sequence[Tensor], replicas: int) -> Tensor:
    """Whether all is finite that belongs to each of so many replicas, whose leading dimension it has, [R]."""
    return torch.stack([value.isfinite().reshape(replicas, -1).all(-1) for value in values]).all(0)


def divergence(losses: Mapping[str, Sequence[Tensor]], replica: int, first: int, iterations: int) -> Diverged:
    """Name the first iteration of a block in which a replica's loss is not finite, or else the last, which spoilt a
    parameter.

    Args:
        losses: of each player, in the order in which it took its gradients, [(R,) B, 1].
        first: the number of the block's first iteration.
    """
    spoilt = [
        (i * iterations // len(each), name)
        for name, each in losses.items()
        for i, loss in enumerate(each)
        if not (loss[replica] if loss.ndim > 2 else loss).isfinite().all()
    ]
    if not spoilt:
        return Diverged(first + iterations - 1, "a parameter")
    i, name = min(spoilt)
    return Diverged(first + i, f"the {name}'s loss")
