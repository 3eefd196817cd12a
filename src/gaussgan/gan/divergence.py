"""Find and freeze diverged replicas. A replica has diverged when a loss or a parameter is not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

PRUNED = "pruned"  # in place of a loss: a search stopped the replica, because its settings were hopeless
Losses = Mapping[str, Sequence[Tensor]]  # player → its losses in a block, one for each gradient


class Diverged(ArithmeticError):
    """A loss or a parameter became NaN or infinite, or a search stopped a replica. The replica is frozen.

    Args:
        iteration: the number of the iteration, counted from 1.
        what: the loss or parameter that is not finite, such as "the generator's loss"; or PRUNED.
    """

    def __init__(self, iteration: int, what: str) -> None:
        super().__init__(iteration, what)  # with these arguments it can be copied
        self.iteration, self.what = iteration, what

    @property
    def status(self) -> str:
        """The status of the replica in replicas.csv: "diverged" or "pruned"."""
        return PRUNED if self.what == PRUNED else "diverged"

    def __str__(self) -> str:
        if self.what == PRUNED:
            return f"pruned at iteration {self.iteration}"
        return f"diverged: {self.what} is not finite at iteration {self.iteration}"


def all_finite(values: Sequence[Tensor], replicas: int) -> Tensor:
    """Return a mask, [R], where R is `replicas`. It is True for each replica whose numbers in `values` are all finite.

    If R > 1, each tensor in `values` must be [R, ...].
    """
    return torch.stack([value.isfinite().reshape(replicas, -1).all(-1) for value in values]).all(0)


def newly_diverged(
    losses: Losses, finite: Tensor, before: Mapping[int, Diverged], first: int, iterations: int
) -> dict[int, Diverged]:
    """Return the errors of the replicas that diverged in a block of iterations.

    Args:
        losses: maps each player to its losses in the block, each [B, 1]; for R replicas [R, B, 1].
        finite: a mask, [R]: True for each replica whose numbers are all finite. For a single run the mask is
            ignored, and the run counts as diverged.
        before: the errors of the replicas that diverged before the block.
        first: the number of the block's first iteration.
        iterations: the number of iterations in the block.

    Returns:
        A mapping from the number of each newly diverged replica to its error. A single run has number 0.
    """
    spoilt = finite.logical_not().nonzero().flatten().tolist() if len(finite) > 1 else [0]
    return {i: divergence(losses, i, first, iterations) for i in spoilt if i not in before}


def divergence(losses: Losses, replica: int, first: int, iterations: int) -> Diverged:
    """Return the error of replica number `replica`, which diverged in a block.

    The error names the first iteration in which a loss is not finite. If all losses are finite, a parameter is not
    finite. Then the error names the last iteration of the block. For the other arguments see `newly_diverged`.
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


def freeze(tensors: Sequence[Tensor], before: Sequence[Tensor], diverged: Mapping[int, Diverged]) -> None:
    """Give each diverged replica the state that it had before a block of iterations.

    Args:
        tensors: the tensors of the state, [R, ...]. They are changed in place.
        before: the values of these tensors before the block.
        diverged: maps the number of each diverged replica to its error.
    """
    if not (rows := [*diverged]):
        return
    for tensor, value in zip(tensors, before, strict=True):
        tensor[rows] = value[rows]
