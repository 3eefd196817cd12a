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
    """Return True for each replica whose numbers are all finite, [R]. If R > 1, the values are [R, ...]."""
    return torch.stack([value.isfinite().reshape(replicas, -1).all(-1) for value in values]).all(0)


def divergence(losses: Mapping[str, Sequence[Tensor]], replica: int, first: int, iterations: int) -> Diverged:
    """Return the error for the first iteration of a block in which a loss of a replica is not finite.

    If all losses are finite, the last iteration made a parameter non-finite.

    Args:
        losses: the losses of each player in the order of its gradients, [(R,) B, 1].
        first: the number of the block's first iteration.
        iterations: the number of iterations in the block.
    """
    not_finite = [
        (i * iterations // len(each), name)
        for name, each in losses.items()
        for i, loss in enumerate(each)
        if not (loss[replica] if loss.ndim > 2 else loss).isfinite().all()
    ]
    if not not_finite:
        return Diverged(first + iterations - 1, "a parameter")
    i, name = min(not_finite)
    return Diverged(first + i, f"the {name}'s loss")
