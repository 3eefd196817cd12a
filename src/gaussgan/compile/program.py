"""A step, repeated for many replicas by compiled code."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gaussgan.compile.build import build, compiler, version
from gaussgan.compile.errors import NotCompiled, first_line
from gaussgan.compile.template import ENTRY, Source, c_source, header
from gaussgan.compile.trace import Step, trace

GOES_ON = -1  # as in the C source
LANES = 16  # of the widest CPU; chunks of replicas for threads are multiples of it


class Stream(NamedTuple):
    """The numbers of one input, for all replicas and steps.

    Attributes:
        tensor: begins with the numbers of the first replica in the first step, side by side.
        replica: how many elements lie between two replicas; 0 if all replicas have the same numbers.
        step: how many elements lie between two steps; 0 if all steps have the same numbers.
    """

    tensor: Tensor
    replica: int
    step: int


class Outcome(NamedTuple):
    """What a call of a `Program` returns.

    Attributes:
        sums: the sums of each output over the steps, [R, outputs] in float64.
        stopped: [R] in int64; −1 for a replica that goes on. For others, see `Program`.
    """

    sums: Tensor
    stopped: Tensor


class Program:
    """K steps of a function, for R replicas, as one call of compiled code.

    The numbers of a replica do not depend on R, on the other replicas, on the number of threads, or on how many steps a
    call has. A program of one run (`single`) gives the same numbers as a program of many replicas.

    Args:
        step: maps (state, inputs) of one replica to outputs, [] each, and changes the state in place.
        state: tensors like the state of one replica.
        inputs: tensors like the inputs of one step of one replica.
        watched: the numbers of the tensors of the state that must stay finite.
        finite: how many of the outputs, from the first, must be finite.
        single: true for a program of one replica.

    Raises:
        NotCompiled: when the step cannot be compiled; the message says why.
    """

    def __init__(
        self,
        step: Step,
        state: Sequence[Tensor],
        inputs: Sequence[Tensor],
        watched: Sequence[int],
        finite: int,
        single: bool,
    ) -> None:
        graph = trace(step, state, inputs)
        try:
            self.source: Source = c_source(graph, len(state), watched, finite, single)
        except NotCompiled:
            raise
        except Exception as error:  # an operation has arguments that the table does not expect
            raise NotCompiled(f"it cannot be written as C: {first_line(error)}") from error
        self.sizes = [tensor.numel() for tensor in state]
        self.outputs = self.source.outputs
        self.single = single
        self._run: Any = None
        self.dtypes = [tensor.dtype for tensor in (*state, *inputs)]

    @property
    def backend(self) -> str:
        return f"to C ({self.source.operations} operations, {version(compiler())})"

    def build(self) -> None:
        """Compile the program, or read it from the cache.

        Raises:
            NotCompiled: when there is no C compiler, or it fails.
        """
        self._run = getattr(build(self.source.text, header(), vectorize=self.single), ENTRY)
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self._run.argtypes, self._run.restype = [*[pointer] * 8, *[number] * 3], None

    def __call__(
        self, state: Sequence[Tensor], inputs: Sequence[Stream], steps: int, stopped: Tensor, threads: int = 1
    ) -> Outcome:
        """Repeat the step. The state is changed in place, but not that of a replica that stops.

        Args:
            state: for each tensor of the state of one replica, a tensor with a first dimension R; or a tensor without
                dimensions that is the same for all replicas. If R is 1, the state of the replica itself.
            inputs: the numbers of each input.
            steps: K.
            stopped: −1 for each replica that takes part, [R] in int64.
            threads: the number of threads.

        Returns:
            The sums of the outputs, and a new `stopped`. If output o of a replica is not finite in step k, k = 0, 1, …,
            its entry is k · outputs + o; the first such k, and then the first such o, counts. If only a watched tensor
            is not finite after the last step, it is K · outputs.
        """
        given, state = state, [tensor.contiguous() for tensor in state]
        replicas = len(stopped)
        stopped, sums = stopped.clone(), torch.zeros(replicas, self.outputs, dtype=torch.float64)
        if self._run is None:
            self.build()
        self._check([*state, *(each.tensor for each in inputs)])
        shared = [replicas > 1 and not tensor.ndim for tensor in state]
        old = [tensor.clone() if common else tensor for common, tensor in zip(shared, state, strict=True)]
        strides = [0 if common else size for common, size in zip(shared, self.sizes, strict=True)]
        arguments = [
            _pointers(old), _pointers(state), _numbers(strides), _pointers([each.tensor for each in inputs]),
            _numbers([each.replica for each in inputs]), _numbers([each.step for each in inputs]),
            sums.data_ptr(), stopped.data_ptr(), steps,
        ]  # fmt: skip
        chunks = _chunks(replicas, threads)
        if len(chunks) == 1:
            self._run(*arguments, 0, replicas)
        else:
            with ThreadPoolExecutor(len(chunks)) as pool:  # ctypes releases Python's lock
                list(pool.map(lambda chunk: self._run(*arguments, *chunk), chunks))
        for theirs, ours in zip(given, state, strict=True):
            if ours is not theirs:
                theirs.copy_(ours)
        return Outcome(sums, stopped)

    def _check(self, tensors: Sequence[Tensor]) -> None:
        """Check the precisions and layouts of tensors, because C reads their memory as it is.

        Raises:
            TypeError: when a tensor has another precision than in the trace, or the state is not contiguous.
        """
        if [tensor.dtype for tensor in tensors] != self.dtypes:
            raise TypeError("the tensors have other precisions than those with which the program was traced")
        if not all(tensor.is_contiguous() for tensor in tensors[: len(self.sizes)]):
            raise TypeError("the tensors of the state must be contiguous")


def _chunks(replicas: int, threads: int) -> list[tuple[int, int]]:
    """Divide the replicas among threads, in multiples of the number of lanes."""
    groups = -(-replicas // LANES)
    bounds = sorted({min(replicas, LANES * (groups * t // threads)) for t in range(threads + 1)} | {replicas})
    return [*pairwise(bounds)]


def _pointers(tensors: Sequence[Tensor]) -> ctypes.Array:
    return (ctypes.c_void_p * max(len(tensors), 1))(*(tensor.data_ptr() for tensor in tensors))


def _numbers(values: Sequence[int]) -> ctypes.Array:
    return (ctypes.c_int64 * max(len(values), 1))(*values)
