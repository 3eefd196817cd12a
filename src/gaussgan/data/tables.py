"""Read the rows of a file: .npy, .npz, .csv, .tsv, .parquet or .pt. Nothing in a file is ever run or unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import did_you_mean
from gaussgan.config.units import gigabytes
from gaussgan.data.table_arrays import open_npy, open_npz, open_pt
from gaussgan.data.table_csv import open_csv
from gaussgan.data.table_parquet import open_parquet
from gaussgan.data.table_source import NotNumbers, Source, listed, override, reading
from gaussgan.machine import available_memory

OPENERS = {
    ".npy": open_npy, ".npz": open_npz, ".csv": open_csv, ".tsv": open_csv, ".parquet": open_parquet, ".pt": open_pt,
}  # fmt: skip
WITH_KEY = (".npz", ".pt")
LARGEST = torch.finfo(torch.float32).max
CHUNK = 2**22  # numbers that are checked at once


class Table(NamedTuple):
    """Rows of numbers, and the names of their columns."""

    rows: Tensor
    names: tuple[str, ...]


def read_table(
    path: str | Path,
    columns: Sequence[str | int] | None = None,
    exclude: Sequence[str | int] | None = None,
    key: str | None = None,
) -> Table:
    """Read the rows of a file as numbers.

    A row is an example. The rows are in float32 if float32 holds every value of the file's type exactly (float32,
    float16, booleans, integers of at most 16 bits), else in float64. In an array, a row is what belongs to one index of
    the first dimension: n numbers are n rows of one column, and [n, C, H, W] is n rows of C · H · W columns.

    A CSV file has a header unless all cells of its first line are numbers or empty. Where there are no names, columns
    are called 0, 1, …

    Args:
        path: the path of the file.
        columns: the columns to read, in this order: texts are names; whole numbers are positions from 0, and −1 is the
            last column. None for all columns.
        exclude: columns to leave out, such as labels; written like `columns`.
        key: the name of an array in a .npz file, or of a tensor in a .pt file. None if there is only one.

    Returns:
        The rows, [n, d], and the names of the d columns.

    Raises:
        ValueError: when the file cannot be read, when a chosen column is not numbers, when a number is NaN, infinite or
            beyond float32, or when there are fewer than two rows. The message is one line that starts with the key.
    """
    path = Path(path).expanduser()
    source = _open(path, key)
    left_out = _positions("data.exclude", path, source.names, () if exclude is None else exclude)
    chosen = _chosen(path, source, columns, left_out)
    with reading(path):
        n = source.count()
    if n < 2:
        raise ConfigError(f"data.path: {path} must have at least 2 rows (it has {('none', 'one')[n]})")
    needed, limit = n * len(chosen) * source.dtype(chosen).itemsize, available_memory()
    if needed > limit:
        raise ConfigError(
            f"data.path: {path}: {n:,} rows of {len(chosen):,} columns need {gigabytes(needed)} of memory, but this"
            f" machine has only {gigabytes(limit)}"
        )
    try:
        if unfit := {i: source.unfit[i] for i in chosen if i in source.unfit}:
            raise NotNumbers(unfit)
        with reading(path):
            rows = torch.from_numpy(source.read(chosen))
    except NotNumbers as error:
        raise _not_numbers(path, source.names, error.columns, left_out) from None
    names = tuple(source.names[i] or str(i) for i in chosen)
    _check_numbers(path, source, rows, names)
    return Table(rows, names)


def count_rows(path: str | Path, key: str | None = None) -> int:
    """Return the number of rows of a file, without reading the numbers.

    Only a CSV file is read as a whole. Its number of rows is remembered until the file changes.

    Args:
        path: the path of the file.
        key: the name of an array in a .npz file, or of a tensor in a .pt file. None if there is only one.

    Raises:
        ValueError: when the file cannot be read. The message is one line that starts with the key.
    """
    path = Path(path).expanduser()
    source = _open(path, key)
    with reading(path):
        return source.count()


def fingerprint(rows: Tensor) -> str:
    """Return a hash of the shape, the type and the bytes of a tensor, as 16 hexadecimal digits (64 bits of BLAKE2b)."""
    digest = hashlib.blake2b(f"{rows.dtype} {[*rows.shape]}".encode(), digest_size=8)
    digest.update(rows.contiguous().numpy().data)
    return digest.hexdigest()


def _open(path: Path, key: str | None) -> Source:
    suffix = path.suffix.lower()
    try:
        empty = path.is_file() and path.stat().st_size == 0
    except OSError as error:  # a directory on the way may not be searched, or a name is too long
        raise ConfigError(f"data.path: cannot read {path} ({error.strerror})") from error
    if path.is_dir():
        raise ConfigError(
            f"data.path must be a file ({path} is a directory); for a folder of images: data=image_folder"
            f" data.path={path}"
        )
    if not path.exists():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise ConfigError(f"data.path: there is no file {path}{where}")
    if suffix not in OPENERS:
        *most, last = OPENERS
        raise ConfigError(f"data.path must end in {', '.join(most)} or {last} (got {path})")
    if not path.is_file():
        raise ConfigError(f"data.path must be a file ({path} is a device or a pipe)")
    if empty:
        raise ConfigError(f"data.path: {path} is empty")
    if key is not None and suffix not in WITH_KEY:
        raise ConfigError(f"data.key must be null for a {suffix} file (got {key}): it is for {' and '.join(WITH_KEY)}")
    with reading(path):
        source = OPENERS[suffix](path, key)
    named = [name for name in source.names if name]
    if len({*named}) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        where = listed([str(i) for i, name in enumerate(source.names) if name == twice])
        raise ConfigError(f"data.path: {path}: column names must differ ({twice} is the name of columns {where})")
    return source


def _chosen(path: Path, source: Source, columns: Sequence[str | int] | None, left_out: list[int]) -> list[int]:
    """Return the positions of the columns to read."""
    refused = {*left_out}
    if columns is None:
        chosen = [i for i in range(len(source.names)) if i not in refused]
        if nameless := [i for i in chosen if i in source.nameless]:
            hint = override("data.exclude", source.names, [*left_out, *nameless])
            raise ConfigError(
                f"data.path: {path}: column {nameless[0]} has no name, so it may be the row numbers that pandas writes;"
                f" leave it out with {hint}, or choose it in data.columns"
            )
    else:
        chosen = [i for i in _positions("data.columns", path, source.names, columns) if i not in refused]
    if not chosen:
        key = "data.exclude" if left_out else "data.path" if columns is None else "data.columns"
        raise ConfigError(f"{key} must leave at least one column of {path}")
    return chosen


def _positions(key: str, path: Path, names: Sequence[str], wanted: Sequence[str | int]) -> list[int]:
    """Return the position of each wanted column."""
    if isinstance(wanted, str) or not isinstance(wanted, Sequence):
        raise ConfigError(f"{key} must be a list of names or positions, such as [x,y] or [0,1] (got {wanted!r})")
    positions: list[int] = []
    for column in wanted:
        if type(column) is int and -len(names) <= column < len(names):
            position = column % len(names)
            if str(column) in names and names[position] != str(column):
                raise ConfigError(
                    f"{key} must tell position {column} of {path} from the column named {column}: write the name at"
                    f" that position ({names[position]!r}), or '{column}' in quotes"
                )
        elif isinstance(column, str) and column in names:
            position = [*names].index(column)
        elif isinstance(column, str | int) and not isinstance(column, bool):
            hint = did_you_mean(str(column), names, foreign={}) or f" (its columns are {listed(names)})"
            raise ConfigError(f"{key}: {path} has no column {column}{hint}")
        else:
            raise ConfigError(f"{key} must be a list of names or positions (got {column!r} in it)")
        if position in positions:
            raise ConfigError(f"{key} must name each column once (got {column} twice)")
        positions.append(position)
    return positions


def _not_numbers(path: Path, names: Sequence[str], columns: Mapping[int, str], left_out: list[int]) -> ConfigError:
    found = [f"{names[i] or i} ({what})" for i, what in columns.items()]
    which = "a column is" if len(found) == 1 else f"{len(found):,} columns are"
    hint = override("data.exclude", names, [*left_out, *columns])
    return ConfigError(f"data.path: {path}: {which} not numbers: {listed(found)}; to leave out: {hint}")


def _check_numbers(path: Path, source: Source, rows: Tensor, names: Sequence[str]) -> None:
    """Check that every number is finite in float32."""
    parts = rows.split(max(1, CHUNK // rows.shape[1]))
    if all(low >= -LARGEST and high <= LARGEST for low, high in (part.aminmax() for part in parts)):
        return  # a NaN would be both the smallest and the largest
    not_finite = torch.cat([~part.isfinite() for part in parts])
    kind = "empty, NaN or infinite numbers"
    if not not_finite.any():
        not_finite, kind = rows.abs() > LARGEST, f"numbers beyond ±{LARGEST:.2g}, the range of float32"
    bad = not_finite.any(1).nonzero().flatten()
    where = listed([names[j] for j in not_finite.any(0).nonzero().flatten()])
    column = "column" if not_finite.any(0).sum() == 1 else "columns"
    raise ConfigError(
        f"data.path: {path}: {len(bad):,} of {len(rows):,} rows have {kind} ({column} {where}); the first is"
        f" {source.place(int(bad[0]))}"
    )
