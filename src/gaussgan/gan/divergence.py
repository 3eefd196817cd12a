"""Divergence: a loss or a parameter is no longer finite."""

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
    """Return for each replica whether all its numbers are finite, [R]. With R > 1 it is the leading dimension."""
    return torch.stack([value.isfinite().reshape(replicas, -1).all(-1) for value in values]).all(0)


def divergence(losses: Mapping[str, Sequence[Tensor]], replica: int, first: int, iterations: int) -> Diverged:
    """Return the first iteration of a block in which a loss of a replica is not finite.

    Where all losses are finite it is the last iteration, which spoilt a parameter.

    Args:
        losses: the losses of each player in the order in which it took its gradients, [(R,) B, 1].
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
