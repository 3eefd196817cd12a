"""What a program consists of: arrays of places in buffers, and operations on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import torch

from gaussgan.compile.errors import NotCompiled

# F: float lanes, also for truth values; D: double lanes, also for whole numbers, which are exact below 2^53.
KINDS = {torch.float32: "F", torch.bool: "F", torch.float64: "D", torch.int64: "D", torch.int32: "D"}
C_TYPES = {
    torch.float32: "float", torch.float64: "double",
    torch.bool: "uint8_t", torch.int64: "int64_t", torch.int32: "int32_t",
}  # fmt: skip


def kind_of(dtype: torch.dtype) -> str:
    """Return the kind of the numbers of a precision.

    Raises:
        NotCompiled: when there is no such kind.
    """
    if dtype not in KINDS:
        raise NotCompiled(f"numbers in {str(dtype).removeprefix('torch.')} cannot be compiled")
    return KINDS[dtype]


@cache
def places(size: int) -> np.ndarray:
    """Return 0, 1, …, size − 1. Views of this array are recognised, so it must not be changed."""
    array = np.arange(size)
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class Array:
    """The place of each element of a tensor in a buffer.

    A view of a tensor (a transpose, a slice, an expansion) is another array with the same buffer, so it costs nothing.

    Attributes:
        buffer: the number of the buffer; −1 for a constant.
        index: the place of each element in the buffer; its shape is the shape of the tensor.
        kind: "F" or "D"; see KINDS.
        value: the value of all elements of a constant.
    """

    buffer: int
    index: np.ndarray
    kind: str
    value: float = 0.0

    @staticmethod
    def constant(value: float, kind: str, shape: tuple[int, ...] = ()) -> Array:
        return Array(-1, np.broadcast_to(places(1)[0], shape), kind, value)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.index.shape

    @property
    def is_constant(self) -> bool:
        return self.buffer < 0

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> Array:
        """Return the array with another index: a view."""
        return replace(self, index=change(self.index))

    def part(self, dim: int, start: int, stop: int) -> Array:
        """Return the elements from `start` up to `stop` along a dimension."""
        return self.map(lambda index: index[(slice(None),) * (dim % index.ndim) + (slice(start, stop),)])

    def expand(self, shape: tuple[int, ...]) -> Array:
        return self if self.shape == shape else self.map(lambda index: np.broadcast_to(index, shape))

    @cached_property
    def form(self) -> tuple[int, tuple[int, ...]] | None:
        """(base, strides) if each place is base + Σ stride · coordinate, with stride 0 for dimensions of 1; or None."""
        index = self.index
        if not index.size:
            return 0, (0,) * index.ndim
        base = int(index[(0,) * index.ndim])
        owner = index if index.base is None else index.base
        if owner is places(owner.size):
            return base, tuple(
                stride // owner.itemsize if n > 1 else 0 for stride, n in zip(index.strides, index.shape, strict=True)
            )
        strides, expected = [], np.asarray(base)
        for d, n in enumerate(index.shape):
            strides.append(int(index[(0,) * d + (1,) + (0,) * (index.ndim - d - 1)]) - base if n > 1 else 0)
            expected = expected + (places(n) * strides[-1]).reshape([-1 if e == d else 1 for e in range(index.ndim)])
        return (base, tuple(strides)) if np.array_equal(expected, index) else None

    def same_places(self, other: Array) -> bool:
        return self.key == other.key

    @cached_property
    def key(self) -> tuple:
        """A value that is equal for arrays with the same elements."""
        if self.is_constant:
            value = "nan" if math.isnan(self.value) else self.value
            return (-1, self.shape, self.kind, value, math.copysign(1, self.value))
        return (self.buffer, self.shape, self.form or self.index.tobytes())


@dataclass(frozen=True)
class Operation:
    """One loop of a program, or a statement in a loop that several operations of one shape share.

    Attributes:
        name: the ATen name, for a comment in the source.
        how: "elements", "reduction" or "product".
        result: where the numbers are written.
        operands: what is read. Those of an operation on elements have the result's shape; those of a reduction have one
            dimension more, the last; those of a product are [I, K], [K, J] and perhaps a bias [I, J].
        expression: C with {0}, {1}, … for the operands and {k} for the kind in which it is computed.
        kind: this kind.
        value: the kind of the expression's value, "F" for a truth value; by default the kind.
        truths: how many of the first operands are truth values, whatever the kind.
    """

    name: str
    how: str
    result: Array
    operands: tuple[Array, ...]
    expression: str
    kind: str
    value: str = ""
    truths: int = 0


def literal(value: float) -> str:
    """Return a C expression for a number."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    return repr(float(value))
