"""Charts of the score over what varied: a curve, a heat map, intervals, or parallel coordinates."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from gaussgan.report.answer import Answer, Setting
from gaussgan.report.charts import (
    COLORS,
    DECADE,
    SCALE,
    Chart,
    add_baseline,
    are_long,
    axis,
    band,
    ceiling,
    clipped,
    faint,
    figure_of,
    hover,
    labels,
    log_ticks,
    logarithm,
    naming,
)  # fmt: skip
from gaussgan.report.importance import importance_charts
from gaussgan.report.text import number
from gaussgan.report.values import Value, in_order, names

MOST_ROWS = 30  # settings in a chart of intervals
MOST_LEVELS = 8  # categories that get a colour each
FEW = 3  # categories whose bands of 10–90% do not hide each other


def effect_charts(answer: Answer) -> list[Chart]:
    """Return the charts that show how the score depends on what varied; an empty list if nothing is to be compared.

    One number gives a curve, one number and one category give a curve for each category, two numbers give a heat map,
    and other settings give intervals. Three and more factors, or many values of two, also give parallel coordinates and
    importances.
    """
    finished = answer.finished
    if len(finished) < 2 or not any(math.isfinite(setting.median) for setting in finished):
        return []
    varied = [i for i in range(len(answer.factors)) if len({setting.values[i] for setting in finished}) > 1]
    numbers = [i for i in varied if all(isinstance(setting.values[i], float) for setting in finished)]
    levels = {i: in_order(setting.values[i] for setting in finished) for i in varied}
    categories = [i for i in varied if i not in numbers]
    full = 2 * len(finished) >= math.prod(len(levels[i]) for i in varied)
    if len(varied) == 1 and numbers:
        return [_curves(answer, numbers[0], {"": finished})]
    if len(varied) == 2 and len(numbers) == 1 and full and len(levels[categories[0]]) <= MOST_LEVELS:
        (category,) = categories
        texts = dict(zip(levels[category], names(levels[category]), strict=True))
        groups = {
            f"{answer.factors[category].name}={text}": [each for each in finished if each.values[category] == value]
            for value, text in texts.items()
        }
        return [_curves(answer, numbers[0], groups), _intervals(answer)]
    if len(varied) == 2 and len(numbers) == 2 and full:
        return [_heat_map(answer, (numbers[0], numbers[1]), levels), _intervals(answer)]
    if len(varied) > 2 or len(numbers) == 2:
        return [*importance_charts(answer, varied, numbers, levels), _intervals(answer)]
    return [_intervals(answer)]


def _curves(answer: Answer, x: int, groups: Mapping[str, Sequence[Setting]]) -> Chart:
    key, traces = answer.factors[x].name, []
    shown = [number_ for setting in answer.finished for number_ in (*setting.quantiles, *setting.interval)]
    top = ceiling(shown)
    for color, (group, settings) in zip(COLORS, groups.items(), strict=False):
        ordered = sorted(settings, key=lambda setting: setting.values[x])
        at = [float(setting.values[x]) for setting in ordered]
        p10, median, p90 = (clipped(values, top) for values in zip(*(each.quantiles for each in ordered), strict=True))
        low, high = (clipped(values, top) for values in zip(*(each.interval for each in ordered), strict=True))
        if any(setting.n > 1 for setting in ordered):
            traces += [band(at, p10, p90, color, group, 0.13)] if len(groups) <= FEW else []
            traces.append(band(at, low, high, color, group, 0.25 if len(groups) <= FEW else 0.15))
        traces.append(
            go.Scatter(
                x=at,
                y=median,
                mode="markers" if len(at) > 40 else "lines+markers",
                line={"color": color, "width": 2.5},
                marker={"color": color, "size": 5 if len(at) > 40 else 8},
                name=html.escape(group),
                legendgroup=group,
                showlegend=bool(group),
                text=[hover(setting) for setting in ordered],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    values = [float(setting.values[x]) for setting in answer.finished]
    y = axis(f"{answer.tag}, median", [*shown, top, answer.baseline])
    figure = figure_of(traces, xaxis=axis(key, values, sorted({*values}), DECADE), yaxis=y)
    add_baseline(figure, answer)
    infinite = f" A curve at the {'lower' if answer.larger else 'upper'} edge is infinite: these runs diverged."
    infinite = infinite if any(map(math.isinf, shown)) else ""
    light = " Light band: from the 10th to the 90th percentile of the runs." if len(groups) <= FEW else ""
    caption = f"Line: median over seeds. {'Dark band' if light else 'Band'}: its 95% interval.{light}{infinite}"
    return Chart(f"{answer.tag} over {key}", caption, figure)


def _heat_map(answer: Answer, axes: tuple[int, int], levels: Mapping[int, list[Value]]) -> Chart:
    x, y = axes
    finished = answer.finished
    cells = {(setting.values[y], setting.values[x]): setting for setting in finished}
    grid = [[cells.get((row, column)) for column in levels[x]] for row in levels[y]]
    z = [[logarithm(each.median) if each and math.isfinite(each.median) else None for each in row] for row in grid]
    known = [value for row in z for value in row if value is not None]
    few = len(levels[x]) <= 12
    figure = figure_of(
        [
            go.Heatmap(
                z=z,
                x=names(levels[x]),
                y=names(levels[y]),
                text=[[number(each.median) if each and few else "" for each in row] for row in grid],
                texttemplate="%{text}",
                customdata=[[hover(each) if each else "no finished run" for each in row] for row in grid],
                hovertemplate="%{customdata}<extra></extra>",
                colorscale=SCALE,
                reversescale=answer.larger,
                colorbar=_decades(known, str(answer.tag)),
                xgap=2,
                ygap=2,
            )
        ],
        height=max(320, 120 + 44 * len(levels[y])),
        xaxis={"title": {"text": html.escape(answer.factors[x].name)}, "type": "category"},
        yaxis={"automargin": True, "title": {"text": html.escape(answer.factors[y].name)}, "type": "category"},
    )
    star = {"text": "★", "showarrow": False, "yshift": 14, "font": {"color": "#ffffff"}}
    best = finished[0].values
    figure.add_annotation(x=levels[x].index(best[x]), y=levels[y].index(best[y]), **star)
    title = f"{answer.tag} over {answer.factors[x].name} and {answer.factors[y].name}"
    return Chart(title, "Each cell is the median over seeds; blue is good, ★ is the best, ∞ means diverged.", figure)


def _intervals(answer: Answer) -> Chart:
    finished = answer.finished
    shown = finished[:MOST_ROWS]
    values = [number_ for setting in shown for number_ in (*setting.quantiles, *setting.interval)]
    top = ceiling(values)
    names_ = labels(answer)[:MOST_ROWS]
    rows = names_ if are_long(answer) else [f"{i + 1}. {name}" for i, name in enumerate(names_)]
    traces = []
    ranges = [setting.quantiles[::2] for setting in shown]
    intervals = [setting.interval for setting in shown]
    styles = (("10–90% of the runs", 3, 0.35, ranges), ("95% interval of the median", 8, 0.55, intervals))
    for name, width, alpha, ends in styles:
        pairs = [(*clipped(each, top), None) for each in ends]
        traces.append(
            go.Scatter(
                x=[value for pair in pairs for value in pair],
                y=[row for row in rows for _ in range(3)],
                mode="lines",
                line={"color": faint(COLORS[0], alpha), "width": width},
                name=name,
                hoverinfo="skip",
            )
        )
    traces.append(
        go.Scatter(
            x=clipped([setting.median for setting in shown], top),
            y=rows,
            mode="markers",
            marker={"color": COLORS[0], "size": 10, "line": {"color": "#ffffff", "width": 1}},
            name="median",
            text=[hover(setting) for setting in shown],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure = figure_of(
        traces,
        height=130 + 30 * len(rows),
        xaxis=axis(str(answer.tag), [*values, top, answer.baseline]),
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
    )
    add_baseline(figure, answer, "x")
    some = f" The best {MOST_ROWS} of {len(finished):,}." if len(finished) > MOST_ROWS else ""
    caption = f"The nearer to the {'right' if answer.larger else 'left'}, the better.{naming(answer)}{some}"
    return Chart("Settings from best to worst", caption, figure)


def _decades(logarithms: Sequence[float], title: str) -> dict:
    ticks = log_ticks([10**value for value in logarithms]) if logarithms else {}
    return {"title": {"text": html.escape(title)}, "thickness": 12, "outlinewidth": 0, **ticks}
