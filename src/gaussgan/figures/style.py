"""The style of all figures: sheet, panels, lines and legends. Functions at the end render and save a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Locator, LogLocator, MaxNLocator, NullLocator
from PIL import Image

from gaussgan.figures.colors import INK, MUTED, PALE

WIDTH, HEIGHT = 11.0, 5.2  # of a sheet, in hundreds of pixels
TOP = 0.945  # the vertical position of the title of a sheet of this height, as a fraction of the sheet
Place = tuple[float, float, float, float]  # left, bottom, width and height of a panel, as fractions of the sheet


def sheet(title: str, left: float = 0.045, width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """Return a figure with only a title, 100 · height pixels high and 100 · width pixels wide.

    Args:
        title: the title.
        left: the horizontal position where the title begins, from 0 (left edge) to 1 (right edge).
        width: the width of the figure, in hundreds of pixels.
        height: the height of the figure, in hundreds of pixels.
    """
    figure = Figure(figsize=(width, height), dpi=100)
    figure.text(left, _top(figure), title, fontsize=11, color=INK)
    return figure


def note(figure: Figure, right: float, text: str, color: str = MUTED) -> None:
    """Write a text on the line of the title. It ends at the position `right`, from 0 (left edge) to 1 (right edge)."""
    figure.text(right, _top(figure), text, fontsize=9, color=color, ha="right")


def _top(figure: Figure) -> float:
    return 1 - (1 - TOP) * HEIGHT / figure.get_figheight()


def panel(figure: Figure, place: Place, caption: str = "") -> Axes:
    """Add axes at a place of a figure. They have two spines, small labels, and a grey caption above their left end."""
    axes = figure.add_axes(place)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK)
    for name in (axes.xaxis.label, axes.yaxis.label):
        name.set(color=INK, fontsize=9)
    if caption:
        axes.set_title(caption, fontsize=9, color=MUTED, loc="left", pad=5)
    return axes


def indented(place: Place) -> Place:
    """Return a place with more space on its left, for long tick labels."""
    left, bottom, width, height = place
    return left + 0.025, bottom, width - 0.025, height


def aspect(place: Place, width: float = WIDTH) -> float:
    """Return the ratio width / height of a panel on a sheet. `width` is the sheet's width in hundreds of pixels."""
    return place[2] * width / (place[3] * HEIGHT)


def background_axes(axes: Axes, label: str = "") -> Axes:
    """Return new axes that share the x axis of the given axes. They have their own y axis on the right, named `label`.

    The new axes are drawn behind the given axes and the legend of the given axes.
    """
    twin = axes.twinx()
    axes.set(zorder=twin.get_zorder() + 1, facecolor="none")
    twin.set_ylabel(label, color=INK, fontsize=9)
    twin.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    twin.spines[:].set_visible(False)
    return twin


def tidy_bar(bar: Colorbar, label: str) -> None:
    """Give a colour bar a label and small tick labels, and remove its outline."""
    bar.set_label(label, color=INK, fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=MUTED)


def crosshair(axes: Axes) -> None:
    """Draw a pale horizontal line and a pale vertical line through the origin."""
    axes.axhline(0, color=PALE, lw=0.8, zorder=-1)
    axes.axvline(0, color=PALE, lw=0.8, zorder=-1)


def level(axes: Axes, y: float, name: str, below: bool = False) -> None:
    """Draw a dashed line at y, and write `name` above or below the line's right end.

    A logarithmic axis has no place for y ≤ 0. Then nothing is drawn.
    """
    if y <= 0 and axes.get_yscale() == "log":
        return
    axes.axhline(y, color=MUTED, lw=1.1, ls="--", zorder=1)
    label(axes, name, (0.99, y), (0, -3 if below else 2), xycoords=("axes fraction", "data"))


def label(
    axes: Axes, text: str, at: tuple[float, float], shift: tuple[int, int], color: str = MUTED, **style: object
) -> None:
    """Write a small text near the point `at`, moved by `shift` (to the right, up) in typographic points."""
    ha, va = "left" if shift[0] > 0 else "right", "bottom" if shift[1] > 0 else "top"
    axes.annotate(text, at, shift, textcoords="offset points", ha=ha, va=va, fontsize=8, color=color, **style)  # type: ignore[arg-type]


def legend(axes: Axes, place: str, title: str = "", veil: bool = False, lines: Sequence[Line2D] | None = None) -> None:
    """Add a legend with a grey title and no outline to the axes. An earlier legend stays.

    Args:
        axes: the axes.
        place: the position, such as "upper left" or "best"; see `loc` of matplotlib's legend.
        title: the title.
        veil: true for a white background that dims the drawing behind the legend.
        lines: the lines of the legend, with their labels; by default, all labelled lines of the axes.
    """
    if (earlier := axes.get_legend()) is not None:
        axes.add_artist(earlier)
    box = axes.legend(  # type: ignore[call-overload]
        handles=lines, frameon=veil, fontsize=9, title=title, title_fontsize=8, alignment="left", loc=place
    )
    box.get_frame().set(facecolor="white", edgecolor="none", alpha=0.85)
    box.get_title().set_color(MUTED)


def seen_of(name: str, n: int, seen: int) -> str:
    """Return the legend entry for n objects called `name`, of which `seen` are visible.

    If some objects are not visible, the entry says how many.
    """
    return name if seen == n else f"{name}\n({n - seen:,} of {n:,}\nnot visible)"


class Unit(NamedTuple):
    """The unit of a coordinate x: what is called `name` is x · scale + shift."""

    name: str
    shift: float = 0.0
    scale: float = 1.0


def in_units(axes: Axes, units: Sequence[Unit]) -> None:
    """Name the x axis, and the y axis if there are two units, and label their ticks with round numbers in the units."""
    for axis, unit in zip((axes.xaxis, axes.yaxis), units, strict=False):
        axis.set_label_text(unit.name)
        if unit[1:] == (0.0, 1.0):
            continue
        low, high = (end * unit.scale + unit.shift for end in axis.get_view_interval())
        ticks = [tick for tick in MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
        axis.set_ticks([(tick - unit.shift) / unit.scale for tick in ticks], [f"{tick:,.6g}" for tick in ticks])


def sparse_ticks(axes: Axes) -> None:
    """Place at most seven ticks on the x axis, so that numbers of six digits do not overlap."""
    axes.locator_params(axis="x", nbins=6)


def decades(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic, with plain numbers as tick labels."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(Decades())
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


class Decades(Locator):
    """Places the ticks of a logarithmic axis. The fewer decades the axis shows, the more ticks each decade has."""

    def __call__(self) -> Sequence[float]:
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        span = np.log10(vmax / vmin)
        if span < 0.5:
            return MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(vmin, vmax)
        if span > 4:
            return LogLocator(numticks=8).tick_values(vmin, vmax)
        return LogLocator(subs=(1, 2, 5) if span > 1.2 else (1, 1.5, 2, 3, 5, 7), numticks=16).tick_values(vmin, vmax)


def render(figure: Figure) -> np.ndarray:
    """Return a figure as an image of bytes, [height, width, RGB]."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def save(image: np.ndarray, path: Path) -> None:
    """Save an image as a PNG file. If the directory of the file does not exist, create it."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)
