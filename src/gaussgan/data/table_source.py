"""What each file format of a table offers: names, the number of rows, and the chosen columns as numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gaussgan.config.errors import ConfigError, one_line, shortage

PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$)[A-Za-z_][\w-]*", re.ASCII | re.IGNORECASE)

QUOTABLE = re.compile(r"""[^'"\\$`!\n]+""")


def row_and_index(row: int) -> str:
    """Return the number of a row in words, for a reader who may count from 1 or from 0."""
    return f"row {row + 1:,}, index {row:,}"


@dataclass(frozen=True)
class Source:
    """A table in a file that has been opened.

    Args:
        names: the names of the columns; "" for a column without a name.
        count: returns the number of rows.
        read: returns the columns at the given positions as a new array, [n, number of columns], in float32 or float64.
            It raises NotNumbers.
        dtype: returns the type of this array.
        unfit: maps the position of each column that is known not to be numbers to what it is.
        nameless: the positions of columns that lack a name where others have one.
        place: returns the number of a row in words.
    """

    names: tuple[str, ...]
    count: Callable[[], int]
    read: Callable[[list[int]], np.ndarray]
    dtype: Callable[[list[int]], np.dtype] = lambda _: np.dtype(np.float64)
    unfit: Mapping[int, str] = field(default_factory=dict)
    nameless: Sequence[int] = ()
    place: Callable[[int], str] = row_and_index


class NotNumbers(Exception):
    """Some columns are not numbers. `columns` maps their positions to what they are."""

    def __init__(self, columns: Mapping[int, str]) -> None:
        super().__init__()
        self.columns = columns


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every error inside a with block into a ConfigError that names the file. Damage may cause any error."""
    try:
        yield
    except (ConfigError, NotNumbers):
        raise
    except OSError as error:
        if error.errno is None:  # it is not from the system, but from a library that cannot read the content
            raise _damaged(path, error) from error
        raise ConfigError(f"data.path: cannot read {path} ({error.strerror})") from error
    except Exception as error:
        if short := shortage(error):
            raise ConfigError(f"data.path: {path}: {short}") from error
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ConfigError:
    reason = f"{type(error).__name__}: {one_line(error):.200}"
    return ConfigError(f"data.path: {path} is damaged or is not a {path.suffix.lower()} file ({reason})")


def listed(texts: Sequence[str]) -> str:
    """Join texts by commas. Of more than 8 texts, give the first 5 and how many more there are."""
    return ", ".join(texts) if len(texts) <= 8 else f"{', '.join(texts[:5])} and {len(texts) - 5:,} more"


def override(key: str, names: Sequence[str], columns: Sequence[int]) -> str:
    """Return a command-line override that sets `key` to columns at given positions, such as data.exclude=[a,b].

    A name that cannot be typed easily is replaced by the position.
    """
    shown = [i if names[i] == str(i) or not QUOTABLE.fullmatch(names[i]) else names[i] for i in columns]
    if all(isinstance(column, int) or PLAIN.fullmatch(column) for column in shown):
        return f"{key}=[{','.join(map(str, shown))}]"
    quoted = (str(column) if isinstance(column, int) else f"'{column}'" for column in shown)
    return f'"{key}=[{",".join(quoted)}]"'
