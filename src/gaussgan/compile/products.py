"""Write a product of matrices as C loops over tiles, whose sums stay in registers.

The sum of each element has the order of its terms, whatever the tiles. So the result does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gaussgan.compile.arrays import Array

VECTOR = {"F": 8, "D": 4}  # numbers in a vector of 32 bytes, for a program of one run


class Product(NamedTuple):
    """The product a b plus a bias, if there is one: [I, K] times [K, J]."""

    name: str
    kind: str
    a: Array
    b: Array
    bias: Array | None
    result: Array

    @property
    def transposed(self) -> Product:
        """The same product with rows and columns exchanged: bᵀ aᵀ. Its sums are the same."""
        a, b, result = (each.map(lambda index: index.T) for each in (self.b, self.a, self.result))
        return self._replace(a=a, b=b, result=result, bias=self.bias and self.bias.map(lambda index: index.T))


class Tile(NamedTuple):
    """A part of the columns or rows: tiles of `units` units of `width` numbers, from `start` up to `stop`."""

    start: int
    stop: int
    units: int
    width: int = 1


Read = Callable[[Array, str, str, str], str]  # (array, kind, row, column) → C expression


def write_product(product: Product, single: bool, read: Read, place: Read) -> str:
    """Return the C loops of a product.

    Args:
        product: the product.
        single: true for a program of one run. Then the numbers of a row are computed as vectors, if they lie side by
            side in b and in the result.
        read: writes the value of an element.
        place: writes the place of an element.
    """
    rows, columns = product.result.shape
    width = VECTOR[product.kind]
    if single and not _side_by_side(product) and _side_by_side(product.transposed):
        product, (rows, columns) = product.transposed, (columns, rows)
    vectors = columns // width if single and _side_by_side(product) else 0
    parts = [*_tiles(vectors * width, 2, width), *_tiles(columns - vectors * width, 4, 1, vectors * width)]
    return "\n".join(_loops(product, i, j, read, place) for i in _tiles(rows, 4, 1) for j in parts)


def _side_by_side(product: Product) -> bool:
    """Return whether whole vectors of a row of b and of the result can be read and written."""
    same_kind = product.b.kind == product.result.kind == product.kind
    arrays = (product.b, product.result)
    ones = all(not each.is_constant and each.form is not None and each.form[1][1] == 1 for each in arrays)
    bias = product.bias is None or _spreads(product.bias) or (product.bias.form or (0, (0, 0)))[1][1] == 1
    return same_kind and ones and bias and product.result.shape[1] >= VECTOR[product.kind]


def _spreads(array: Array) -> bool:
    """Return whether all numbers of a row are the same."""
    return array.is_constant or (array.form is not None and array.form[1][1] == 0)


def _tiles(numbers: int, most: int, width: int, start: int = 0) -> Iterator[Tile]:
    """Divide numbers into tiles of at most `most` units, and one tile for the rest."""
    units = numbers // width
    most = units if units <= most + 2 else most
    whole = units - units % most if most else 0
    if whole:
        yield Tile(start, start + whole * width, most, width)
    if units > whole:
        yield Tile(start + whole * width, start + units * width, units - whole, width)


def _loops(product: Product, i: Tile, j: Tile, read: Read, place: Read) -> str:
    k, wide = product.kind, j.width > 1
    kind = f"V{k}" if wide else k

    def at(base: str, offset: int) -> str:
        return f"{base} + {offset}" if offset and base != "0" else base if base != "0" else str(offset)

    def load(array: Array, row: str, column: str) -> str:
        if not wide:
            return read(array, k, row, column)
        if array is product.a or _spreads(array):
            return f"allV{k}({read(array, k, row, column)})"
        return f"load{kind}(&{place(array, k, row, column)})"

    row, column = ("i" if i.stop - i.start > i.units else "0"), ("j" if j.stop - j.start > j.units * j.width else "0")
    rows = [at(row, t + (0 if row == "i" else i.start)) for t in range(i.units)]
    columns = [at(column, u * j.width + (0 if column == "j" else j.start)) for u in range(j.units)]
    terms = product.a.shape[1]
    lines, sums = [], {(t, u): f"s{t}{u}" for t in range(i.units) for u in range(j.units)}
    for (t, u), name in sums.items():
        if product.bias is not None:
            value = load(product.bias, rows[t], columns[u])
        else:
            value = f"{load(product.a, rows[t], '0')} * {load(product.b, '0', columns[u])}"
        lines.append(f"{kind} {name} = {value};")
    first = 0 if product.bias is not None else 1
    if terms > first:
        lines.append(f"for (int r = {first}; r < {terms}; r++) {{")
        lines += [f"  {kind} x{t} = {load(product.a, rows[t], 'r')};" for t in range(i.units)]
        lines += [f"  {kind} y{u} = {load(product.b, 'r', columns[u])};" for u in range(j.units)]
        lines += [f"  {name} = fma{kind}(x{t}, y{u}, {name});" for (t, u), name in sums.items()]
        lines.append("}")
    for (t, u), name in sums.items():
        target = place(product.result, product.result.kind, rows[t], columns[u])
        if wide:
            lines.append(f"store{kind}(&{target}, {name});")
        else:
            lines.append(f"{target} = {name if k == product.result.kind else f'{k}to{product.result.kind}({name})'};")
    heads = [f"for (int i = {i.start}; i < {i.stop}; i += {i.units})"] if row == "i" else []
    heads += [f"for (int j = {j.start}; j < {j.stop}; j += {j.units * j.width})"] if column == "j" else []
    return "\n".join([*heads, f"{{  // {product.name}", *("  " + line for line in lines), "}"])
