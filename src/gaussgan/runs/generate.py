"""Draw examples from the generator of a trained run, and write them to a file or as pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from math import isqrt
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.rng import normal, stream
from gaussgan.runs.files import writing
from gaussgan.runs.load import Run
from gaussgan.runs.sample_files import KEY, check_space, write_csv, write_folder, write_grid, write_npy

FOLDER = ""  # the suffix of a folder of pictures
WRITABLE = (".npy", ".csv", ".png", FOLDER)
ROWS, NUMBERS = 1_000, 2**20  # a chunk has at most this many examples, and about this many numbers
SILENT = 2.0  # seconds until the progress is shown


class Generated(NamedTuple):
    """What `generate` has written.

    Attributes:
        path: the file or folder.
        columns: d, the number of numbers of an example.
        averaged: true if the examples are from the moving average of the generator.
        not_finite: the number of examples with a number that is NaN or infinite.
    """

    path: Path
    columns: int
    averaged: bool
    not_finite: int


@torch.no_grad()
def draw(run: Run, seed: int = 0, average: bool = True) -> Iterator[Tensor]:
    """Yield examples from the generator of a run without end, in chunks [m, d], in the units in which the run computes.

    The same seed gives the same examples at every call. The latents of chunk i are drawn from a stream of random
    numbers of their own, and a chunk is always computed as a whole. So the first examples do not depend on how many
    follow.

    Args:
        run: the run.
        seed: the seed of the latents. It is not the seed of the run.
        average: true to use the moving average of the generator, if the run kept one.
    """
    generator = run.best_generator if average else run.generator
    k, d, placed = run.config["data"]["latent_dim"], _dim(run), next(generator.parameters())
    rows, i = max(1, min(ROWS, NUMBERS // max(k, d))), 0
    while True:
        yield generator(normal(rows, k, generator=stream(seed, "generate", i)).to(placed))
        i += 1


def generate(
    run: Run,
    n: int,
    out: str | Path,
    seed: int = 0,
    average: bool = True,
    columns: int | None = None,
    force: bool = False,
) -> Generated:
    """Draw n examples from the generator of a run, and write them. The file or folder is complete, or it is not there.

    The suffix of `out` chooses what is written:

    - .npy: an array [n, d] of the examples in their original units. It is in float64 if the data have columns with
      units of their own or if the run computes in float64, otherwise in float32.
    - .csv: the same numbers as text, below the names of the columns, or below x0, x1, … if the data have no names.
    - .png: one picture, a grid of the n images. Small images are enlarged.
    - none, or a slash at the end, or a folder that exists: a folder with one PNG for each image, 00000.png and so on.

    Args:
        run: the run.
        n: the number of examples.
        out: the file or folder.
        seed: the seed of the examples.
        average: true to use the moving average of the generator, if the run kept one.
        columns: the number of images in a row of the grid; None for a grid that is about square.
        force: true to replace a file that exists. A folder that is not empty is never replaced.

    Raises:
        ConfigError: when an argument is wrong, when the run's examples are not images but `out` is a picture or a
            folder, or when `out` cannot be written.
    """
    path, suffix = _checked(out, force)
    if n < 1:
        raise ConfigError(f"--n must be at least 1 (got {n})")
    if columns is not None and (suffix != ".png" or columns < 1):
        wrong = "needs a grid, so --out must end in .png" if suffix != ".png" else "must be at least 1"
        raise ConfigError(f"--columns {wrong} (got {columns})")
    layout, d = run.layout, _dim(run)
    counted = _Counted(draw(run, seed, average), n)
    if suffix in (".png", FOLDER):
        if layout is None or layout.shape is None or not layout.drawable:
            raise ConfigError(
                f"{KEY} must end in .npy or .csv for this run, because its examples are not images with 1 or 3 channels"
                f" (data.shape); a picture or a folder of pictures needs them (got {out})"
            )
        images = ((255 * chunk.nan_to_num() + 0.5).byte().numpy() for chunk in map(layout.pixels, counted))
        if suffix == ".png":
            write_grid(path, images, n, columns or isqrt(n - 1) + 1, *layout.shape[1:])
        else:
            write_folder(path, images)
    else:
        own_units = layout is not None and layout.shape is None
        double = own_units or next(run.generator.parameters()).dtype is torch.float64
        dtype = np.dtype(np.float64 if double else np.float32)
        original: Callable[[Tensor], Tensor] = layout.original if layout is not None else lambda x: x
        chunks = (original(chunk).double().numpy().astype(dtype) for chunk in counted)
        check_space(path, n * d * (dtype.itemsize if suffix == ".npy" else 2))  # a number and a comma: 2 bytes or more
        if suffix == ".npy":
            write_npy(path, chunks, (n, d), dtype)
        else:
            write_csv(path, chunks, [f"x{i}" for i in range(d)] if layout is None else layout.names)
    return Generated(path, d, average and run.generator_ema is not None, counted.not_finite)


def _dim(run: Run) -> int:
    """Return the number of features of an example. The file of given examples is not read, and need not exist."""
    return run.distribution.dim if run.layout is None else run.layout.dim


def _checked(out: str | Path, force: bool) -> tuple[Path, str]:
    """Check that `out` can be written, as far as this is known before. Return its path and its suffix."""
    path = Path(out)
    is_folder = path.is_dir() or not path.suffix or str(out).endswith(("/", os.sep))
    suffix = FOLDER if is_folder else path.suffix.lower()
    if suffix not in WRITABLE:
        raise ConfigError(f"{KEY} must end in .npy, .csv or .png, or be a folder for PNGs (got {out})")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{KEY}: {out} cannot be written, because there is no directory {path.absolute().parent}")
    if is_folder:
        with writing(KEY, path):
            if path.is_file() or (path.is_dir() and any(path.iterdir())):
                is_what = "a file" if path.is_file() else "a folder that is not empty"
                raise ConfigError(f"{KEY}: {path} is {is_what}; choose another folder")
    elif path.exists() and not force:
        raise ConfigError(f"{KEY}: {path} already exists; --force replaces it")
    return path, suffix


class _Counted:
    """Iterates over the first n examples of chunks, counts those that are not finite, and shows the progress."""

    def __init__(self, chunks: Iterator[Tensor], n: int) -> None:
        self.chunks, self.n, self.not_finite = chunks, n, 0

    def __iter__(self) -> Iterator[Tensor]:
        done, shown = 0, perf_counter() + SILENT
        while done < self.n:
            chunk = next(self.chunks)[: self.n - done]
            self.not_finite += int((~chunk.isfinite().all(-1)).sum())
            yield chunk
            done += len(chunk)
            if sys.stderr.isatty() and perf_counter() >= shown:
                end = "\r" if done < self.n else "\n"
                print(f"{done:,} of {self.n:,} examples", end=end, file=sys.stderr, flush=True)
                shown = perf_counter() + 0.2 if self.n - done > 2 * ROWS else 0.0
