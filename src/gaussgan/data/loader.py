"""The loader that hands out epochs in blocks of iterations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """What one iteration sees, in rows: real examples, [..., B, d], and latents of as many generated ones, [..., B, k].

    `mix`, [..., B, 1], are uniform draws for penalties between the two; `noise`, [..., B, d], is added to what is
    generated, as it has been to the real examples (instance noise), and is None where there is none.
    """

    real: Tensor
    latent: Tensor
    mix: Tensor
    noise: Tensor | None = None

    def split(self, n: int) -> list[Batch]:
        """n batches of as equal sizes as can be."""
        columns = [[None] * n if column is None else column.tensor_split(n, -2) for column in self]
        return [Batch(*rows) for rows in zip(*columns, strict=True)]


Block = list[Batch]


class BlockLoader:
    """An iterable over the blocks of one epoch after another, which resumes within an epoch.

    An epoch's tensors are drawn and placed once and cut into views, so a batch costs next to nothing. A block ends
    after K iterations, at the epoch's end, where the run reaches `max_steps`, and at each multiple of the numbers in
    `every`: a checkpoint never falls inside one.

    Args:
        draw_epoch: from an epoch's number to its shuffled examples and latents.
        iterations: batches in an epoch.
        batch_size: examples of one iteration.
        every: numbers of iterations, counted from the run's start, whose multiples end a block.
        share: the rows of a batch that are this process's.
    """

    def __init__(
        self,
        draw_epoch: Callable[[int], Batch],
        iterations: int,
        batch_size: int,
        steps_per_execution: int,
        max_steps: int = -1,
        every: Sequence[int] = (),
        share: slice = slice(None),
    ) -> None:
        self.draw_epoch = draw_epoch
        self.batch_size = batch_size
        self.iterations = iterations
        self.steps_per_execution = steps_per_execution
        self.max_steps = max_steps
        self.every = every
        self.share = share
        self.epoch = self.position = self.blocks = 0

    def __iter__(self) -> Iterator[Block]:
        self.epoch, self.position, self.blocks = self._next()
        return self._hand_out()

    def __len__(self) -> int:
        """Blocks of the epoch that is under way, or comes next: those already handed out included."""
        epoch, position, blocks = self._next()
        return blocks + len(self._ends(epoch, position))

    @property
    def within_epoch(self) -> bool:
        """Whether iterations of the current epoch are left."""
        return self.position < self.iterations

    def _next(self) -> tuple[int, int, int]:
        """Epoch, iterations and blocks before the next block."""
        return (self.epoch, self.position, self.blocks) if self.within_epoch else (self.epoch + 1, 0, 0)

    def _hand_out(self) -> Iterator[Block]:
        columns = [self._cut(column) for column in self.draw_epoch(self.epoch)]
        epoch = [Batch(*rows) for rows in zip(*columns, strict=True)]
        for end in self._ends(self.epoch, self.position):
            start, self.position = self.position, end
            self.blocks += 1
            yield epoch[start:end]

    def _cut(self, column: Tensor | None) -> Iterable:
        """This process's rows of each batch."""
        if column is None:
            return repeat(None, self.iterations)
        batches = column.split(self.batch_size, -2)
        whole = self.share in (slice(None), slice(0, None, 1))
        return batches if whole else [batch[..., self.share, :] for batch in batches]

    def _ends(self, epoch: int, position: int) -> list[int]:
        """The iterations of an epoch after which its blocks end, from a position on."""
        start = epoch * self.iterations
        marks = {self.max_steps - start, self.iterations}
        marks = marks.union(*(range(-start % n, self.iterations, n) for n in self.every))
        cuts = [position, *sorted(mark for mark in marks if position < mark <= self.iterations)]
        ends: list[int] = []
        for begin, stop in pairwise(cuts):
            ends += [*range(begin + self.steps_per_execution, stop, self.steps_per_execution), stop]
        return ends

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position, "blocks": self.blocks}

    def load_state_dict(self, state: dict[str, int]) -> None:
        vars(self).update({name: state[name] for name in self.state_dict() if name in state})
