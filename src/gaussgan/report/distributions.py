"""Charts of the runs behind the medians: learning curves, distributions of the score, and performance profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gaussgan.report import statistics
from gaussgan.report.answer import Answer, Setting
from gaussgan.report.charts import (
    COLORS,
    GREY,
    Chart,
    add_baseline,
    add_line,
    axis,
    band,
    ceiling,
    clipped,
    curve,
    figure_of,
    naming,
    selection,
    thinned,
)  # fmt: skip
from gaussgan.report.history import Curve
from gaussgan.report.pool import BASELINE, SHOWN

Group = tuple[str, str, np.ndarray]  # a label, a colour, and rows of the table of all runs


def distribution_charts(answer: Answer, frame: pd.DataFrame, curves: Mapping[int, Curve]) -> list[Chart]:
    """Return the charts of the runs behind the medians of at most eight settings.

    Args:
        answer: the settings.
        frame: the table of all runs, with the column "score".
        curves: the learning curves of the settings of `selection(answer)`, by their index.
    """
    chosen = selection(answer)
    if not chosen or not np.isfinite(frame["score"]).any():
        return []
    charts = [_learning(answer, chosen, curves)] if curves else []
    if all(setting.n == 1 for setting in answer.finished):  # the distribution of one run says nothing
        selected = [("all runs", COLORS[0], np.flatnonzero(frame["score"].notna()))]
    else:
        selected = [(text, color, setting.rows) for text, color, setting in chosen]
    charts.append(_distribution(answer, selected, frame))
    scored = frame["score"].map(math.isfinite)
    if BASELINE in frame and frame.loc[scored, BASELINE].gt(0).any() and not answer.larger:
        charts.append(_profiles(selected, frame, str(answer.tag)))
    return charts


def _learning(answer: Answer, selected: Sequence[tuple[str, str, Setting]], curves: Mapping[int, Curve]) -> Chart:
    shown = [value for each in curves.values() for values in (each.p10, each.median) for value in values.tolist()]
    top = ceiling([*shown, *(value for each in curves.values() for value in each.p90.tolist())])
    traces = []
    for i, each in curves.items():
        text, color, _ = selected[i]
        at = each.iterations.tolist()
        p10, median, p90 = (clipped(values.tolist(), top) for values in (each.p10, each.median, each.p90))
        traces.append(band(at, p10, p90, color, text, 0.12))
        mode = "lines" if len(at) > 1 else "markers"
        traces.append(curve(at, median, color, text, "iteration %{x:,}: %{y:.3g}", 2.5, mode))
    figure = figure_of(
        traces,
        xaxis={"title": {"text": "iteration"}, "rangemode": "tozero"},
        yaxis=axis(str(answer.tag), [*shown, top, answer.baseline], far=8.0),
    )
    add_baseline(figure, answer)
    caption = f"Line: median over seeds. Band: from the 10th to the 90th percentile.{naming(answer)}"
    return Chart("Learning curves", caption, figure)


def _distribution(answer: Answer, groups: Sequence[Group], frame: pd.DataFrame) -> Chart:
    shown = frame[SHOWN].to_numpy()
    traces = [_steps(shown[rows][~np.isnan(shown[rows])], text, color) for text, color, rows in groups]
    known = frame["score"].notna()
    if BASELINE in frame and (floors := frame.loc[known, BASELINE].dropna().to_numpy()).size:
        traces.insert(0, _steps(floors, "baseline", GREY, dash="dot"))
    values = [value for trace in traces for value in np.array(trace.x, dtype=float).tolist()]
    figure = figure_of(
        traces,
        xaxis=axis(str(answer.tag), values, far=8.0),
        yaxis={"title": {"text": "proportion of runs below"}, "tickformat": ".0%", "range": [0, 1.02]},
    )
    caption = (
        "The further right a curve, the better. A curve that begins above 0% has runs that diverged."
        if answer.larger
        else "The further left a curve, the better. A curve that ends below 100% has runs that diverged."
    )
    return Chart("How often is it how good?", caption, figure)


def _steps(values: np.ndarray, text: str, color: str, dash: str = "solid") -> go.Scatter:
    ordered = np.sort(values)
    finite = ordered[np.isfinite(ordered)]
    at = thinned(finite) if len(finite) else np.empty(0, dtype=int)
    below = int((ordered == -math.inf).sum())
    return go.Scatter(
        x=[*finite[at][:1], *finite[at]],
        y=[below / len(ordered), *(at + below + 1) / len(ordered)] if len(at) else [0],
        mode="lines",
        line={"color": color, "width": 2, "shape": "hv", "dash": dash},
        name=text,
        hovertemplate="%{y:.0%} below %{x:.3g}<extra>" + text + "</extra>",
    )


def _profiles(groups: Sequence[Group], frame: pd.DataFrame, tag: str) -> Chart:
    """Draw the performance profiles of Agarwal et al. 2021: the score of each run is divided by its own baseline."""
    ratio = (frame["score"] / frame[BASELINE].where(frame[BASELINE] > 0)).to_numpy()
    of = [(text, color, ratio[rows]) for text, color, rows in groups]
    of = [(text, color, values[~np.isnan(values)]) for text, color, values in of]
    pooled = np.concatenate([values[np.isfinite(values)] for _, _, values in of])
    low, high = (max(1e-6, value) for value in statistics.quantiles(pooled, [0.0, 0.99]))
    limits = np.geomspace(min(1.0, low), max(1.5, high), 120)
    traces = []
    for text, color, values in of:
        if len(values):
            proportion, lower, upper = statistics.profile(values, limits)
            traces.append(band(limits.tolist(), lower.tolist(), upper.tolist(), color, text, 0.14))
            traces.append(curve(limits, proportion, color, text, "%{y:.0%} within %{x:.3g} × baseline", 2))
    figure = figure_of(
        traces,
        xaxis=axis(f"{tag} divided by the baseline of the same run", limits.tolist(), far=8.0),
        yaxis={"title": {"text": "proportion of runs within"}, "tickformat": ".0%", "range": [0, 1.02]},
    )
    add_line(figure, 1.0, "x", "as good as the baseline")
    caption = (
        "The proportion of runs whose error is at most this many times that of maximum likelihood on the same examples"
        ", with 95% bands. If one curve is above another everywhere, its setting is better."
    )
    return Chart("Performance profiles", caption, figure)
