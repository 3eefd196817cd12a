"""Read images: a folder of image files, and the digits of scikit-learn. Pixels become numbers in [−1, 1]."""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.extras import import_extra
from gaussgan.config.units import gigabytes
from gaussgan.data.checks import check_count
from gaussgan.machine import available_cores, available_memory

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # the only decoders of Pillow that are used
SIXTEEN_BITS = 65_535

log = logging.getLogger(__name__)


def read_images(directory: str | Path, size: int, channels: int, say: Callable[[str], object] = log.info) -> Tensor:
    """Read the images of a directory and its subdirectories, in the order of their paths.

    The names of subdirectories, often classes, are ignored, and so are other files; hidden files and directories are
    skipped. An image is upright as its EXIF data say. If its size is not size × size, the largest square around its
    centre is resized by Pillow's Lanczos filter, which is antialiased. Transparent pixels are put on white. Of an
    animation, the first frame is used. For one channel, colours become grey by the luma of ITU-R 601-2. Grey levels
    of 16 bits keep their precision for one channel.

    Args:
        directory: the directory.
        size: the height and the width of the result.
        channels: 3 for RGB, 1 for grey.
        say: receives one line: the number of images, and how many were changed.

    Returns:
        The images, [n, channels · size · size], channel first, in float32: −1 is black and 1 is white.

    Raises:
        ValueError: when there are fewer than two images, or when one of them cannot be read. The message is one line.
    """
    check_count("data.size", size)
    if type(channels) is not int or channels not in (1, 3):
        raise ConfigError(f"data.channels must be 1 for grey or 3 for RGB (got {channels})")
    top = Path(directory).expanduser()
    if not top.is_dir():
        what = "is a file" if top.exists() else "does not exist"
        raise ConfigError(f"data.path must be a directory of images ({directory} {what})")
    files = [*_files(top)]
    paths = image_paths(top, files)
    if len(paths) < 2:
        raise ConfigError(
            f"data.path: {directory} must have at least 2 images ({', '.join(SUFFIXES)}); it has {len(paths)} in"
            f" {len(files):,} files"
        )
    numbers = len(paths) * channels * size**2
    if 4 * numbers > (limit := available_memory()):
        raise ConfigError(
            f"data.size={size}: {len(paths):,} images need {gigabytes(4 * numbers)} of memory, but this machine has"
            f" only {gigabytes(limit)}"
        )
    images = torch.empty(len(paths), channels, size, size)
    with warnings.catch_warnings(), ThreadPoolExecutor(available_cores()) as pool:
        warnings.simplefilter("ignore")  # of Pillow, about metadata
        said = Counter(
            change
            for changes in pool.map(partial(_read, size=size), paths, images)
            for change in changes
        )  # fmt: skip
    if skipped := len(files) - len(paths):
        said["other files are skipped"] = skipped
    changes = "".join(f"; {count:,} {what}" for what, count in sorted(said.items()))
    say(f"data.path: {directory} has {len(paths):,} images{changes}")
    return images.flatten(1)


def read_digits() -> Tensor:
    """Return the 1,797 handwritten digits of scikit-learn, [1797, 64], in float32 in [−1, 1]; see `load_digits`.

    They are images of 8 × 8 pixels: the test part of Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998,
    UCI). A level v from 0, the paper, to 16, the ink, becomes v / 8 − 1.

    Raises:
        ValueError: when scikit-learn is not installed.
    """
    datasets = import_extra("sklearn.datasets", "data=digits", "scikit-learn", "images")
    return torch.from_numpy(datasets.load_digits().data / 8 - 1).float()


def image_paths(top: Path, files: Iterable[Path] | None = None) -> list[Path]:
    """Return the image files among some files; by default among all in a directory and its subdirectories."""
    return [path for path in (_files(top) if files is None else files) if path.suffix.lower() in SUFFIXES]


def _files(top: Path) -> Iterator[Path]:
    """Yield the files in a directory and its subdirectories that are not hidden, in the order of their paths.

    Links to directories are followed, each directory once. The order is that of Unicode code points on every system.
    """

    def failed(error: OSError) -> None:
        raise ConfigError(f"data.path: cannot read {error.filename} ({error.strerror})") from error

    found, seen = [], set()
    for place, directories, names in os.walk(top, followlinks=True, onerror=failed):
        real = os.path.realpath(place)
        directories[:] = [] if real in seen else sorted(name for name in directories if not name.startswith("."))
        if real not in seen:
            found += [Path(place, name) for name in names if not name.startswith(".")]
        seen.add(real)
    yield from sorted(found, key=lambda path: path.relative_to(top).parts)


def _read(path: Path, out: Tensor, size: int) -> list[str]:
    """Read an image into a tensor, [C, size, size]. Return what was changed, as texts to be counted.

    Raises:
        ConfigError: when the file is not an image, is damaged, or has too many pixels.
    """
    from PIL import Image, ImageOps

    changes = []
    try:
        with Image.open(path, formats=FORMATS) as image:
            pixels, most = image.width * image.height, Image.MAX_IMAGE_PIXELS or 2**62
            if pixels > most:
                raise ValueError(f"it has {pixels:,} pixels, more than {most:,}")
            if getattr(image, "n_frames", 1) > 1:
                changes.append("are animations, of which the first frame is used")
            upright = _levels(ImageOps.exif_transpose(image), grey=len(out) == 1)
        if upright.size != (size, size):
            square = "" if upright.width == upright.height else " after cropping to a square"
            changes.append(f"are resized to {size}×{size}{square}")
            upright = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
    except Exception as error:  # a damaged file may cause any error
        raise ConfigError(f"data.path: {path} is not an image, or is damaged ({one_line(error):.200})") from error
    levels = torch.from_numpy(np.array(upright, np.float32)).reshape(size, size, len(out))
    out.copy_(levels.movedim(-1, 0).div_(127.5).sub_(1).clamp_(-1, 1))
    return changes


def _levels(image: Image, grey: bool) -> Image:
    """Return an image with levels from 0 to 255: as mode RGB, or, if `grey`, as mode L or F."""
    from PIL import Image

    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.float32)
        if levels.min() < 0 or levels.max() > SIXTEEN_BITS:
            raise ValueError(f"its levels must be from 0 to {SIXTEEN_BITS:,} (they are {levels.min()}…{levels.max()})")
        levels *= 255 / SIXTEEN_BITS
        if grey:
            return Image.fromarray(levels)
        return Image.fromarray(np.rint(levels).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("its levels are floats, whose range is unknown")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("L" if grey else "RGB")
