"""Train a GAN with compiled programs: blocks of iterations as single calls of C."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils import _pytree as pytree

from gaussgan.compile.build import check_compiler
from gaussgan.compile.errors import NotCompiled, TooWide
from gaussgan.compile.inductor import InductorProgram
from gaussgan.compile.program import GOES_ON, Program, Stream
from gaussgan.config.errors import one_line
from gaussgan.data.loader import Batch, Block
from gaussgan.gan.divergence import Diverged, freeze
from gaussgan.gan.eager import Outcome, values_of
from gaussgan.gan.one_run import differs, groups, iteration_of_one_run, slots
from gaussgan.gan.python_state import check_constants, constants, refusing_changes

LOSSES = ("the discriminator's loss", "the generator's loss")  # the outputs that must stay finite


def compile_gan(gan: Any, batches: Sequence[Batch], threads: int, build: bool = True) -> None:
    """Let a GAN train with compiled programs, one for each batch size.

    Args:
        gan: the GAN.
        batches: for each batch size, a batch of one run.
        threads: the number of threads, for replicas.
        build: false to check only that the programs can be built.

    Raises:
        NotCompiled: when an iteration cannot be compiled.
    """
    with isolate_rng(include_cuda=False):  # a network that draws numbers would change the global generator
        compiled = CompiledIterations(gan, batches, threads)
    if not build:
        check_compiler()
        return
    for program in compiled.programs.values():
        program.build()
    gan.train_block = compiled


class CompiledIterations:
    """Compiled programs that train a GAN, one for each size of a batch.

    The programs compute what `Iteration` computes, up to rounding. A run gets the same numbers alone and as one of
    several replicas, whatever the number of threads and of iterations in a block.

    Args:
        gan: the GAN. Its networks give shapes and precision; its state is read at each call.
        batches: for each size, a batch of one run.
        threads: the number of threads, for replicas.

    Raises:
        NotCompiled: when an iteration cannot be compiled; the message says why.
    """

    def __init__(self, gan: Any, batches: Sequence[Batch], threads: int = 1) -> None:
        self.replicas, self.threads = gan.replicas, threads
        self.programs: dict[int, Program | InductorProgram] = {}
        self.counts: dict[int, Tensor] = {}
        self.constants: dict[str, object] = {}
        for batch in batches:
            self._compile(gan, batch)

    def _compile(self, gan: Any, batch: Batch) -> None:
        try:
            iteration, state, game = iteration_of_one_run(gan)
        except NotCompiled:
            raise
        except Exception as error:
            raise NotCompiled(f"it cannot be copied: {one_line(error)}") from error
        tensors = state.tensors()
        if len({tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()}) < len(tensors):
            raise NotCompiled("two tensors of its state share their memory")
        leaves, structure = pytree.tree_flatten(state)
        places = [next((i for i, tensor in enumerate(tensors) if tensor is leaf), None) for leaf in leaves]
        columns = [column for column in batch if column is not None]
        numbers = slots(iteration, game.penalties)
        counts: list[int] = []

        def step(current: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
            rest = iter(inputs)
            one = Batch(*(None if column is None else next(rest) for column in batch))  # type: ignore[arg-type]
            for group in groups(iteration):
                group["lr"] = next(rest)
            for slot in numbers:
                slot.set(next(rest))
            now = [leaf if place is None else current[place] for leaf, place in zip(leaves, places, strict=True)]
            losses = iteration(pytree.tree_unflatten(now, structure), one)
            values = values_of(*losses, logistic=gan.logistic)
            counts[:] = [value.shape[-2] for value in values]
            return [value.mean() for value in values]

        rates = [torch.ones((), dtype=torch.float64)] * 2
        inputs = [*(column.to(gan.placed) for column in columns), *rates, *(slot.get() for slot in numbers)]
        thetas = (state.discriminator.theta, state.generator.theta)
        watched = [i for i, tensor in enumerate(tensors) if any(tensor is theta for theta in thetas)]
        values = [slot.get() for slot in numbers]
        program: Program | InductorProgram
        with refusing_changes(iteration, game.components):
            try:
                program = Program(step, tensors, inputs, watched, len(LOSSES), single=self.replicas == 1)
            except TooWide:
                program = InductorProgram(step, tensors, inputs, watched, len(LOSSES))
            finally:
                for slot, value in zip(numbers, values, strict=True):
                    slot.set(value)
        self.constants = constants(iteration, game.components)
        size = batch.real.shape[-2]
        self.programs[size], self.counts[size] = program, torch.tensor(counts, dtype=torch.float64)

    def __call__(self, gan: Any, block: Block) -> Outcome:
        """Run the iterations of a block. The state of the GAN changes in place, but not that of a diverged replica.

        Raises:
            ConfigError: when a number that the programs take for a constant has changed.
        """
        check_constants(self.constants, constants(gan.iteration, gan.game.components))
        stopped = torch.full((self.replicas,), GOES_ON)
        stopped[[*gan.diverged]] = 0
        tensors = gan.state.tensors()
        numbers = [self._stream(slot.get()) for slot in slots(gan.iteration, gan.game.penalties)]
        by_size = [[*batches] for _, batches in groupby(block, lambda batch: batch.real.shape[-2])]
        rows = [tensor for tensor in tensors if tensor.ndim] if self.replicas > 1 and len(by_size) > 1 else []
        before = [tensor.clone() for tensor in rows]
        first = gan.global_step + 1
        sums, total = torch.zeros(self.replicas, 4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
        diverged: dict[int, Diverged] = {}
        for same in by_size:
            size = same[0].real.shape[-2]
            program, counts = self.programs[size], self.counts[size]
            columns = [stream_of(column) for column in zip(*same, strict=True) if column[0] is not None]
            rates = [Stream(rate, 0, 1) for rate in gan.next_learning_rates(len(same))]
            outcome = program(tensors, [*columns, *rates, *numbers], len(same), stopped, self.threads)
            new = ((outcome.stopped >= 0) & (stopped < 0)).nonzero().flatten().tolist()
            diverged |= {i: self._error(int(outcome.stopped[i]), program.outputs, first, len(same)) for i in new}
            stopped, first = outcome.stopped, first + len(same)
            sums, total = sums + outcome.sums * counts, total + counts * len(same)
        freeze(rows, before, diverged)  # a program keeps the state before its own iterations only
        return Outcome(sums if self.replicas > 1 else sums[0], total, diverged)

    @property
    def backend(self) -> str:
        lines = (f"{each.backend} for batches of {n} example{'s' * (n > 1)}" for n, each in self.programs.items())
        return ", ".join(lines)

    @staticmethod
    def _error(code: int, outputs: int, first: int, iterations: int) -> Diverged:
        step, output = divmod(code, outputs)
        if step == iterations:
            return Diverged(first + iterations - 1, "a parameter")
        return Diverged(first + step, LOSSES[output])

    def _stream(self, number: Tensor) -> Stream:
        return Stream(number.contiguous(), 1 if differs(number, self.replicas) else 0, 0)

    def __deepcopy__(self, memo: dict) -> CompiledIterations:
        return self  # a compiled program has no state of its own


def stream_of(tensors: Sequence[Tensor]) -> Stream:
    """Return the batches of one column, [..., B, d] each, as one stream. Batches of one epoch are not copied."""
    first, size = tensors[0], tensors[0].shape[-2] * tensors[0].shape[-1]
    last = tensors[-1].data_ptr() - first.data_ptr()
    in_a_row = last == (len(tensors) - 1) * size * first.element_size()
    if not (in_a_row and first[..., :1, :].numel() and first.stride()[-2:] == (first.shape[-1], 1)):
        first = torch.stack([*tensors], -3).contiguous()
    return Stream(first, first.stride(0) if tensors[0].ndim > 2 else 0, size)
