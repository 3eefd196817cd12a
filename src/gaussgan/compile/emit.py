"""Turn a graph of ATen operations into loops over buffers: the middle of the compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from gaussgan.compile import elements, reductions, views  # noqa: F401  (they fill the table)
from gaussgan.compile.arrays import Array, Operation, kind_of, places
from gaussgan.compile.errors import NotCompiled
from gaussgan.compile.graph import Graph, Node
from gaussgan.compile.operations import compute

NARROW = 8  # in a matrix with fewer columns than a vector has lanes, rows are vectorised
PLACEMENT = ("dtype", "device", "layout", "pin_memory", "memory_format")  # the result shows its precision
LARGE = 4096  # multiply-adds; a product with more is worth a copy of an operand whose numbers are not side by side


@dataclass
class Emitter:
    """Collects the operations of a graph and the buffers between them.

    Attributes:
        single: true for a program of one run. Then loops are vectorised over elements, not over replicas, so it matters
            which elements lie side by side.
        sizes: the number of elements of each buffer.
        kinds: the kind of each buffer.
        operations: in an order in which they can be computed.
        tables: the numbers of those buffers that are constants.
    """

    single: bool
    sizes: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    tables: dict[int, np.ndarray] = field(default_factory=dict)
    _known: dict[Any, Array] = field(default_factory=dict)

    def new(self, shape: Sequence[int], kind: str, order: str = "C") -> Array:
        """Return an array in a new buffer. With order "F", the elements of the first dimension lie side by side."""
        size = int(np.prod(shape, dtype=np.int64))
        self.sizes.append(size)
        self.kinds.append(kind)
        return Array(len(self.sizes) - 1, places(size).reshape(tuple(shape), order=order), kind)  # type: ignore[call-overload]

    def table(self, tensor: torch.Tensor) -> Array:
        """Return the array of a constant tensor."""
        kind = kind_of(tensor.dtype)
        if tensor.numel() and bool((tensor == tensor.flatten()[0]).all()):
            return Array.constant(tensor.flatten()[0].item(), kind, tuple(tensor.shape))
        array = self.new(tensor.shape, kind)
        self.tables[array.buffer] = tensor.double().flatten().numpy()
        return array

    def elements(self, operation: Operation, shape: Sequence[int]) -> Array:
        """Add an operation on single elements, and return its result. Equal operations are computed once.

        Args:
            operation: the operation, with operands that can be expanded to the shape, and a result without a place.
            shape: the shape of the result.
        """
        kind, expression = operation.result.kind, operation.expression
        first, *rest = (operand.expand(tuple(shape)) for operand in operation.operands)
        times_one = expression == "({0} * {1})" and rest[0].is_constant and rest[0].value == 1
        if first.kind == kind and (expression == "{0}" or times_one):
            return first
        if expression == "{0}" and first.is_constant:
            return Array.constant(first.value, kind, tuple(shape))
        key = (expression, operation.kind, kind, first.key, *(operand.key for operand in rest))
        if key not in self._known:
            self._known[key] = target = self.new(shape, kind, self._order((first, *rest)))
            self.operations.append(replace(operation, operands=(first, *rest), result=target))
        return self._known[key]

    def store(self, target: Array, source: Array) -> None:
        """Copy an array into a part of a buffer."""
        self.operations.append(Operation("cat", "elements", target, (source,), "{0}", target.kind))

    def reduce(self, name: str, expression: str, x: Array, dims: Any, kind: str) -> Array:
        """Add a reduction over some dimensions, all by default. Return a result without these dimensions."""
        ndim = x.index.ndim
        given = [dims] if isinstance(dims, int) else dims
        over = sorted({d % ndim for d in given} if given else range(ndim)) if ndim else []
        kept = [d for d in range(ndim) if d not in over]
        moved = x.map(lambda index: index.transpose(kept + over).reshape(*(index.shape[d] for d in kept), -1))
        if not moved.shape[-1]:
            raise NotCompiled(f"it takes the {name} of no numbers")
        key = (name, kind, moved.key)
        if key not in self._known:
            self._known[key] = target = self.new(moved.shape[:-1], kind)
            self.operations.append(Operation(name, "reduction", target, (moved,), expression, kind))
        return self._known[key]

    def product(self, a: Array, b: Array, shape: Sequence[int], kind: str, bias: Array | None = None) -> Array:
        """Add a product of matrices, [I, K] times [K, J], plus a bias if there is one."""
        order = "C"
        if not a.shape[1]:
            raise NotCompiled("it multiplies matrices that have no numbers")
        if self.single:
            # Vectors run along rows or along columns. What has to be copied for that decides. A result in column order
            # costs a little, because gradients are flattened in row order.
            rows, columns = shape
            copies = {"C": 0 if _steps(b, 1) else b.index.size, "F": 0 if _steps(a, 0) else a.index.size}
            costs = {"C": copies["C"], "F": copies["F"] + rows * columns // 2}
            wide = [way for way, n in (("C", columns), ("F", rows)) if n >= NARROW]
            order = min(wide, key=lambda way: costs[way], default="C")
            if wide and copies[order] and rows * columns * a.shape[1] > LARGE:
                a, b = (a, self._side_by_side(b, "C")) if order == "C" else (self._side_by_side(a, "F"), b)
        operands = (a, b) if bias is None else (a, b, bias.expand(tuple(shape)))
        key = ("product", kind, *(operand.key for operand in operands))
        if key not in self._known:
            self._known[key] = target = self.new(shape, kind, order)
            self.operations.append(Operation("mm" if bias is None else "addmm", "product", target, operands, "", kind))
        return self._known[key]

    def _side_by_side(self, x: Array, order: str) -> Array:
        """Return a copy of a matrix whose elements lie in another order."""
        key = ("copy", order, x.key)
        if key not in self._known:
            self._known[key] = target = self.new(x.shape, x.kind, order)
            self.operations.append(Operation("copy", "elements", target, (x,), "{0}", x.kind))
        return self._known[key]

    def _order(self, operands: Sequence[Array]) -> str:
        """Return the order in which the elements of a result lie: "F" if those of the largest operand do."""

        def size(array: Array) -> int:
            strides = array.form[1] if array.form is not None else [1] * array.index.ndim
            return int(np.prod([n for n, stride in zip(array.shape, strides, strict=True) if stride]))

        largest = max(operands, key=size)
        strides = largest.form[1] if self.single and largest.form is not None else ()
        return "F" if len(strides) > 1 and strides[-2] == 1 and strides[-1] > 1 else "C"


def _steps(x: Array, dim: int) -> bool:
    """Return whether neighbours along a dimension lie side by side, or are the same number."""
    return x.is_constant or (x.form is not None and x.form[1][dim] in (0, 1))


@dataclass(frozen=True)
class Lowered:
    """A graph as operations: what they read and where the results are.

    Attributes:
        emitter: the operations and buffers.
        inputs: the array of each argument of the graph.
        results: the array of each result of the graph.
    """

    emitter: Emitter
    inputs: list[Array]
    results: list[Array]


def lower(graph: Graph, single: bool) -> Lowered:
    """Return the operations of a graph.

    Raises:
        NotCompiled: when an operation of the graph is not in the table of `gaussgan.compile.operations`.
    """
    emitter, values = Emitter(single), dict[int, Any]()
    inputs = [emitter.new(node.value.shape, kind_of(node.value.dtype)) for node in graph.inputs]
    values.update((id(node), array) for node, array in zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        if node.target is None:
            values[id(node)] = emitter.table(node.value.detach())
            continue
        arguments, options = _resolve(node.arguments, values), _resolve(node.options, values)
        if str(node.target).startswith("aten.copy_"):  # functionalize leaves it where an argument changes in place
            new = arguments[1].expand(tuple(node.value.shape))
            values[id(node.arguments[0])] = values[id(node)] = new
        else:
            options = {name: value for name, value in options.items() if name not in PLACEMENT}
            values[id(node)] = compute(emitter, node, arguments, options)
    return Lowered(emitter, inputs, [values[id(node)] for node in graph.results])


def _resolve(argument: Any, values: Mapping[int, Any]) -> Any:
    if isinstance(argument, Node):
        return values[id(argument)]
    if isinstance(argument, list | tuple):
        return [_resolve(each, values) for each in argument]
    if isinstance(argument, Mapping):
        return {key: _resolve(each, values) for key, each in argument.items()}
    return argument
