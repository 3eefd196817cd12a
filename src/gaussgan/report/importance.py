"""Charts for many settings: which ones matter, and parallel coordinates."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gaussgan.report import statistics
from gaussgan.report.answer import Answer, Setting
from gaussgan.report.charts import COLORS, DECADE, FEW_TICKS, SCALE, Chart, figure_of, log_ticks, logarithm
from gaussgan.report.values import Value, names

MOST_LINES = 2_000  # settings in parallel coordinates
DIMENSION = 110  # least width of an axis of parallel coordinates in pixels
BINS = 5  # groups of a number with many values


def importance_charts(
    answer: Answer, varied: Sequence[int], numbers: Sequence[int], levels: Mapping[int, list[Value]]
) -> list[Chart]:
    """Return a chart of the importance of each factor, and one of all settings as parallel coordinates.

    Args:
        answer: the settings.
        varied: the indices of the factors that varied.
        numbers: the indices of those that are numbers.
        levels: the values of each factor, in order.
    """
    drawn = [setting for setting in answer.finished if math.isfinite(setting.median)][:MOST_LINES]
    return [_importance(answer, varied, numbers), _parallel(answer, drawn, varied, numbers, levels)]


def _importance(answer: Answer, varied: Sequence[int], numbers: Sequence[int]) -> Chart:
    finished = answer.finished
    scores = np.concatenate([setting.scores for setting in finished])
    counts = [setting.n for setting in finished]
    shares = []
    for i in varied:
        values = [setting.values[i] for setting in finished]
        _, codes = np.unique(np.array([str(value) for value in values]), return_inverse=True)
        if i in numbers and codes.max() >= BINS:
            ranked = np.argsort(np.argsort(np.array(values, dtype=float), kind="stable"))
            codes = ranked * BINS // len(ranked)
        shares.append((statistics.share_explained(np.repeat(codes, counts), scores), answer.factors[i].name))
    shares.sort()
    figure = figure_of(
        [
            go.Bar(
                x=[share for share, _ in shares],
                y=[html.escape(key) for _, key in shares],
                orientation="h",
                marker={"color": COLORS[1]},
                text=[f"{share:.0%}" for share, _ in shares],
                textposition="outside",
                cliponaxis=False,
                hoverinfo="skip",
            )
        ],
        height=110 + 34 * len(shares),
        xaxis={
            "tickformat": ".0%",
            "range": [0, 1.2 * max(0.01, shares[-1][0])],
            "title": {"text": "share of variance explained"},
        },
        yaxis={"automargin": True, "type": "category"},
    )
    caption = (
        "The share of the variance of the scores' ranks that each setting explains alone (ε² of Kruskal and Wallis;"
        f" numbers with many values are cut into {BINS} groups). Effects that need two settings are not seen."
    )
    return Chart("What matters", caption, figure)


def _parallel(
    answer: Answer,
    drawn: Sequence[Setting],
    varied: Sequence[int],
    numbers: Sequence[int],
    levels: Mapping[int, list[Value]],
) -> Chart:
    medians = [logarithm(setting.median) for setting in drawn]
    dimensions = [
        {
            "label": html.escape(answer.factors[i].name),
            **_dimension([each.values[i] for each in drawn], levels[i], i in numbers),
        }
        for i in varied
    ]
    ticks = log_ticks([10**each for each in medians])
    dimensions.append({"label": html.escape(str(answer.tag)), "values": medians, **ticks})
    line = {"color": medians, "colorscale": SCALE, "reversescale": answer.larger, "showscale": False}
    figure = figure_of(
        [go.Parcoords(line=line, dimensions=dimensions)],
        width=DIMENSION * len(dimensions),
        margin={"l": 110, "r": 50, "t": 60, "b": 30},
    )
    some = f" The best {MOST_LINES:,} settings." if len(drawn) == MOST_LINES else ""
    caption = (
        f"A line is a setting; blue is good. Drag along an axis to choose lines. Diverged settings are left out.{some}"
    )
    return Chart("All settings", caption, figure)


def _dimension(values: Sequence[Value], levels: Sequence[Value], numeric: bool) -> dict[str, Any]:
    """Return the values of one axis. It is logarithmic for positive numbers that span a decade."""
    if not numeric:
        place = {value: i for i, value in enumerate(levels)}
        return {"values": [place[each] for each in values], "tickvals": [*place.values()], "ticktext": names(levels)}
    known = [float(value) for value in values]
    log = min(known) > 0 and max(known) >= DECADE * min(known)
    at = [math.log10(value) if log else value for value in known]
    if len({*known}) <= FEW_TICKS:
        ticks = dict(sorted(zip(at, known, strict=True)))
        return {"values": at, "tickvals": [*ticks], "ticktext": [f"{tick:.4g}" for tick in ticks.values()]}
    return {"values": at, **(log_ticks(values) if log else {})}
