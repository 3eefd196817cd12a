"""Lay out images beside each other."""

from __future__ import annotations

from math import ceil

import numpy as np


def grid_of(images: np.ndarray, columns: int, gap: int) -> np.ndarray:
    """Return n images of bytes on one white picture, row by row.

    Args:
        images: the images, [n, H, W] or [n, H, W, 3].
        columns: the number of images in a row.
        gap: the number of white pixels between two images.
    """
    height, width = images.shape[1] + gap, images.shape[2] + gap
    rows = ceil(len(images) / columns)
    picture = np.full((rows * height - gap, columns * width - gap, *images.shape[3:]), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        picture[top : top + height - gap, left : left + width - gap] = image
    return picture
