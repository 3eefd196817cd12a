"""Tables in text files: columns separated by commas (.csv) or tabs (.tsv), in UTF-8."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from gaussgan.config.errors import ConfigError
from gaussgan.data.table_source import NotNumbers, Source

SEPARATORS = {".csv": ",", ".tsv": "\t"}
SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "-nan", "null", "NULL", "None", "<NA>", "#N/A"]
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
BOOLEANS = ("true", "false")
WITH_COMMA = re.compile(r"[+-]?[\d.]*,[\d,.]*\d", re.ASCII)
DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}(\D.*)?", re.ASCII)
CHUNK = 2**20  # cells that are parsed at once


def open_csv(path: Path, key: str | None) -> Source:
    """Open a text file of numbers. Its first line may be a header; see `_is_header`.

    The truth values True and False are 1 and 0.
    """
    separator = SEPARATORS[path.suffix.lower()]
    with _utf8(path):
        first, second = _first_rows(path, separator)
    header = _is_header(first, second)
    names = tuple(first) if header else tuple(map(str, range(len(first))))

    def count() -> int:
        status = path.stat()
        with _utf8(path):
            return _count(path.resolve(), separator, status.st_mtime_ns, status.st_size) - header

    def read(columns: list[int]) -> np.ndarray:
        count()  # it checks that all rows are equally long
        rows = np.empty((0, len(columns)))
        try:
            for part in _chunks(path, separator, header, len(names), columns, dtype=np.float64):
                filled = len(rows)
                rows.resize((filled + len(part), len(columns)), refcheck=False)  # the system moves pages, not bytes
                rows[filled:] = part[columns]
        except ValueError:
            if problems := _texts(path, separator, header, len(names), columns):
                raise NotNumbers(problems) from None
            raise
        return rows

    nameless = [i for i, name in enumerate(names) if not name]
    return Source(names, count, read, nameless=nameless, place=partial(_place, path, separator, header))


@contextmanager
def _utf8(path: Path) -> Iterator[None]:
    """Turn a UnicodeDecodeError inside a with block into a ConfigError."""
    try:
        yield
    except UnicodeDecodeError as error:
        other = "UTF-16" if error.object[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "LATIN1"
        raise ConfigError(
            f"data.path: {path} must be text in UTF-8 (byte 0x{error.object[error.start]:02x} is not); if it is in"
            f" {other}: iconv -f {other} -t UTF-8 {path} > new{path.suffix}"
        ) from error


def _lines(path: Path) -> Any:
    return path.open(encoding="utf-8-sig", newline="")


def _first_rows(path: Path, separator: str) -> tuple[list[str], list[str]]:
    """Return the cells of the first two rows, and check that the columns are separated as they should be."""
    with _lines(path) as file:
        raw = [line for line in islice(file, 1000) if line.strip(" \r\n")][:50]
    if not raw:
        raise ConfigError(f"data.path: {path} is empty")
    rows = [*islice(csv.reader(raw, delimiter=separator, skipinitialspace=True), 2), []]
    for other, name in SEPARATOR_NAMES.items():
        if other != separator and raw[0].count(other) == raw[:2][-1].count(other) > 0 and '"' not in raw[0]:
            raise _wrong_separator(path, separator, name)
    if len(rows[0]) == 1 and len(words := rows[0][0].split()) > 1 and all(map(NUMBER.fullmatch, words)):
        raise _wrong_separator(path, separator, "spaces")
    first, second = ([cell.strip() for cell in row] for row in rows[:2])
    return first, second


def _is_header(first: list[str], second: list[str]) -> bool:
    """Return whether the first row has the names of the columns.

    It has if a cell is neither a number, nor a truth value, nor empty. The numbers 0, 1, 2, …, with or without an empty
    cell before them, are the names that pandas gives to the columns of an array. They are taken for names if there are
    more than 4 of them, or if a number in the second row is not written as an integer.
    """
    if not all(NUMBER.fullmatch(cell) or cell in MISSING or cell.lower() in BOOLEANS for cell in first):
        return True
    numbered = first[first[0] == "" :]
    counted = bool(numbered) and numbered == [*map(str, range(len(numbered)))]
    return counted and (len(numbered) > 4 or any("." in cell or "e" in cell.lower() for cell in second))


def _wrong_separator(path: Path, separator: str, found: str) -> ConfigError:
    return ConfigError(
        f"data.path: {path}: columns must be separated by {SEPARATOR_NAMES[separator]}, and numbers must be written"
        f" with a decimal point (line 1 has {found})"
    )


@lru_cache(maxsize=32)
def _count(path: Path, separator: str, modified: int, size: int) -> int:
    """Return the number of rows, with the header, and check that they are equally long.

    The time of the last change and the size are arguments so that the result is remembered until the file changes.
    """
    rows, width = 0, 0
    for number, found in _records(path, separator):
        if rows == 0:
            width = found
        elif found != width:
            raise ConfigError(
                f"data.path: {path}: every row must have as many cells as the first, {width} (line {number:,} has"
                f" {found})"
            )
        rows += 1
    return rows


def _records(path: Path, separator: str) -> Iterator[tuple[int, int]]:
    """Yield the number of the last line of each row, from 1, and the number of its cells. Blank lines are no rows."""
    with _lines(path) as lines:
        number = 0
        for line in lines:
            number += 1
            if '"' in line:
                reader = csv.reader(chain([line], lines), delimiter=separator, skipinitialspace=True)
                row = next(reader)
                number += reader.line_num - 1
                yield number, len(row)
            elif (cells := line.count(separator) + 1) > 1 or line.strip(" \r\n"):
                yield number, cells


def _chunks(path: Path, separator: str, header: bool, width: int, columns: list[int], dtype: Any) -> Iterator[Any]:
    """Yield the rows as data frames whose columns are called by their positions."""
    import pandas as pd

    yield from pd.read_csv(
        path, sep=separator, header=0 if header else None, names=range(width), usecols=columns, index_col=False,
        dtype=dtype, na_values=MISSING, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig",
        chunksize=max(1, CHUNK // width), low_memory=dtype is not None,
    )  # fmt: skip


def _texts(path: Path, separator: str, header: bool, width: int, columns: list[int]) -> dict[int, str]:
    """Return what the first text of each column with text is. Only the first chunk with text is searched."""
    start = 0
    for part in _chunks(path, separator, header, width, columns, dtype=None):
        problems: dict[int, str] = {}
        for column in columns:
            if part[column].dtype.kind in "biuf":
                continue
            for row, cell in enumerate(part[column], start):
                if isinstance(cell, str) and not NUMBER.fullmatch(cell.strip()):
                    problems[column] = f"{_kind(cell)} {cell!r:.40} in {_place(path, separator, header, row)}"
                    break
        if problems:
            return problems
        start += len(part)
    return {}


def _kind(cell: str) -> str:
    if WITH_COMMA.fullmatch(cell):
        return "a number with a comma,"
    return "a date," if DATE.fullmatch(cell) else "text,"


def _place(path: Path, separator: str, header: bool, row: int) -> str:
    number, _ = next(islice(_records(path, separator), row + header, None))
    return f"row {row + 1:,}, line {number:,}"
