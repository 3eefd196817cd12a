"""Write operations as C loops. Operations on elements of one shape share a loop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from gaussgan.compile.arrays import Array, Operation, literal
from gaussgan.compile.emit import Emitter
from gaussgan.compile.products import Product, write_product

Group = list[Operation]


class Writer:
    """Writes the operations of an emitter as C.

    Args:
        emitter: the operations and buffers.
        results: the buffers that are read after the operations.
    """

    def __init__(self, emitter: Emitter, results: Iterable[int]) -> None:
        self.emitter, self.results = emitter, set(results)
        self.writers: dict[int, list[Operation]] = defaultdict(list)
        self.readers: dict[int, list[tuple[Operation, Array]]] = defaultdict(list)
        for operation in emitter.operations:
            self.writers[operation.result.buffer].append(operation)
            for operand in operation.operands:
                self.readers[operand.buffer].append((operation, operand))
        self.groups = self._group(self._needed())
        self.group_of = {id(operation): g for g, group in enumerate(self.groups) for operation in group}
        self.indices: dict[bytes, tuple[str, np.ndarray]] = {}
        self.stored: set[int] = set()

    def source(self) -> list[str]:
        """Return one text for each loop."""
        write = {"elements": self._elements, "reduction": self._reduction, "product": self._product}
        return [write[group[0].how](group) for group in self.groups]

    def _needed(self) -> list[Operation]:
        """Return the operations on which a result depends, in order."""
        wanted, kept = set(self.results), []
        for operation in reversed(self.emitter.operations):
            if operation.result.buffer in wanted:
                kept.append(operation)
                wanted.update(operand.buffer for operand in operation.operands)
        return kept[::-1]

    def _group(self, operations: Sequence[Operation]) -> list[Group]:
        """Put each operation on elements into the first loop of its shape that comes after all that it reads.

        It may share the loop with an operation that it reads, if it reads in each round what that operation wrote in
        this round.
        """
        groups: list[Group] = []
        place: dict[int, int] = {}  # of each operation
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for operation in operations:
            shape, earliest = operation.result.shape, 0
            for operand in operation.operands:
                for writer in self.writers[operand.buffer] if not operand.is_constant else ():
                    joins = operation.how == "elements" and self._in_step(writer, operand)
                    earliest = max(earliest, place[id(writer)] + (0 if joins else 1))
            g = next((g for g in by_shape[shape] if g >= earliest), None) if operation.how == "elements" else None
            if g is None:
                g = len(groups)
                groups.append([])
                if operation.how == "elements":
                    by_shape[shape].append(g)
            groups[g].append(operation)
            place[id(operation)] = g
        return groups

    def _in_step(self, writer: Operation, operand: Array) -> bool:
        """Return whether an operand is what another operation writes in the same round of a shared loop."""
        alone = len(self.writers[operand.buffer]) == 1
        return alone and writer.how == "elements" and writer.result.same_places(operand)

    def _elements(self, group: Group) -> str:
        arrays = [array for operation in group for array in (operation.result, *operation.operands)]
        loops = Loops(self, group[0].result.shape, arrays, group[0].result)
        local: dict[int, str] = {}
        lines = []
        for operation in group:
            terms = []
            for n, operand in enumerate(operation.operands):
                kind = "F" if n < operation.truths else operation.kind
                name = local.get(operand.buffer)
                if name is not None and self.writers[operand.buffer][0].result.same_places(operand):
                    terms.append(_as(name, operand.kind, kind))
                else:
                    terms.append(loops.read(operand, kind))
            value, result = operation.expression.format(*terms, k=operation.kind), operation.result
            value = _as(value, operation.value or operation.kind, result.kind)
            name = f"v{result.buffer}"
            if len(self.writers[result.buffer]) > 1:
                lines.append(f"{loops.place(result)} = {value};")
                self.stored.add(result.buffer)
                continue
            local[result.buffer] = name
            lines.append(f"{result.kind} {name} = {value};  // {operation.name}")
            if self._read_elsewhere(operation):
                lines.append(f"{loops.place(result)} = {name};")
                self.stored.add(result.buffer)
        return loops.around(lines)

    def _read_elsewhere(self, operation: Operation) -> bool:
        """Return whether the result of an operation on elements is read outside its round of the loop."""
        buffer, g = operation.result.buffer, self.group_of[id(operation)]
        return buffer in self.results or any(
            self.group_of.get(id(reader), g) != g or not operand.same_places(operation.result)
            for reader, operand in self.readers[buffer]
        )

    def _reduction(self, group: Group) -> str:
        (operation,) = group
        (x,), result, k = operation.operands, operation.result, operation.kind
        self.stored.add(result.buffer)
        loops = Loops(self, result.shape, [result], result, merge=False)
        n = x.shape[-1]
        first, term = (loops.read(x, k, (i,)) for i in ("0", "r"))
        step = operation.expression.format("s", term, k=k)
        lines = [f"{k} s = {first};  // {operation.name}"]
        lines += [f"for (int r = 1; r < {n}; r++) s = {step};"] if n > 1 else []
        return loops.around([*lines, f"{loops.place(result)} = {_as('s', k, result.kind)};"])

    def _product(self, group: Group) -> str:
        (operation,) = group
        self.stored.add(operation.result.buffer)
        loops = Loops(self, operation.result.shape, [], operation.result, merge=False)
        a, b, *bias = operation.operands
        product = Product(operation.name, operation.kind, a, b, bias[0] if bias else None, operation.result)
        return write_product(
            product,
            self.emitter.single,
            lambda array, kind, *at: loops.read_at(array, kind, at),
            lambda array, _, *at: loops.place_at(array, at),
        )


class Loops:
    """The loops over the elements of a shape.

    Args:
        writer: the writer of the program, which keeps tables of places.
        shape: the shape.
        arrays: the arrays that are read and written; dimensions that are one for all of them are merged.
        order: the array whose elements the loops visit in the order of their places.
        merge: false to merge no dimensions.
    """

    def __init__(
        self, writer: Writer, shape: Sequence[int], arrays: Sequence[Array], order: Array, merge: bool = True
    ) -> None:
        self.writer, self.shape = writer, tuple(shape)
        self.names = [f"i{d}" if n > 1 else "0" for d, n in enumerate(self.shape)]
        strides = (order.form or (0, (0,) * len(self.shape)))[1]
        self.dims = sorted((d for d, n in enumerate(self.shape) if n > 1), key=lambda d: -strides[d])
        self.merged = merge and len(self.dims) > 1 and all(self._flat(each) is not None for each in arrays)

    def _flat(self, array: Array) -> tuple[int, int] | None:
        """Return (base, stride) if the places, in the order of the loops, are base + stride · number; or None."""
        if array.is_constant:
            return 0, 0
        if array.form is None:
            return None
        base, strides = array.form
        steps = [(strides[d], self.shape[d]) for d in self.dims]
        even = all(outer == inner * n for (outer, _), (inner, n) in pairwise(steps))
        return (base, steps[-1][0]) if even else None

    def heads(self) -> list[str]:
        if self.merged:
            return [f"for (int i = 0; i < {int(np.prod(self.shape))}; i++)"]
        return [f"for (int i{d} = 0; i{d} < {self.shape[d]}; i{d}++)" for d in self.dims]

    def around(self, lines: Sequence[str]) -> str:
        """Return the lines inside the loops."""
        return "\n".join([*self.heads(), "{", *("  " + line for line in lines), "}"])

    def read(self, array: Array, kind: str, more: Sequence[str] = ()) -> str:
        """Return a C expression for the element of the current round, in a kind. `more` are further coordinates."""
        return self.read_at(array, kind, (*self.names, *more))

    def read_at(self, array: Array, kind: str, at: Sequence[str]) -> str:
        if array.is_constant:
            return f"all{kind}({literal(array.value)})"
        if array.buffer in self.writer.emitter.tables:  # one number for all lanes
            return f"all{kind}({self.place_at(array, at).removeprefix('m->')})"
        return _as(self.place_at(array, at), array.kind, kind)

    def place(self, array: Array) -> str:
        return self.place_at(array, self.names)

    def place_at(self, array: Array, at: Sequence[str]) -> str:
        if self.merged and (flat := self._flat(array)) is not None:
            return f"m->b{array.buffer}[{_sum(flat[0], [(flat[1], 'i')])}]"
        if array.form is not None:
            return f"m->b{array.buffer}[{_sum(array.form[0], zip(array.form[1], at, strict=True))}]"
        table = self.writer.indices.setdefault(array.index.tobytes(), (f"at{len(self.writer.indices)}", array.index))[0]
        steps = [int(np.prod(array.shape[d + 1 :])) for d in range(array.index.ndim)]
        return f"m->b{array.buffer}[{table}[{_sum(0, zip(steps, at, strict=True))}]]"


def _sum(base: int, terms: Iterable[tuple[int, str]]) -> str:
    parts = []
    for stride, name in terms:
        if name.isdigit():
            base += stride * int(name)
        elif stride:
            parts.append(name if stride == 1 else f"{stride} * ({name})" if " " in name else f"{stride} * {name}")
    return " + ".join([str(base)] * (base != 0 or not parts) + parts)


def _as(value: str, have: str, want: str) -> str:
    return value if have == want else f"{have}to{want}({value})"
