"""The examples of a run in the units of its file: sheets of images, and the axes of a plane."""

from __future__ import annotations

import math
from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from gaussgan.data.layout import Layout
from gaussgan.figures.images import tiled
from gaussgan.report.run_frames import Frames
from gaussgan.runs.frames import best_samples

SMALL = 24_000  # bytes of a sheet; a larger one is saved as JPEG


def image_sheets(frames: Frames, layout: Layout) -> dict[str, Any]:
    """Return a sheet of the generated images at each moment, and one of real images, as data URIs.

    The images are those of the generator's moving average if there is one. Replicas have one row of images each.
    """

    def sheet(x: Tensor, columns: int) -> str:
        return _uri(tiled(layout.pixels(x), columns))

    real = frames.real
    each = best_samples(frames._asdict())
    samples = each.flatten(1, 2) if frames.replicas else each
    n = samples.shape[1]
    columns = each.shape[2] if frames.replicas else math.isqrt(n - 1) + 1
    return {
        "kind": "images",
        "sheets": [sheet(x, columns) for x in samples],
        "real": sheet(real[:n], columns),
        "columns": columns,
        "by": "the moving average" if frames.samples_ema.numel() else "the generator",
    }


def _uri(pixels: np.ndarray) -> str:
    file, image = BytesIO(), Image.fromarray(pixels)
    image.save(file, "png", optimize=True)
    kind = "png"
    if file.tell() > SMALL:
        file, kind = BytesIO(), "jpeg"
        image.save(file, "jpeg", quality=88)
    return f"data:image/{kind};base64,{b64encode(file.getvalue()).decode()}"


def units(frames: Frames, layout: Layout | None) -> list[dict[str, Any]]:
    """Return the name, shift and scale of each axis: a coordinate u is u · scale + shift in the units of the file."""
    if frames.dim > 2:
        names = ("first principal axis", "second principal axis")
        return [{"name": name, "shift": 0.0, "scale": 1.0} for name in names]
    if layout is not None:
        return [
            {"name": name, "shift": shift, "scale": scale}
            for name, shift, scale in zip(layout.names, layout.shift.tolist(), layout.scale.tolist(), strict=True)
        ]
    plain = ("x",) if frames.dim == 1 else ("x₁", "x₂")
    return [{"name": name, "shift": 0.0, "scale": 1.0} for name in plain]
