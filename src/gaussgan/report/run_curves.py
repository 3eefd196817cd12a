"""The curves of a run over its iterations: losses, distances and all other measures of its history."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaussgan.evaluation.scores import score
from gaussgan.evaluation.summary import QUANTILES
from gaussgan.figures.curves import NAMES
from gaussgan.report.run_arrays import pack
from gaussgan.report.run_record import baseline_of, name_of
from gaussgan.runs.history import COUNTS, table, unpack
from gaussgan.runs.record import HISTORY

TOGETHER = {  # charts of several measures: title → (tag, name, colour)
    "losses": (("train/loss_d", "discriminator", "real"), ("train/loss_g", "generator", "fake")),
    "D’s mean verdict": (("train/d_real", "on real", "real"), ("train/d_fake", "on generated", "fake")),
}
LOG_SPAN = 20  # a measure whose largest value is this many times its smallest has a logarithmic axis
MOST_CHARTS = 24

Columns = dict[str, np.ndarray]


def read_columns(directory: Path, checkpoint: Mapping[str, Any] | None) -> Columns:
    """Return the history of a run as columns of numbers, [E] each, for E evaluated epochs; {} without a history.

    The history is that of history.csv. Without the file, it is that of the checkpoint. Empty fields are NaN.

    Raises:
        ValueError: when the file is damaged.
    """
    if (directory / HISTORY).is_file():
        with (directory / HISTORY).open(newline="") as file:
            lines: Sequence[Mapping[str, Any]] = [*csv.DictReader(file)]
    elif checkpoint is not None:
        lines = table(unpack(checkpoint["history"]), {i: at for i, (at, _) in checkpoint["diverged"].items()})
    else:
        return {}
    names = [*dict.fromkeys(name for line in lines for name in line)]
    if lines and "iteration" not in names:
        raise ValueError(f"{HISTORY} has no column iteration")
    rows = [[_number(line.get(name)) for name in names] for line in lines]
    return dict(zip(names, np.array(rows, dtype=float).T, strict=True)) if rows else {}


def _number(value: Any) -> float:
    return math.nan if value in (None, "") else float(value)


def charts(columns: Columns, record: Mapping[str, Any], logistic: bool, moments: Columns) -> list[dict[str, Any]]:
    """Return the charts of a run for the page's script: first the losses, then the score, then all other measures.

    Args:
        columns: the history; see `read_columns`.
        record: the content of metrics.json, for baselines.
        logistic: true to mark log 2, the loss of D, and of a non-saturating G, at the equilibrium.
        moments: the distance at the recorded moments, as the columns "iteration" and the tag; {} if it is not known.
    """
    tags = [name for name in columns if name not in COUNTS and not name.startswith("perf/")]
    tags = [tag for tag in tags if np.isfinite(columns[tag]).any()]
    first = next((tag for tag in moments if tag != "iteration"), None)
    first = first or score(dict.fromkeys(tags, True))
    found = [_together(title, group, columns, tags, logistic) for title, group in TOGETHER.items()]
    used = {tag for group in TOGETHER.values() for tag, *_ in group}
    shown = [chart for chart in found if chart["series"]]
    base = [tag for tag in tags if not _is_part(tag, tags) and not _is_part(tag, [*used]) and tag not in used]
    rest = [_single(tag, columns, record, {}) for tag in base if tag != first]
    own = [_single(first, columns, record, moments)] if first in tags or moments else []
    return [*shown[:1], *own, *shown[1:], *rest][:MOST_CHARTS]


def _is_part(tag: str, tags: Sequence[str]) -> bool:
    """Return whether a column belongs to the chart of another one: a quantile, or the moving average."""
    parents = (tag.removesuffix(f"_{name}") for name in (*QUANTILES, "ema") if tag.endswith(f"_{name}"))
    return any(parent in tags or _is_part(parent, tags) for parent in parents)


def _together(
    title: str, group: Sequence[tuple[str, str, str]], columns: Columns, tags: Sequence[str], logistic: bool
) -> dict[str, Any]:
    series = [_series(name, color, tag, columns) for tag, name, color in group if tag in tags]
    level = {"value": math.log(2), "name": "log 2"} if logistic and title == "losses" else None
    return {"title": title, "log": False, "series": series, "level": level}


def _single(tag: str, columns: Columns, record: Mapping[str, Any], moments: Columns) -> dict[str, Any]:
    """Return the chart of one measure, with its moving average, its quantiles, its baseline and its moments."""
    series = []
    if tag in columns:
        series.append(_series("median and 10–90%" if f"{tag}_p10" in columns else "generator", "ink", tag, columns))
    if f"{tag}_ema" in columns:
        series.append(_series("moving average", "average", f"{tag}_ema", columns, dashed=True))
    if tag in moments:
        recorded = {"x": pack(moments["iteration"]), "y": pack(moments[tag])}
        series.append({"name": "at recorded moments", "color": "muted", "dashed": True, **recorded})
    baseline = baseline_of(record, tag)
    tags = [each for each in (tag, f"{tag}_ema", f"{tag}_p10") if each in columns]
    values = np.concatenate([np.empty(0), *(columns[each] for each in tags)])
    values = values[np.isfinite(values)]
    positive = len(values) > 0 and values.min() > 0 and tag.startswith("val/")
    known = {"value": baseline, "name": "baseline"} if baseline else None
    span = positive and (values.max() > LOG_SPAN * values.min() or (tag in NAMES and bool(moments)))
    return {"title": name_of(tag, record), "tag": tag, "log": bool(span), "series": series, "level": known}


def _series(name: str, color: str, tag: str, columns: Columns, dashed: bool = False) -> dict[str, Any]:
    """Return a curve. For replicas it is the median, with a band from the 10th to the 90th percentile."""
    y = columns.get(f"{tag}_median", columns[tag])
    found = {"name": name, "color": color, "dashed": dashed, "x": pack(columns["iteration"]), "y": pack(y)}
    if f"{tag}_p10" in columns and f"{tag}_p90" in columns:
        found |= {"low": pack(columns[f"{tag}_p10"]), "high": pack(columns[f"{tag}_p90"])}
    return found
