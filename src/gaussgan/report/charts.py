"""What all charts of a report share. A chart is a Plotly figure; the page sets its font and its other colours."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from gaussgan.report.answer import Answer, Setting
from gaussgan.report.values import Value
from gaussgan.report.verdict import number, short_name

COLORS = ("#d1541f", "#3f74d1", "#2a9d74", "#9a5fc9", "#c9971c", "#2a9fb5", "#c94f7c", "#7d8f2b")
GREY = "#8a909a"
SCALE = [[0, "#241a4d"], [0.33, "#7c1f4f"], [0.66, "#d1541f"], [1, "#f3bd48"]]  # from good to bad
DECADE = 10.0
FEW_TICKS = 8


class Chart(NamedTuple):
    """A figure with a title and a sentence that says what it shows."""

    title: str
    caption: str
    figure: go.Figure


def figure_of(traces: Iterable[Any], height: int = 420, **layout: Any) -> go.Figure:
    """Return a figure with the margins and the legend that all charts share."""
    common = {
        "template": "none",
        "height": height,
        "margin": {"l": 60, "r": 16, "t": 16, "b": 56},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hovermode": "closest",
    }
    return go.Figure([*traces], {**common, **layout})


def axis(title: str, values: Iterable[float], ticks: Sequence[float] = (), far: float = 20.0) -> dict[str, Any]:
    """Return an axis, which is logarithmic if the finite values are positive and span more than a factor of `far`.

    Args:
        title: the title of the axis.
        values: the values that the axis has to show.
        ticks: the values at which ticks are wanted, if they are few.
        far: the largest factor between two values that a linear axis shows.
    """
    finite = [value for value in values if math.isfinite(value)]
    log = bool(finite) and min(finite) > 0 and max(finite) >= far * min(finite)
    shown: dict[str, Any] = {"title": {"text": html.escape(title)}, "type": "log" if log else "linear"}
    if 0 < len(ticks) <= FEW_TICKS:
        return {**shown, "tickvals": [*ticks], "ticktext": [f"{tick:.4g}" for tick in ticks]}
    return {**shown, "dtick": "D1" if max(finite) < 100 * min(finite) else 1} if log else shown


def ceiling(values: Iterable[float]) -> float:
    """Return the value at which infinite values are drawn: above all finite ones."""
    finite = [value for value in values if math.isfinite(value)]
    return 1.25 * max(finite) if finite else 1.0


def clipped(values: Iterable[float], top: float) -> list[float | None]:
    """Return values for a figure: infinity becomes `top`, and NaN becomes a gap."""
    return [None if math.isnan(value) else min(value, top) for value in values]


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
    finished = answer.finished
    some = finished if len(finished) <= len(COLORS) else [*finished[: len(COLORS) - 1], finished[-1]]
    labels = [label(answer, setting) for setting in some]
    return [*zip(labels, COLORS, some, strict=False)]


def label(answer: Answer, setting: Setting) -> str:
    """Return the name of a setting for a chart, in which `<` and `&` stand for themselves."""
    if not answer.factors:
        return "all runs"
    if setting is answer.settings[0] and len(answer.factors) > 1:
        return html.escape(", ".join(setting.texts))
    return html.escape(short_name(answer, setting))


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


def log_ticks(values: Sequence[Value]) -> dict[str, list]:
    """Return ticks for the logarithms of some positive numbers, as a dict of Plotly."""
    low, high = (f(math.log10(float(value)) for value in values) for f in (min, max))
    ticks = [m * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
    return {"tickvals": [math.log10(tick) for tick in ticks], "ticktext": [f"{tick:g}" for tick in ticks]}


def add_baseline(figure: go.Figure, answer: Answer, vertical: bool = False) -> None:
    """Draw a dashed line at the median of the baseline, if there is one."""
    if not answer.baseline > 0 or answer.tag != "val/w2":
        return
    line = {"line": {"color": GREY, "dash": "dash", "width": 1.5}, "annotation": {"font": {"color": GREY}}}
    text = f"baseline {number(answer.baseline)}"
    if vertical:
        figure.add_vline(answer.baseline, annotation_text=text, annotation_position="bottom right", **line)
    else:
        figure.add_hline(answer.baseline, annotation_text=text, annotation_position="top left", **line)
