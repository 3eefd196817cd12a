"""Divergence: a loss or a parameter is no longer finite. The replicas that diverge are frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Losses = Mapping[str, Sequence[Tensor]]  # of each player, in the order in which it took its gradients, [(R,) B, 1]


class Diverged(ArithmeticError):
    """A loss or a parameter became NaN or infinite at the named iteration (counted from 1)."""

    def __init__(self, iteration: int, what: str) -> None:
        super().__init__(f"diverged: {what} is not finite at iteration {iteration}")
        self.iteration, self.what = iteration, what


def all_finite(values: Sequence[Tensor], replicas: int) -> Tensor:
    """Return True for each replica whose numbers are all finite, [R]. If R > 1, the values are [R, ...]."""
    return torch.stack([value.isfinite().reshape(replicas, -1).all(-1) for value in values]).all(0)


def newly_diverged(
    losses: Losses, finite: Tensor, before: Mapping[int, Diverged], first: int, iterations: int
) -> dict[int, Diverged]:
    """Return the replicas that diverged in a block; a single run is number 0.

    Args:
        losses: the losses of the block.
        finite: for each replica whether its numbers are finite, [R]. A single run is one that diverged.
        before: the replicas that had diverged before.
        first: the number of the block's first iteration.
    """
    spoilt = finite.logical_not().nonzero().flatten().tolist() if len(finite) > 1 else [0]
    return {i: divergence(losses, i, first, iterations) for i in spoilt if i not in before}


def divergence(losses: Losses, replica: int, first: int, iterations: int) -> Diverged:
    """Return the first iteration of a block in which a loss of a replica is not finite.

    Where all losses are finite it is the last iteration, which spoilt a parameter.
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


def freeze(
    tensors: Sequence[Tensor], before: Sequence[Tensor], diverged: Mapping[int, Diverged], replicas: int
) -> None:
    """Give the replicas that diverged back the rows that they had before.

    Args:
        tensors: the tensors of the state, [R, ...].
        before: their values before the block.

    Raises:
        Diverged: when no replica is left.
    """
    if len(diverged) == replicas:
        raise max(diverged.values(), key=lambda error: error.iteration)
    rows = [*diverged]
    for tensor, value in zip(tensors, before, strict=True):
        tensor[rows] = value[rows]
