"""Operations that compute nothing: views of tensors, and constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from gaussgan.compile.arrays import Array
from gaussgan.compile.errors import NotCompiled
from gaussgan.compile.operations import Call, handles


@handles("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "_reshape_copy")
def _reshape(call: Call, x: Array, *_: Any) -> Array:
    return x.map(lambda index: index.reshape(call.shape))


@handles("t")
def _transpose_matrix(call: Call, x: Array) -> Array:
    return x.map(lambda index: index.T)


@handles("permute")
def _permute(call: Call, x: Array, order: Sequence[int]) -> Array:
    return x.map(lambda index: index.transpose(order))


@handles("transpose")
def _transpose(call: Call, x: Array, a: int, b: int) -> Array:
    return x.map(lambda index: index.swapaxes(a, b))


@handles("expand")
def _expand(call: Call, x: Array, *_: Any, **__: Any) -> Array:
    return x.map(lambda index: np.broadcast_to(index, call.shape))


@handles("broadcast_in_dim")
def _broadcast_in_dim(call: Call, x: Array, shape: Sequence[int], dims: Sequence[int]) -> Array:
    kept = [x.shape[dims.index(d)] if d in dims else 1 for d in range(len(shape))]
    return x.map(lambda index: np.broadcast_to(index.reshape(kept), call.shape))


@handles("detach", "alias", "clone", "lift_fresh_copy", "contiguous")
def _same(call: Call, x: Array, **_: Any) -> Array:
    return x


@handles("copy")
def _copy(call: Call, _: Array, source: Array) -> Array:
    return call.elements("{0}", source)


@handles("slice")
def _slice(
    call: Call, x: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Array:
    return x.map(lambda index: index[(slice(None),) * (dim % index.ndim) + (slice(start, end, step),)])


@handles("select")
def _select(call: Call, x: Array, dim: int, i: int) -> Array:
    return x.map(lambda index: index[(slice(None),) * (dim % index.ndim) + (i,)])


@handles("split", "split_with_sizes")
def _split(call: Call, x: Array, sizes: int | Sequence[int], dim: int = 0) -> list[Array]:
    n = x.shape[dim]
    ends = [*range(sizes, n, sizes), n] if isinstance(sizes, int) else [*accumulate(sizes)]
    return [x.part(dim, start, stop) for start, stop in pairwise([0, *ends])]


@handles("cat")
def _cat(call: Call, parts: Sequence[Array], dim: int = 0) -> Array:
    result, start = call.emitter.new(call.shape, call.kind), 0
    for part in (part for part in parts if part.index.size):
        stop = start + part.shape[dim]
        call.emitter.store(result.part(dim, start, stop), part)
        start = stop
    return result


@handles("slice_scatter")
def _slice_scatter(
    call: Call, x: Array, source: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Array:
    n = x.shape[dim]
    first, stop, step = slice(start, end, step).indices(n)
    if step != 1:
        raise NotCompiled("aten.slice_scatter with a step is not among the operations that can be compiled")
    return _cat(call, [x.part(dim, 0, first), source, x.part(dim, max(first, stop), n)], dim)


@handles("full", "full_like", "scalar_tensor")
def _full(call: Call, *arguments: Any, **_: Any) -> Array:
    value = arguments[-1]
    return Array.constant(float(value), call.kind, call.shape)


@handles("zeros", "zeros_like", "new_zeros")
def _zeros(call: Call, *_: Any, **__: Any) -> Array:
    return Array.constant(0.0, call.kind, call.shape)


@handles("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty")
def _empty(call: Call, *_: Any, **__: Any) -> Array:
    return Array.constant(math.nan, call.kind, call.shape)  # other operations write it before it is read


@handles("ones", "ones_like", "new_ones")
def _ones(call: Call, *_: Any, **__: Any) -> Array:
    return Array.constant(1.0, call.kind, call.shape)
