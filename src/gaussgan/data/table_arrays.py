"""Tables in files of NumPy (.npy, .npz) and torch (.pt). Objects are refused, so that nothing is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import prod
from pathlib import Path
from typing import IO
from zipfile import ZipFile, is_zipfile

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import did_you_mean
from gaussgan.data.table_source import Source, listed

KINDS = {"c": "complex numbers", "O": "Python objects", "S": "text", "U": "text", "T": "text", "M": "dates",
         "m": "times", "V": "records"}  # fmt: skip
MOST_COLUMNS = 10_000_000
BLOCK = 2**23  # bytes that are read at once
Opener = Callable[[], AbstractContextManager[IO[bytes]]]


def open_npy(path: Path, key: str | None) -> Source:
    """Open the array of a .npy file."""
    return _array(path, lambda: path.open("rb"), path.stat().st_size, "")


def open_npz(path: Path, key: str | None) -> Source:
    """Open an array of a .npz file, which is a zip archive of .npy files."""
    with ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist() if entry.filename.endswith(".npy")}
    name = _entry(path, [entry.removesuffix(".npy") for entry in sizes], key, "array")
    return _array(path, lambda: _member(path, f"{name}.npy"), sizes[f"{name}.npy"], f", array {name}")


@contextmanager
def _member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a file in a zip archive for a with block."""
    with ZipFile(path) as archive, archive.open(name) as file:
        yield file


def _array(path: Path, opener: Opener, size: int, which: str) -> Source:
    """Open an array in the .npy format.

    Args:
        path: the file, for error messages.
        opener: opens the bytes of the array.
        size: the number of these bytes.
        which: a text for error messages that says which array of the file it is.
    """
    with opener() as file:
        shape, fortran, dtype = _header(file)
        size -= file.tell()
    if dtype.kind in KINDS:
        refused = ", which are never unpickled" if dtype.kind == "O" else ""
        raise ConfigError(f"data.path: {path}{which} must be an array of numbers (got {KINDS[dtype.kind]}{refused})")
    if (expected := prod(shape) * dtype.itemsize) != size:
        raise ConfigError(
            f"data.path: {path}{which} is damaged: an array of shape {[*shape]} has {expected:,} bytes (got {size:,})"
        )
    names, width = _positional(path, which, shape)
    exact = np.result_type(dtype, np.float32) == np.float32
    result = np.dtype(np.float32 if exact else np.float64)

    def read(columns: list[int]) -> np.ndarray:
        rows = np.empty((shape[0], len(columns)), result)
        chosen = slice(None) if columns == [*range(width)] else columns
        with opener() as file, np.errstate(over="ignore"):  # what overflows is refused as infinite
            _header(file)
            if fortran:
                whole = np.frombuffer(file.read(size), dtype).reshape(shape, order="F").reshape(shape[0], width)
                rows[:] = whole[:, chosen]
            step = max(1, BLOCK // (width * dtype.itemsize))
            for start in range(0, 0 if fortran else shape[0], step):
                part = rows[start : start + step]
                block = np.frombuffer(file.read(len(part) * width * dtype.itemsize), dtype).reshape(len(part), width)
                part[:] = block[:, chosen]
        return rows

    return Source(names, lambda: shape[0], read, lambda _: result)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of a .npy file: the shape, whether the order is that of Fortran, and the type."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape is {[*shape]}")
    return shape, fortran, dtype


def open_pt(path: Path, key: str | None) -> Source:
    """Open a tensor of a .pt file. Only tensors and plain values are loaded (torch.load with weights_only=True)."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except pickle.UnpicklingError as error:
        reason = str(error).partition("WeightsUnpickler error: ")[2].partition(". ")[0].partition("\n")[0]
        raise ConfigError(
            f"data.path: {path} must hold only tensors: what needs code to be loaded is refused"
            f" ({reason or 'it is not a file of torch.save'})"
        ) from error
    tensor, which = content, ""
    if isinstance(content, dict):
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        name = _entry(path, [*map(str, tensors)], key, "tensor")
        tensor, which = {str(name): value for name, value in tensors.items()}[name], f", tensor {name}"
    elif key is not None and isinstance(content, Tensor):
        raise ConfigError(f"data.key must be null for {path}, which holds one tensor (got {key})")
    if not isinstance(tensor, Tensor):
        raise ConfigError(f"data.path: {path} must hold a tensor, or a dict of tensors (got {type(content).__name__})")
    return _tensor(path, tensor.detach(), which)


def _tensor(path: Path, tensor: Tensor, which: str) -> Source:
    kind = (
        "a sparse tensor" if tensor.layout is not torch.strided
        else "a tensor without numbers" if tensor.is_meta
        else "quantized numbers" if tensor.is_quantized
        else "complex numbers" if tensor.is_complex()
        else None
    )  # fmt: skip
    if kind:
        raise ConfigError(f"data.path: {path}{which} must be an array of numbers (got {kind})")
    names, width = _positional(path, which, tensor.shape)
    exact = tensor.element_size() <= 2 or tensor.dtype == torch.float32
    result = np.dtype(np.float32 if exact else np.float64)

    def read(columns: list[int]) -> np.ndarray:
        _check_sums(path)
        rows = np.empty((len(tensor), len(columns)), result)
        flat = tensor.reshape(len(tensor), width)
        torch.from_numpy(rows).copy_(flat if columns == [*range(width)] else flat[:, columns])
        return rows

    return Source(names, lambda: len(tensor), read, lambda _: result)


def _check_sums(path: Path) -> None:
    """Check the checksums of a zip archive. The function torch.load does not check them."""
    if is_zipfile(path):
        with ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {damaged} is wrong")


def _positional(path: Path, which: str, shape: Sequence[int]) -> tuple[tuple[str, ...], int]:
    """Return the names of the columns of an array, 0, 1, …, and their number."""
    if len(shape) == 0:
        raise ConfigError(f"data.path: {path}{which} must be an array whose first dimension is rows (got one number)")
    width = prod(shape[1:])
    if width > MOST_COLUMNS:
        raise ConfigError(
            f"data.path: {path}{which} must have at most {MOST_COLUMNS:,} columns (got {width:,}: its shape is"
            f" {[*shape]}, and the first dimension is rows)"
        )
    return tuple(map(str, range(width))), width


def _entry(path: Path, names: Sequence[str], key: str | None, what: str) -> str:
    """Return the name of the array that `key` chooses in a file, or of the only one."""
    if key is not None and str(key) in names:
        return str(key)
    if not names:
        raise ConfigError(f"data.path: {path} has no {what}")
    if key is not None:
        hint = did_you_mean(str(key), names, foreign={}) or f" (it has {listed(names)})"
        raise ConfigError(f"data.key: {path} has no {what} {key}{hint}")
    if len(names) > 1:
        raise ConfigError(
            f"data.key must choose one of the {len(names):,} {what}s in {path}: {listed(names)}; for the first,"
            f" data.key={names[0]}"
        )
    return names[0]
