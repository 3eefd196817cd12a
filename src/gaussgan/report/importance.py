"""Charts for many settings: which ones matter, and parallel coordinates."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gaussgan.report import statistics
from gaussgan.report.answer import Answer
from gaussgan.report.charts import COLORS, DECADE, SCALE, Chart, figure_of, log_ticks
from gaussgan.report.values import Value, names

MOST_LINES = 2_000  # settings in parallel coordinates
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
    return [_importance(answer, varied, numbers), _parallel(answer, varied, numbers, levels)]


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
        xaxis={"tickformat": ".0%", "rangemode": "tozero", "title": {"text": "share of variance explained"}},
        yaxis={"automargin": True, "type": "category"},
    )
    caption = (
        "The share of the variance of the scores' ranks that each setting explains alone (ε² of Kruskal and Wallis;"
        f" numbers with many values are cut into {BINS} groups). Effects that need two settings are not seen."
    )
    return Chart("What matters", caption, figure)


def _parallel(
    answer: Answer, varied: Sequence[int], numbers: Sequence[int], levels: Mapping[int, list[Value]]
) -> Chart:
    drawn = [setting for setting in answer.finished if 0 < setting.median < math.inf][:MOST_LINES]
    medians = [math.log10(setting.median) for setting in drawn]
    dimensions: list[dict[str, Any]] = []
    for i in varied:
        values = [setting.values[i] for setting in drawn]
        positive = i in numbers and min(map(float, values)) > 0
        if positive and max(map(float, values)) >= DECADE * min(map(float, values)):
            dimensions.append({"values": [math.log10(float(each)) for each in values], **log_ticks(values)})
        elif i in numbers:
            dimensions.append({"values": [float(each) for each in values]})
        else:
            place = {value: j for j, value in enumerate(levels[i])}
            ticks = {"tickvals": [*place.values()], "ticktext": names(levels[i])}
            dimensions.append({"values": [place[each] for each in values], **ticks})
        dimensions[-1]["label"] = html.escape(answer.factors[i].name)
    dimensions.append({"values": medians, "label": html.escape(str(answer.tag)), **log_ticks([10**m for m in medians])})
    line = {"color": medians, "colorscale": SCALE, "showscale": False}
    figure = figure_of(
        [go.Parcoords(line=line, dimensions=dimensions)], height=420, margin={"l": 70, "r": 50, "t": 60, "b": 30}
    )
    some = f" The best {MOST_LINES:,} settings." if len(drawn) == MOST_LINES else ""
    caption = (
        f"A line is a setting; dark is good. Drag along an axis to choose lines. Diverged settings are left out.{some}"
    )
    return Chart("All settings", caption, figure)
