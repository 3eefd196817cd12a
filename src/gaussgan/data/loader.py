"""A data loader that yields blocks. A block is a list of batches, one for each iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """The tensors of one iteration on B examples.

    Instance noise is Gaussian noise that is added to the inputs of the discriminator.

    Args:
        real: real examples, [..., B, d]. If the run uses instance noise, it is already added.
        latent: latents of the generated examples, [..., B, k].
        mix: uniform numbers in [0, 1), [..., B, 1]. Penalties use them to choose points between real and generated
            examples; None in a run without penalties.
        noise: instance noise for the generated examples, [..., B, d]; None without instance noise.
        perturbation: draws from N(0, 1), [..., B, d]. Some penalties perturb real examples with them; None in a run
            without such a penalty.
        augment: uniform numbers in [0, 1), [..., B, 2n], by which real and then generated examples are augmented; None
            without augmentation.
    """

    real: Tensor
    latent: Tensor
    mix: Tensor | None = None
    noise: Tensor | None = None
    perturbation: Tensor | None = None
    augment: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Return a batch with the results of a function of each tensor."""
        return Batch(*(None if column is None else function(column) for column in self))  # type: ignore[arg-type]

    def split(self, n: int) -> list[Batch]:
        """Split this batch into n batches whose sizes differ by at most 1."""
        columns = [[None] * n if column is None else column.tensor_split(n, -2) for column in self]
        return [Batch(*rows) for rows in zip(*columns, strict=True)]


Block = list[Batch]


@dataclass(eq=False)
class BlockLoader:
    """Yields an epoch in blocks. A block is a list of batches, one for each iteration.

    Each call of `iter` starts the next epoch, or resumes the current epoch if it is not over. The tensors of an epoch,
    or of a chunk of it, are drawn and moved to the device once. Batches are views of these tensors, so a batch costs
    almost nothing. A block ends after `steps_per_execution` iterations, at the end of the epoch and of a chunk, at
    `max_steps`, at each multiple of a number in `every`, and at each of `marks`. So neither a checkpoint nor a frame
    falls inside a block.

    Args:
        draw: maps the number of an epoch, and a slice of the rows of the epoch, to one `Batch` with the tensors of
            these rows, already shuffled.
        iterations: the number of batches in an epoch.
        batch_size: the number of examples in one iteration.
        steps_per_execution: the largest number of iterations in a block.
        max_steps: the iteration at which the run ends; -1 for no limit.
        every: intervals in iterations. A block ends at each multiple of each interval, counted from the start of the
            run.
        marks: maps two iterations to those iterations from the first to the second at which a block ends, counted from
            the start of the run.
        shard: (r, n) for process r of n. This process gets every n-th pack of each batch, starting at pack r.
        chunk: the number of batches in a chunk; None to draw a whole epoch at once.
        packing: the number of rows in a pack; 1 if the discriminator sees single examples.
    """

    draw: Callable[[int, slice], Batch]
    iterations: int
    batch_size: int
    steps_per_execution: int
    max_steps: int = -1
    every: Sequence[int] = ()
    marks: Callable[[int, int], Iterable[int]] = lambda first, last: ()
    shard: tuple[int, int] = (0, 1)
    chunk: int | None = None
    packing: int = 1

    def __post_init__(self) -> None:
        self.epoch = self.position = self.blocks = 0

    def __iter__(self) -> Iterator[Block]:
        self.epoch, self.position, self.blocks = self._next()  # at the call, not when the first block is yielded
        return self._blocks()

    def _blocks(self) -> Iterator[Block]:
        length = self.chunk or self.iterations
        batches: list[Batch] = []
        drawn = -1
        for end in self._ends(self.epoch, self.position):
            start, self.position = self.position, end
            if start // length != drawn:
                drawn, batches = start // length, []  # frees the last chunk
                batches = self._draw(self.epoch, drawn * length, length)
            self.blocks += 1
            yield batches[start - drawn * length : end - drawn * length]

    def _draw(self, epoch: int, first: int, length: int) -> list[Batch]:
        """Return `length` batches of an epoch, fewer at its end. The first of them has the number `first`."""
        rows = slice(first * self.batch_size, (first + length) * self.batch_size)
        n = min(length, self.iterations - first)
        columns = [self._cut(column, n) for column in self.draw(epoch, rows)]
        return [Batch(*each) for each in zip(*columns, strict=True)]

    def __len__(self) -> int:
        """Return the number of blocks in the current epoch, or in the next epoch if the current one is over."""
        epoch, position, blocks = self._next()
        return blocks + len(self._ends(epoch, position))

    @property
    def within_epoch(self) -> bool:
        """True if iterations of the current epoch are left."""
        return self.position < self.iterations

    def _next(self) -> tuple[int, int, int]:
        """Return the number of the epoch that contains the next block.

        Also return how many iterations and how many blocks of that epoch come before the next block.
        """
        return (self.epoch, self.position, self.blocks) if self.within_epoch else (self.epoch + 1, 0, 0)

    def _cut(self, column: Tensor | None, n: int) -> Iterable:
        """Split a tensor into n batches. Return this process's shard of each batch."""
        if column is None:
            return repeat(None, n)
        batches = column.split(self.batch_size, -2)
        rank, processes = self.shard
        if processes == 1:
            return batches
        packs = (batch.unflatten(-2, (-1, self.packing)) for batch in batches)
        return [batch[..., rank::processes, :, :].flatten(-3, -2) for batch in packs]

    def _ends(self, epoch: int, position: int) -> list[int]:
        """Return where each block after `position` ends, for the epoch with number `epoch`.

        The ends and `position` are iterations, counted from the start of the epoch.
        """
        start = epoch * self.iterations
        marks = {self.max_steps - start, self.iterations, *range(0, self.iterations, self.chunk or self.iterations)}
        marks = marks.union(*(range(-start % n, self.iterations, n) for n in self.every))
        marks = marks.union(mark - start for mark in self.marks(start + 1, start + self.iterations))
        cuts = [position, *sorted(mark for mark in marks if position < mark <= self.iterations)]
        ends: list[int] = []
        for begin, stop in pairwise(cuts):
            ends += [*range(begin + self.steps_per_execution, stop, self.steps_per_execution), stop]
        return ends

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position, "blocks": self.blocks}

    def load_state_dict(self, state: dict[str, int]) -> None:
        vars(self).update({name: state[name] for name in self.state_dict() if name in state})
