"""The table of ATen operations: what each computes in C.

An operation on single elements is an expression in its operands {0}, {1}, …, where {k} is the kind of its numbers: F for
float32 and truth values, D for float64 and whole numbers. Everything else is a function of an `Emitter`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from gaussgan.compile.arrays import KINDS, Array, literal
from gaussgan.compile.errors import NotCompiled

aten, prims = torch.ops.aten, torch.ops.prims

EXPRESSIONS = {
    "neg": "(-{0})", "abs": "abs{k}({0})", "sign": "sign{k}({0})", "sgn": "sign{k}({0})", "reciprocal": "(all{k}(1) / {0})",
    "sqrt": "sqrt{k}({0})", "rsqrt": "(all{k}(1) / sqrt{k}({0}))", "square": "({0} * {0})",
    "exp": "exp{k}({0})", "expm1": "expm1{k}({0})", "log": "log{k}({0})", "log1p": "log1p{k}({0})",
    "sin": "sin{k}({0})", "cos": "cos{k}({0})", "tan": "tan{k}({0})", "atan": "atan{k}({0})", "erf": "erf{k}({0})",
    "sinh": "sinh{k}({0})", "cosh": "cosh{k}({0})", "tanh": "tanh{k}({0})", "sigmoid": "sigmoid{k}({0})",
    "floor": "floor{k}({0})", "ceil": "ceil{k}({0})", "round": "round{k}({0})", "trunc": "trunc{k}({0})",
    "relu": "atleast{k}({0}, all{k}(0))", "mul": "({0} * {1})", "div": "({0} / {1})",
    "maximum": "max{k}({0}, {1})", "minimum": "min{k}({0}, {1})", "atan2": "atan2{k}({0}, {1})",
    "fmax": "max{k}({0}, {1})", "fmin": "min{k}({0}, {1})",
    "gt": "gt{k}({0}, {1})", "lt": "lt{k}({0}, {1})", "ge": "ge{k}({0}, {1})",
    "le": "le{k}({0}, {1})", "eq": "eq{k}({0}, {1})", "ne": "ne{k}({0}, {1})",
    "logical_and": "({0} * {1})", "bitwise_and": "({0} * {1})", "logical_or": "max{k}({0}, {1})",
    "bitwise_or": "max{k}({0}, {1})", "logical_not": "(all{k}(1) - {0})", "bitwise_not": "(all{k}(1) - {0})",
}  # fmt: skip
POWERS = {0.5: "sqrt{k}({0})", 1: "{0}", 2: "({0} * {0})", 3: "({0} * {0} * {0})", -1: "(all{k}(1) / {0})"}
POWERS |= {-0.5: "(all{k}(1) / sqrt{k}({0}))", 4: "({0} * {0} * {0} * {0})", -2: "(all{k}(1) / ({0} * {0}))"}
RANDOM = ("bernoulli", "dropout", "rand", "normal", "uniform", "multinomial", "exponential", "cauchy", "geometric")

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


def compute(emitter: Any, node: fx.Node, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """Return the result of one operation of a graph: an `Array`, or a list of them.

    Raises:
        NotCompiled: when the operation is not in the table.
    """
    if node.target is operator.getitem:
        return arguments[0][arguments[1]]
    name = str(node.target).removeprefix("aten.").removeprefix("prims.").partition(".")[0]
    shape = tuple(node.meta["val"].shape) if isinstance(node.meta.get("val"), Tensor) else ()
    kind = KINDS.get(node.meta["val"].dtype, "") if isinstance(node.meta.get("val"), Tensor) else "F"
    if name in HANDLERS and kind:
        return HANDLERS[name](Call(emitter, name, shape, kind), *arguments, **options)
    if name in EXPRESSIONS and kind and not options:
        return Call(emitter, name, shape, kind).elementwise(EXPRESSIONS[name], *arguments)
    if any(word in name for word in RANDOM):
        raise NotCompiled(f"{node.target} draws random numbers inside a network or a loss")
    raise NotCompiled(f"{node.target} is not among the operations that can be compiled")


class Call:
    """One operation of a graph: its name, and the shape and kind of its result."""

    def __init__(self, emitter: Any, name: str, shape: tuple[int, ...], kind: str) -> None:
        self.emitter, self.name, self.shape, self.kind = emitter, name, shape, kind

    def elementwise(self, expression: str, *operands: Any, kind: str | None = None) -> Array:
        """Add an operation on single elements. If its result is a truth value, its kind is that of the operands."""
        kinds = [each.kind for each in operands if isinstance(each, Array)]
        kind = kind or ("D" if "D" in kinds and (self.kind == "F") and _compares(expression) else self.kind)
        arrays = [each if isinstance(each, Array) else Array.constant(float(each), kind) for each in operands]
        return self.emitter.elementwise(self.name, expression, kind, self.kind, self.shape, arrays)


def _compares(expression: str) -> bool:
    return expression[:2] in ("gt", "lt", "ge", "le", "eq", "ne")


# Views: another array of offsets into the same buffer.


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
    return call.elementwise("{0}", source)


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


# Constants.


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


# Elements.


@handles("_to_copy", "convert_element_type")
def _convert(call: Call, x: Array, *_: Any, **options: Any) -> Array:
    return call.elementwise("{0}", x)


@handles("add")
def _add(call: Call, x: Any, y: Any, alpha: float = 1) -> Array:
    return call.elementwise("({0} + {1})" if alpha == 1 else f"({{0}} + {literal(alpha)} * {{1}})", x, y)


@handles("sub")
def _sub(call: Call, x: Any, y: Any, alpha: float = 1) -> Array:
    return call.elementwise("({0} - {1})" if alpha == 1 else f"({{0}} - {literal(alpha)} * {{1}})", x, y)


@handles("rsub")
def _rsub(call: Call, x: Any, y: Any, alpha: float = 1) -> Array:
    return _sub(call, y, x) if alpha == 1 else call.elementwise(f"({{1}} - {literal(alpha)} * {{0}})", x, y)


@handles("addcmul")
def _addcmul(call: Call, x: Array, a: Array, b: Array, value: float = 1) -> Array:
    return call.elementwise(f"({{0}} + {literal(value)} * {{1}} * {{2}})", x, a, b)


@handles("pow")
def _pow(call: Call, x: Any, exponent: Any) -> Array:
    if isinstance(exponent, int | float) and float(exponent) in POWERS:
        return call.elementwise(POWERS[float(exponent)], x)
    return call.elementwise("pow{k}({0}, {1})", x, exponent)


@handles("where")
def _where(call: Call, condition: Array, x: Any, y: Any) -> Array:
    return call.emitter.elementwise(
        "where", "where{k}({0}, {1}, {2})", call.kind, call.kind, call.shape,
        [condition, *(v if isinstance(v, Array) else Array.constant(float(v), call.kind) for v in (x, y))], truth=1,
    )  # fmt: skip


@handles("masked_fill")
def _masked_fill(call: Call, x: Array, mask: Array, value: Any) -> Array:
    return _where(call, mask, value, x)


@handles("clamp", "clamp_min", "clamp_max")
def _clamp(call: Call, x: Array, low: Any = None, high: Any = None) -> Array:
    if call.name == "clamp_max":
        low, high = None, low
    if low is not None:
        x = call.elementwise("atleast{k}({0}, {1})", x, low)
    return x if high is None else call.elementwise("atmost{k}({0}, {1})", x, high)


@handles("bitwise_xor", "logical_xor")
def _xor(call: Call, x: Any, y: Any) -> Array:
    return call.elementwise("ne{k}({0}, {1})", x, y)


# Sums and products.


@handles("sum", "mean", "amax", "amin")
def _reduce(call: Call, x: Array, dims: Sequence[int] | int | None = None, *_: Any, **__: Any) -> Array:
    how = {"amax": "max{k}({0}, {1})", "amin": "min{k}({0}, {1})"}.get(call.name, "({0} + {1})")
    total = call.emitter.reduce(call.name, how, x, dims, call.kind).map(lambda index: index.reshape(call.shape))
    if call.name != "mean":
        return total
    return call.elementwise("({0} * {1})", total, (call.shape and _count(x, total)) or 1 / x.index.size)


def _count(x: Array, total: Array) -> float:
    return total.index.size / x.index.size


@handles("var")
def _var(call: Call, x: Array, dims: Sequence[int] | None = None, correction: float | None = 1, **_: Any) -> Array:
    kept = tuple(
        1 if d in [e % x.index.ndim for e in dims or range(x.index.ndim)] else n for d, n in enumerate(x.shape)
    )
    n = x.index.size // int(np.prod(kept))
    sums = call.emitter.reduce("sum", "({0} + {1})", x, dims, call.kind).map(lambda index: index.reshape(kept))
    mean = Call(call.emitter, "mean", kept, call.kind).elementwise("({0} * {1})", sums, 1 / n)
    squares = Call(call.emitter, "var", x.shape, call.kind).elementwise("(({0} - {1}) * ({0} - {1}))", x, mean)
    total = call.emitter.reduce("sum", "({0} + {1})", squares, dims, call.kind)
    total = total.map(lambda index: index.reshape(call.shape))
    return call.elementwise("({0} * {1})", total, 1 / max(n - (1 if correction is None else correction), 1e-30))


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
        one = call.emitter.product(a.map(lambda x, i=i: x[i]), b.map(lambda x, i=i: x[i]), call.shape[1:], call.kind)
        call.emitter.store(result.map(lambda x, i=i: x[i]), one)
    return result
