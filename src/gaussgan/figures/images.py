"""Figures of runs on images: samples, their nearest training examples, interpolations, and fixed latents over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from gaussgan.data.tiles import grid_of
from gaussgan.figures.colors import INK, MUTED
from gaussgan.figures.curves import History, draw_history
from gaussgan.figures.film import Part
from gaussgan.figures.style import WIDTH, Place, level, note, panel, sheet

GAP = 1  # white pixels between two images of a sheet
# Of the figure of a single run, in pixels:
EDGE, INNER = 55, 1018  # left of everything, and the width of everything
UPPER, SIDE = 52, 345  # above the samples, and the height of samples and curves
CAPTION, LOWER = 44, 38  # above each strip, and below the last
CURVES_LEFT = 480
LEFT: Place = (0.085, 0.11, 0.47, 0.81)  # of rows of replicas


class Strip(NamedTuple):
    """Rows of images with a name.

    Args:
        name: what they show.
        images: [rows, columns, H, W] or [rows, columns, H, W, 3], with numbers in [0, 1].
        columns: a name for some of the columns, by number.
    """

    name: str
    images: Tensor
    columns: Mapping[int, str] = {}


class Rows(NamedTuple):
    """Samples of replicas, [rows, columns, H, W] or [rows, columns, H, W, 3], and a name for each row."""

    images: Tensor
    names: Sequence[str]


def tiled(images: Tensor, columns: int) -> np.ndarray:
    """Return n images on one white sheet of bytes, in rows, with a white line between two of them. NaN is grey.

    Args:
        images: [n, H, W] or [n, H, W, 3], with numbers in [0, 1].
        columns: the number of images in a row.
    """
    return grid_of((images.double().nan_to_num(0.5) * 255).round().byte().numpy(), columns, GAP)


def show(figure: Figure, place: Place, picture: np.ndarray, caption: str = "") -> tuple[Axes, AxesImage]:
    """Draw a picture of bytes at the left of a place, as large as its proportions allow, without axes."""
    axes = panel(figure, place, caption)
    axes.set_anchor("NW")
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
    image = axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    return axes, image


def images_figure(
    samples: Tensor,
    strips: Sequence[Strip],
    history: History,
    logistic: bool,
    tag: str,
    title: str,
    baseline: float | None = None,
    remark: str = "",
) -> Figure:
    """Draw samples and strips of images, and the losses and a distance over iterations.

    Args:
        samples: n samples, [n, H, W] or [n, H, W, 3], with numbers in [0, 1].
        strips: rows of images, drawn below each other. All have the same number of columns.
        history: rows of measures; see `draw_history`.
        logistic: true to mark the level log 2 of the losses.
        tag: the name of a distance to real images, such as val/frechet.
        title: the text above the figure.
        baseline: the distance of the baseline; None to draw none.
        remark: a grey text on the line of the title.
    """
    pictures = [tiled(strip.images.flatten(0, 1), strip.images.shape[1]) for strip in strips]
    heights = [INNER * picture.shape[0] / picture.shape[1] for picture in pictures]
    wide, high = 100 * WIDTH, UPPER + SIDE + sum(heights) + CAPTION * len(strips) + LOWER
    figure = sheet(title, left=EDGE / wide, height=high / 100)

    def place(left: float, top: float, width: float, height: float) -> Place:
        return left / wide, 1 - (top + height) / high, width / wide, height / high

    show(figure, place(EDGE, UPPER, SIDE, SIDE), tiled(samples, math.isqrt(len(samples) - 1) + 1))
    width, half = EDGE + INNER - CURVES_LEFT, (SIDE - 60) / 2
    tops = (UPPER, UPPER + half + 25)
    curves = place(CURVES_LEFT, tops[0], width, half), place(CURVES_LEFT, tops[1], width, half)
    distance = draw_history(figure, history, logistic, tag, curves)
    if baseline is not None and math.isfinite(baseline):
        level(distance, baseline, f"baseline: {baseline:.3g}")
    note(figure, (EDGE + INNER) / wide, remark)
    top: float = UPPER + SIDE
    for strip, picture, height in zip(strips, pictures, heights, strict=True):
        top += CAPTION
        axes, _ = show(figure, place(EDGE, top, INNER, height), picture, strip.name)
        _name_columns(axes, strip)
        top += height
    return figure


def draw_samples(
    figure: Figure, place: Place, frames: Sequence[Tensor], columns: int, rows: Sequence[str] = ()
) -> Part:
    """Draw the images of a film. Return a function that moves them to a frame, and what it changes.

    Args:
        figure: the figure.
        place: the place of the images.
        frames: the images of each frame, [n, H, W] or [n, H, W, 3], with numbers in [0, 1].
        columns: the number of images in a row.
        rows: names for the rows.
    """
    axes, image = show(figure, place, tiled(frames[0], columns))
    name_rows(axes, rows)

    def update(t: int) -> None:
        image.set_data(tiled(frames[t], columns))

    return update, [axes]


def draw_rows(figure: Figure, rows: Rows) -> None:
    """Draw samples of replicas on the left of a figure, one row for each."""
    axes, _ = show(figure, LEFT, tiled(rows.images.flatten(0, 1), rows.images.shape[1]))
    name_rows(axes, rows.names)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write a name at the left of each row of images."""
    bottom, top = axes.get_ylim()
    height = (bottom - top) / max(len(names), 1)
    axes.set_yticks([top + (i + 0.5) * height for i in range(len(names))], names)
    axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=MUTED)


def _name_columns(axes: Axes, strip: Strip) -> None:
    left, right = axes.get_xlim()
    width = (right - left) / strip.images.shape[1]
    for i, name in strip.columns.items():
        at = (left + (i + 0.5) * width, axes.get_ylim()[0])
        style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 7.5, "color": INK}
        axes.annotate(name, at, (0, -3), textcoords="offset points", annotation_clip=False, **style)
