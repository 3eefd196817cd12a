"""What all figures share: colours, sheet, axes, lines and legends, and the way to an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, LogLocator, MaxNLocator, NullLocator
from PIL import Image

REAL, FAKE, INK, MUTED, PALE = "#1f4e9c", "#d1541f", "#22252a", "#7d838d", "#e4e6ea"
AVERAGE = "#7c1f4f"  # the generator's moving average
# From "generated" through the undecided middle to "real", pale enough to let the points stand out.
PROBABILITY = LinearSegmentedColormap.from_list("probability", ["#f4b58f", "#fdeee2", "#ffffff", "#e3ecf8", "#9dbbe6"])

WIDTH, HEIGHT = 11.0, 5.2  # of a sheet, in hundreds of pixels


def sheet(title: str, left: float = 0.045, width: float = WIDTH) -> Figure:
    """An empty figure, 520 pixels high and 100 times width wide, with a title that starts at left, as its axes do."""
    figure = Figure(figsize=(width, HEIGHT), dpi=100)
    figure.text(left, 0.945, title, fontsize=11, color=INK)
    return figure


def aspect(place: tuple[float, float, float, float], width: float = WIDTH) -> float:
    """Width over height of axes at a place of a sheet: left, bottom, width and height as shares of it."""
    return place[2] * width / (place[3] * HEIGHT)


def render(figure: Figure) -> np.ndarray:
    """A figure as an image, [height, width, RGB], of bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def save(image: np.ndarray, path: Path) -> None:
    """An image as a PNG, in a directory that is made if it is missing."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)


def tidy(axes: Axes) -> None:
    """Two spines, and labels that stay behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(labelsize=8, color=MUTED, labelcolor=INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9)


def caption(axes: Axes, text: str) -> None:
    """What axes show, in grey above their left end."""
    axes.set_title(text, fontsize=9, color=MUTED, loc="left", pad=5)


def tidy_bar(bar: Colorbar, label: str) -> None:
    """A colour bar without an outline."""
    bar.set_label(label, color=INK, fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=MUTED)


def tidy_twin(axes: Axes, label: str) -> None:
    """A second y axis, on the right, that keeps in the background."""
    axes.set_ylabel(label, color=INK, fontsize=9)
    axes.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    axes.spines[:].set_visible(False)


def decades(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis with plain numbers."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(Decades())
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


class Decades(Locator):
    """Ticks of a logarithmic axis: the fewer decades it shows, the more of each."""

    def __call__(self) -> Sequence[float]:
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        span = np.log10(vmax / vmin)
        if span < 0.5:
            return MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(vmin, vmax)
        if span > 4:
            return LogLocator(numticks=8).tick_values(vmin, vmax)
        return LogLocator(subs=(1, 2, 5) if span > 1.2 else (1, 1.5, 2, 3, 5, 7), numticks=16).tick_values(vmin, vmax)


def level(axes: Axes, y: float, name: str, below: bool = False) -> None:
    """A dashed line at y with its name above its right end, or below it."""
    axes.axhline(y, color=MUTED, lw=1.1, ls="--", zorder=1)
    axes.annotate(
        name,
        xy=(0.99, y),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3 if below else 2),
        textcoords="offset points",
        ha="right",
        va="top" if below else "bottom",
        fontsize=8,
        color=MUTED,
    )


def seen_of(name: str, n: int, seen: int) -> str:
    """A legend's entry for n things of which so many are to be seen."""
    return name if seen == n else f"{name}\n({n - seen:,} of {n:,}\nout of sight)"


def legend(axes: Axes, place: str, title: str = "", veil: bool = False) -> None:
    """A legend without a frame, its title in grey; perhaps with a veil over what is drawn beneath it."""
    box = axes.legend(  # type: ignore[call-overload]
        frameon=veil, fontsize=9, title=title, title_fontsize=8, alignment="left", loc=place
    )
    box.get_frame().set(facecolor="white", edgecolor="none", alpha=0.85)
    box.get_title().set_color(MUTED)
