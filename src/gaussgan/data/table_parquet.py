"""Tables in .parquet files, by the library pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gaussgan.config.extras import import_extra
from gaussgan.data.table_source import Source

INDEX = "__index_level_"  # how the names begin that pandas gives to an index without a name


def open_parquet(path: Path, key: str | None) -> Source:
    """Open a .parquet file. Integers, floats, decimals and truth values (1 and 0) are numbers."""
    parquet = import_extra("pyarrow.parquet", "data.path: a .parquet file", "pyarrow", "parquet")
    import pyarrow

    with parquet.ParquetFile(path) as file:
        schema, n = file.schema_arrow, file.metadata.num_rows
    unfit = {i: what for i, field in enumerate(schema) if (what := _unfit(pyarrow, field.type)) is not None}

    def dtype(columns: list[int]) -> np.dtype:
        return np.dtype(np.float32 if all(_exact(pyarrow, schema.types[i]) for i in columns) else np.float64)

    def read(columns: list[int]) -> np.ndarray:
        rows = np.empty((n, len(columns)), dtype(columns))
        kind = pyarrow.from_numpy_dtype(rows.dtype)
        start = 0
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                part = rows[start : start + file.metadata.row_group(group).num_rows]
                for j, i in enumerate(columns):  # one column at a time needs half the memory of all at once
                    column = file.read_row_group(group, columns=[schema.names[i]]).column(schema.names[i])
                    part[:, j] = column.cast(kind, safe=False).to_numpy()
                start += len(part)
        if start != n:
            raise ValueError(f"it has {start:,} rows, but its metadata say {n:,}")
        return rows

    nameless = [i for i, name in enumerate(schema.names) if not name or name.startswith(INDEX)]
    return Source(tuple(schema.names), lambda: n, read, dtype, unfit, nameless)


def _exact(pyarrow: Any, kind: Any) -> bool:
    """Return whether float32 holds every value of a type."""
    types = pyarrow.types
    if types.is_integer(kind):
        return bool(kind.bit_width <= 16)
    return bool(types.is_boolean(kind) or types.is_float16(kind) or types.is_float32(kind))


def _unfit(pyarrow: Any, kind: Any) -> str | None:
    """Return what the values of a type are, or None if they are numbers."""
    types = pyarrow.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        return None
    if types.is_nested(kind):
        return f"nested, {kind}"
    return "a date or time" if types.is_temporal(kind) else f"{kind}"
