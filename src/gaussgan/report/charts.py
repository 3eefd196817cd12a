"""What all charts of a report share. A chart is a Plotly figure; the page sets its font and its other colours."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from gaussgan.report.answer import Answer, Setting
from gaussgan.report.text import number
from gaussgan.report.values import Value

COLORS = ("#d1541f", "#3f74d1", "#2a9d74", "#9a5fc9", "#c9971c", "#2a9fb5", "#c94f7c", "#7d8f2b")
GREY = "#8a909a"
SCALE = [[0, "#2f6ad0"], [0.4, "#9184c4"], [0.7, "#d98d6e"], [1, "#cf4a16"]]  # from good to bad, on any ground
HEIGHT = 420  # of a chart in pixels
DECADE = 10.0
FEW_TICKS = 8
LONGEST = 40  # characters of a name


class Chart(NamedTuple):
    """A figure with a title and a sentence that says what it shows.

    The width of the figure, if it has one, is its least width. On a narrower screen, a reader scrolls to its right end.
    """

    title: str
    caption: str
    figure: go.Figure


def figure_of(traces: Iterable[Any], height: int = HEIGHT, **layout: Any) -> go.Figure:
    """Return a figure with the margins and the legend that all charts share."""
    common = {
        "template": "none",
        "height": height,
        "margin": {"l": 60, "r": 16, "t": 16, "b": 56},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "tracegroupgap": 0},
        "hovermode": "closest",
    }
    return go.Figure([*traces], {**common, **layout})


def axis(title: str, values: Iterable[float], ticks: Sequence[float] = (), far: float = 20.0) -> dict[str, Any]:
    """Return an axis, which is logarithmic if the finite values are positive and span more than a factor of `far`.

    Args:
        title: the title of the axis.
        values: the values that the axis has to show.
        ticks: the values at which ticks are wanted, in order, if they are few and not too near to each other.
        far: the largest factor between two values that a linear axis shows.
    """
    finite = [value for value in values if math.isfinite(value)]
    shown: dict[str, Any] = {"title": {"text": html.escape(title)}}
    log = bool(finite) and min(finite) > 0 and max(finite) >= far * min(finite)
    at = [math.log10(tick) if log else tick for tick in ticks]
    if 0 < len(at) <= FEW_TICKS and all(b - a > 0.05 * (at[-1] - at[0]) for a, b in pairwise(at)):
        shown |= {"tickvals": [*ticks], "ticktext": [f"{tick:.4g}" for tick in ticks]}
    if not log:
        return shown
    marks = log_ticks(finite)
    low, high = math.log10(min(finite)), math.log10(max(finite))
    margin = 0.04 * (high - low)
    marks["tickvals"] = [10**place for place in marks["tickvals"]]
    return {"type": "log", "range": [low - margin, high + margin], **marks, **shown}


def ceiling(values: Iterable[float]) -> float:
    """Return the value at which infinite values are drawn: above all finite ones, or the largest if all are finite."""
    known = [*values]
    finite = [value for value in known if math.isfinite(value)]
    return max(finite, default=1.0) * (1.25 if math.inf in known else 1)


def clipped(values: Iterable[float], top: float) -> list[float | None]:
    """Return values for a figure: infinity becomes `top`, minus infinity becomes 0, and NaN becomes a gap."""
    return [None if math.isnan(value) else 0.0 if value == -math.inf else min(value, top) for value in values]


def curve(x: Any, y: Any, color: str, text: str, hover: str, width: float, mode: str = "lines") -> go.Scatter:
    """Return the line of a setting whose name is `text`. Its legend entry also hides the setting's `band`."""
    return go.Scatter(
        x=x,
        y=y,
        mode=mode,
        line={"color": color, "width": width},
        name=text,
        legendgroup=text,
        hovertemplate=f"{hover}<extra>{text}</extra>",
    )


def band(
    x: Sequence[float], low: Sequence[Any], high: Sequence[Any], color: str, group: str, alpha: float
) -> go.Scatter:
    """Return a filled region between two curves."""
    return go.Scatter(
        x=[*x, *reversed(x)],
        y=[*low, *reversed(high)],
        fill="toself",
        fillcolor=faint(color, alpha),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=group,
        mode="lines",
    )


def faint(color: str, alpha: float) -> str:
    """Return a colour such as #d1541f with an opacity between 0 and 1."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def selection(answer: Answer) -> list[tuple[str, str, Setting]]:
    """Return the settings that one chart can show, each with a label and a colour: the best ones and the worst one."""
    finished, names = answer.finished, labels(answer)
    few = len(finished) <= len(COLORS)
    places = range(len(finished)) if few else [*range(len(COLORS) - 1), len(finished) - 1]
    return [(names[i], color, finished[i]) for i, color in zip(places, COLORS, strict=False)]


def labels(answer: Answer) -> list[str]:
    """Return the values of each finished setting as a name for a chart, in which `<` and `&` stand for themselves.

    If some of these names are too long, return the place of each setting in the table instead.
    """
    if are_long(answer):
        return [f"setting {i + 1}" for i in range(len(answer.finished))]
    return [html.escape(", ".join(setting.texts) or "all runs") for setting in answer.finished]


def are_long(answer: Answer) -> bool:
    """Return whether the values of a setting are too long for a chart."""
    return any(len(", ".join(setting.texts)) > LONGEST for setting in answer.finished)


def naming(answer: Answer) -> str:
    """Return a sentence that says what the names of the settings consist of; "" if one thing varied."""
    if are_long(answer):
        return " The numbers are those of the table."
    names = ", ".join(factor.name for factor in answer.factors)
    return f" The names are the values of {names}." if len(answer.factors) > 1 else ""


def hover(setting: Setting) -> str:
    """Return the text that a chart shows when the mouse is over a setting."""
    p10, median, p90 = map(number, setting.quantiles)
    lines = [setting.name or "all runs", f"median {median}, 10–90%: {p10} to {p90}", f"{setting.n:,} runs"]
    if setting.statuses["diverged"]:
        lines.append(f"{setting.statuses['diverged']:,} diverged")
    return "<br>".join(map(html.escape, lines))


def thinned(values: np.ndarray, most: int = 400) -> np.ndarray:
    """Return the indices of at most `most` evenly spaced entries, with the first and the last one."""
    return np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))


def log_ticks(values: Sequence[Value]) -> dict[str, list[Any]]:
    """Return ticks for the logarithms of some positive numbers, as a dict of Plotly."""
    low, high = (f(math.log10(float(value)) for value in values) for f in (min, max))
    steps, every = (1, 2, 5) if high - low < 2.5 else (1,), 1 + int((high - low) / 8)
    exponents = range(math.floor(low), math.ceil(high) + 1, every)
    ticks = [step * 10.0**exponent for exponent in exponents for step in steps]
    ticks = [tick for tick in ticks if low - 0.05 <= math.log10(tick) <= high + 0.05]
    return {"tickvals": [math.log10(tick) for tick in ticks], "ticktext": [f"{tick:g}" for tick in ticks]}


def logarithm(score: float) -> float:
    """Return the decimal logarithm of a score; of 10⁻⁶ if the score is smaller, because it may be 0."""
    return math.log10(max(score, 1e-6))


def add_baseline(figure: go.Figure, answer: Answer, which: str = "y") -> None:
    """Draw a dashed line at the median of the baseline, if there is one, across the axis x or y."""
    if not answer.baseline > 0:
        return
    add_line(figure, answer.baseline, which, f"baseline {number(answer.baseline)}")


def add_line(figure: go.Figure, value: float, which: str, text: str = "") -> None:
    """Draw a dashed line at a value of the axis x or y, with a text."""
    other = "x" if which == "y" else "y"
    ends = {f"{which}0": value, f"{which}1": value, f"{other}0": 0, f"{other}1": 1, f"{other}ref": f"{other} domain"}
    figure.add_shape(type="line", layer="below", line={"color": GREY, "dash": "dash", "width": 1.5}, **ends)
    place = math.log10(value) if figure.layout[f"{which}axis"].type == "log" else value  # as Plotly wants it
    at = {which: place, other: 0, f"{other}ref": f"{other} domain"}
    style = {"showarrow": False, "font": {"color": GREY, "size": 12}, "xanchor": "left", "yanchor": "bottom"}
    figure.add_annotation(text=text, **at, **style)
