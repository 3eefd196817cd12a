"""Sums, other reductions, and products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gaussgan.compile.arrays import Array
from gaussgan.compile.errors import NotCompiled
from gaussgan.compile.operations import Call, handles


@handles("sum", "mean", "amax", "amin")
def _reduce(call: Call, x: Array, dims: Sequence[int] | int | None = None, *_: Any, **__: Any) -> Array:
    how = {"amax": "max{k}({0}, {1})", "amin": "min{k}({0}, {1})"}.get(call.name, "({0} + {1})")
    total = call.emitter.reduce(call.name, how, x, dims, call.kind).map(lambda index: index.reshape(call.shape))
    if call.name != "mean":
        return total
    return call.elements("({0} / {1})", total, x.index.size / total.index.size)


@handles("var")
def _var(call: Call, x: Array, dims: Sequence[int] | None = None, correction: float | None = 1, **_: Any) -> Array:
    over = {d % x.index.ndim for d in dims or range(x.index.ndim)}
    kept = tuple(1 if d in over else n for d, n in enumerate(x.shape))
    n = x.index.size // int(np.prod(kept))
    narrow, wide = (Call(call.emitter, "var", shape, call.dtype) for shape in (kept, x.shape))
    sums = call.emitter.reduce("sum", "({0} + {1})", x, dims, call.kind).map(lambda index: index.reshape(kept))
    squares = wide.elements("(({0} - {1}) * ({0} - {1}))", x, narrow.elements("({0} / {1})", sums, n))
    total = call.emitter.reduce("sum", "({0} + {1})", squares, dims, call.kind)
    total = total.map(lambda index: index.reshape(call.shape))
    return call.elements("({0} / {1})", total, n - (1 if correction is None else correction))


@handles("mm")
def _mm(call: Call, a: Array, b: Array) -> Array:
    return call.emitter.product(a, b, call.shape, call.kind)


@handles("addmm")
def _addmm(call: Call, bias: Array, a: Array, b: Array, beta: float = 1, alpha: float = 1) -> Array:
    if (beta, alpha) != (1, 1):
        raise NotCompiled("aten.addmm with factors is not among the operations that can be compiled")
    return call.emitter.product(a, b, call.shape, call.kind, bias)


@handles("mv")
def _mv(call: Call, a: Array, b: Array) -> Array:
    column = call.emitter.product(a, b.map(lambda index: index[:, None]), (*call.shape, 1), call.kind)
    return column.map(lambda index: index[:, 0])


@handles("dot")
def _dot(call: Call, a: Array, b: Array) -> Array:
    row, column = a.map(lambda index: index[None]), b.map(lambda index: index[:, None])
    return call.emitter.product(row, column, (1, 1), call.kind).map(lambda index: index.reshape(()))


@handles("bmm")
def _bmm(call: Call, a: Array, b: Array) -> Array:
    result = call.emitter.new(call.shape, call.kind)
    for i in range(len(a.index)):
        x, y, target = (each.part(0, i, i + 1).map(lambda index: index[0]) for each in (a, b, result))
        call.emitter.store(target, call.emitter.product(x, y, call.shape[1:], call.kind))
    return result
