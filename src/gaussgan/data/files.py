"""Given examples as data modules: the rows of a file, images of a directory, digits.

Reading is in `tables` and `image_files`, the split into parts in `examples`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from gaussgan.data.datamodule import DataModule
from gaussgan.data.examples import Examples
from gaussgan.data.image_files import image_paths, read_digits, read_images
from gaussgan.data.tables import fingerprint, read_table

Columns = Sequence[str | int]
KEPT = 2  # number of sets of examples that are kept, because the jobs of a sweep share them
_known: dict[Any, Examples] = {}


def file_data(
    path: str,
    columns: Columns | None = None,
    exclude: Columns | None = None,
    key: str | None = None,
    standardize: bool = True,
    shape: Sequence[int] | None = None,
    holdout: float = 0.2,
    split_seed: int = 0,
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
        shape: [C, H, W] if a row is an image.
        holdout: the proportion of the rows that is held out.
        split_seed: the seed of the split.
        num_examples: the number of rows to train on; None for all that are not held out.
        module: the other arguments of `DataModule`.

    Raises:
        ValueError: when the file cannot be read, or when its rows do not suffice. The message is one line.
    """
    kept = None if shape is None else tuple(shape)
    texts = tuple(each if isinstance(each, str | None) else tuple(each) for each in (columns, exclude))

    def read() -> Examples:
        table = read_table(path, columns, exclude, key)
        mark = fingerprint(table.rows)
        return Examples(
            table.rows,
            table.names,
            path,
            mark,
            holdout,
            split_seed,
            num_examples,
            standardize,
            kept,  # type: ignore[arg-type]
        )

    what = (path, *texts, key, standardize, kept, holdout, split_seed, num_examples)
    return _module(read, what, _stamp(Path(path).expanduser()), module)


def image_folder_data(
    path: str,
    size: int,
    channels: int,
    shape: Sequence[int],
    holdout: float = 0.2,
    split_seed: int = 0,
    num_examples: int | None = None,
    **module: Any,
) -> DataModule:
    """Return a data module with the images of a directory; see `read_images` and `Examples`.

    Args:
        path: the directory. Its subdirectories are searched, too.
        size: the height and the width to which images are cut and resized.
        channels: 1 for grey, 3 for colours.
        shape: [channels, size, size].
        holdout: the proportion of the images that is held out.
        split_seed: the seed of the split.
        num_examples: the number of images to train on; None for all that are not held out.
        module: the other arguments of `DataModule`.

    Raises:
        ValueError: when the images cannot be read, or do not suffice. The message is one line.
    """
    whole = (channels, size, size)
    if tuple(shape) != whole:
        raise ValueError(f"data.shape must be {[*whole]}, from data.channels and data.size (got {[*shape]})")

    def read() -> Examples:
        said: list[str] = []
        pixels = read_images(path, size, channels, said.append)
        return _images(pixels, 255, path, whole, holdout, split_seed, num_examples, *said)

    what = (path, size, channels, holdout, split_seed, num_examples)
    return _module(read, what, _stamp(Path(path).expanduser()), module)


def digits_data(
    shape: Sequence[int],
    holdout: float = 0.2,
    split_seed: int = 0,
    num_examples: int | None = None,
    **module: Any,
) -> DataModule:
    """Return a data module with the 1,797 handwritten digits of scikit-learn, images of 8 × 8; see `Examples`.

    They are the test set of Alpaydin and Kaynak 1998, doi:10.24432/C50P49.

    Args:
        shape: [1, 8, 8].
        holdout: the proportion of the digits that is held out.
        split_seed: the seed of the split.
        num_examples: the number of digits to train on; None for all that are not held out.
        module: the other arguments of `DataModule`.

    Raises:
        ValueError: when scikit-learn is not installed, or when the digits do not suffice. The message is one line.
    """
    if tuple(shape) != (1, 8, 8):
        raise ValueError(f"data.shape must be [1, 8, 8] for digits (got {[*shape]})")

    def read() -> Examples:
        return _images(read_digits(), 16, "digits", (1, 8, 8), holdout, split_seed, num_examples)

    return _module(read, ("digits", holdout, split_seed, num_examples), None, module)


def _images(
    pixels: Tensor,
    white: float,
    source: str,
    shape: tuple[int, int, int],
    holdout: float,
    split_seed: int,
    limit: int | None,
    note: str = "",
) -> Examples:
    """Return images as examples.

    Args:
        pixels: the images, with numbers from −1 to 1, [n, d].
        white: the value of white in the file; black is 0.
    """
    rows = (pixels + 1) * (white / 2)
    names = tuple(f"pixel {i}" for i in range(pixels.shape[-1]))
    mark = fingerprint(pixels)
    return Examples(rows, names, source, mark, holdout, split_seed, limit, shape=shape, pixels=(0, white), note=note)


def _module(read: Callable[[], Examples], what: tuple[Any, ...], stamp: Any, module: dict[str, Any]) -> DataModule:
    """Return a data module with examples.

    Args:
        read: reads the examples. It is not called if they are still known.
        what: all arguments of `read`.
        stamp: what changes when the files change.
        module: the other arguments of `DataModule`.
    """
    key = (what, stamp)
    if key not in _known:
        while len(_known) >= KEPT:
            del _known[next(iter(_known))]
        _known[key] = read()
    examples = _known[key]
    return DataModule(distribution=examples, num_examples=len(examples.train), **module)


def _stamp(path: Path) -> Any:
    """Return what changes when a file, or a file in a directory, changes; None if there is no such path."""
    try:
        if not path.is_dir():
            status = path.stat()
            return str(path.resolve()), status.st_mtime_ns, status.st_ctime_ns, status.st_size
        return tuple((str(each), each.stat().st_mtime_ns, each.stat().st_size) for each in image_paths(path))
    except (OSError, ValueError):  # reading it raises the error
        return None
