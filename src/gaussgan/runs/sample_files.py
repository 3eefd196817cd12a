"""Write examples to a file or as pictures. A file or folder is complete, or it is not there."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from gaussgan.config.errors import ConfigError
from gaussgan.config.units import gigabytes
from gaussgan.data.tiles import grid_of
from gaussgan.runs.files import replacing, writing

KEY = "--out"  # what error messages begin with
TILE, GAP = 64, 12  # in a grid, small images are enlarged to about TILE pixels; the width of the space between them
MOST_PIXELS = 100_000_000  # of one picture


def check_space(path: Path, size: int) -> None:
    """Check that the disk of a file has room for `size` bytes.

    Raises:
        ConfigError: when it has not.
    """
    free = shutil.disk_usage(path.absolute().parent).free
    if size > free:
        needed = gigabytes(size)
        raise ConfigError(f"{KEY}: {path} needs at least {needed}, but its disk has only {gigabytes(free)} left")


def write_npy(path: Path, chunks: Iterable[np.ndarray], shape: tuple[int, int], dtype: np.dtype) -> None:
    """Write chunks of an array, [m, d] each, as one array of the given shape, [n, d]. Only one chunk is in memory."""
    descr = np.lib.format.dtype_to_descr(dtype)
    with replacing(path, KEY) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        for chunk in chunks:
            file.write(np.ascontiguousarray(chunk).data)


def write_csv(path: Path, chunks: Iterable[np.ndarray], names: Iterable[str]) -> None:
    """Write chunks of a table, [m, d] each, below the names of its columns.

    Each number has as many digits as are needed to read the same number back.
    """
    with replacing(path, KEY) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(names)
        for chunk in chunks:
            text: Callable[[float], str] = "{:.9g}".format if chunk.dtype == np.float32 else repr
            file.writelines(f"{','.join(map(text, row))}\n" for row in chunk.tolist())


def write_grid(path: Path, images: Iterable[np.ndarray], n: int, columns: int, height: int, width: int) -> None:
    """Write n images as one picture, row by row.

    Args:
        path: the file.
        images: chunks of images, [m, H, W] or [m, H, W, 3] each, in uint8.
        n: the number of images.
        columns: the number of images in a row.
        height: H.
        width: W.

    Raises:
        ConfigError: when the picture would be too large.
    """
    columns = min(columns, n)
    rows, scale = ceil(n / columns), max(1, TILE // max(height, width))
    down, across = scale * height + GAP, scale * width + GAP
    if (pixels := rows * down * columns * across) > MOST_PIXELS:
        raise ConfigError(
            f"--n must be smaller for one picture, which may have {MOST_PIXELS:,} pixels, or {KEY} must be a folder"
            f" (got {n:,} images, {pixels:,} pixels)"
        )
    enlarged = np.concatenate([*images]).repeat(scale, 1).repeat(scale, 2)
    picture = grid_of(enlarged, columns, GAP)
    with replacing(path, KEY) as temporary:
        Image.fromarray(picture).save(temporary, format="png")


def write_folder(path: Path, images: Iterable[np.ndarray]) -> None:
    """Write images, [m, H, W] or [m, H, W, 3] in uint8 each chunk, as 00000.png and so on in a new folder."""
    with _new_folder(path) as temporary:
        for i, image in enumerate(chain.from_iterable(images)):
            Image.fromarray(image).save(temporary / f"{i:05}.png")


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder inside a with block. At the end it becomes the folder `path`; after an error it goes."""
    temporary = path.absolute().with_name(f".{path.absolute().name}.tmp")
    with writing(KEY, path):
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
        temporary.mkdir()
        try:
            yield temporary
            if path.exists():
                path.rmdir()  # raises an error unless it is empty
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
