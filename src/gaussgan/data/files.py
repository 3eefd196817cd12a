"""Data from files, as data modules. Reading is in `tables` and `image_files`, the split in `examples`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from gaussgan.data.datamodule import DataModule
from gaussgan.data.examples import Examples
from gaussgan.data.tables import fingerprint, read_table


def file_data(
    path: str,
    columns: Sequence[str | int] | None = None,
    exclude: Sequence[str | int] | None = None,
    key: str | None = None,
    standardize: bool = True,
    holdout: float = 0.2,
    split_seed: int = 0,
    shape: Sequence[int] | None = None,
    num_examples: int | None = None,
    **module: Any,
) -> DataModule:
    """Return a data module with the rows of a file; see `read_table` and `Examples`.

    Args:
        path: the path of the file.
        columns: the columns to use, as names or as numbers from 0; None for all.
        exclude: columns to leave out, such as labels.
        key: the name of an array in a .npz file, or of a tensor in a .pt file.
        standardize: true to shift and scale each column to mean 0 and standard deviation 1.
        holdout: the proportion of the rows that is held out.
        split_seed: the seed of the split.
        shape: [C, H, W] if a row is an image.
        num_examples: the number of rows to train on; None for all that are not held out.
        module: the other arguments of `DataModule`.

    Raises:
        ValueError: when the file cannot be read, or when its rows do not suffice. The message is one line.
    """
    stamp = _stamp(path)
    chosen = (None if each is None else tuple(each) for each in (columns, exclude))
    kept = None if shape is None else tuple(shape)
    examples = _examples(path, stamp, *chosen, key, standardize, holdout, split_seed, kept, num_examples)
    return DataModule(distribution=examples, num_examples=len(examples.train), **module)


@lru_cache(maxsize=2)  # the jobs of a sweep share the rows
def _examples(
    path: str,
    stamp: Any,
    columns: Sequence[str | int] | None,
    exclude: Sequence[str | int] | None,
    key: str | None,
    standardize: bool,
    holdout: float,
    split_seed: int,
    shape: tuple[int, int, int] | None,
    limit: int | None,
) -> Examples:
    table = read_table(path, columns, exclude, key)
    return Examples(
        table.rows, table.names, path, fingerprint(table.rows), holdout, split_seed, limit, standardize, shape
    )


def _stamp(path: str) -> tuple[str, int, int] | None:
    """Return what changes when a file changes; None if there is no such file."""
    try:
        status = Path(path).expanduser().stat()
    except (OSError, ValueError):  # reading it raises the error
        return None
    return str(Path(path).expanduser().resolve()), status.st_mtime_ns, status.st_size
