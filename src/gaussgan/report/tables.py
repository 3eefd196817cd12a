"""The tables of a report: in the terminal, and sweep.csv."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gaussgan.report.answer import Answer, Setting
from gaussgan.report.collect import RunDirectory
from gaussgan.report.pool import SHOWN
from gaussgan.report.text import bounds, number
from gaussgan.report.values import readable
from gaussgan.runs.files import write_whole

MOST_SETTINGS = 20  # rows of the table in the terminal
MOST_FAILED = 20  # failed runs that are listed in the terminal
CSV = "sweep.csv"
STATUS_ORDER = ("diverged", "pruned", "failed", "interrupted", "running")


def columns(answer: Answer) -> dict[str, list[str]]:
    """Return the columns of the table of settings as texts: what varied, counts, scores, comparisons, other measures.

    A status has a column if a run has it. The column n counts the finished runs, which are completed or diverged.
    """
    settings = answer.settings
    names = [factor.name for factor in answer.factors]
    varied = {name: [setting.texts[i] for setting in settings] for i, name in enumerate(names)}
    statuses = [status for status in STATUS_ORDER if any(setting.statuses[status] for setting in settings)]
    against = [setting.comparison for setting in settings]
    return {
        **(varied or {"setting": ["all runs" for _ in settings]}),
        "n": [f"{setting.n:,}" for setting in settings],
        **{status: [f"{setting.statuses[status]:,}" for setting in settings] for status in statuses},
        "median": [number(setting.median) for setting in settings],
        "10–90%": [_range(setting) for setting in settings],
        "from the best": [_from_best(setting) for setting in settings],
        "p (Holm)": [p_value(each.p) if each and each.runs > 1 else "" for each in against],
        f"P(best {'>' if answer.larger else '<'} this)": [
            f"{each.improvement:.0%}" if each else "" for each in against
        ],
        "IQM": [number(setting.iqm) for setting in settings],
        "efficiency": ["–" if math.isnan(each.efficiency) else f"{each.efficiency:.1%}" for each in settings],
        "loss D": [_loss(setting.losses[0]) for setting in settings],
        "loss G": [_loss(setting.losses[1]) for setting in settings],
        "examples/s": ["–" if math.isnan(setting.speed) else f"{setting.speed:,.0f}" for setting in settings],
    }


def _range(setting: Setting) -> str:
    low, _, high = setting.quantiles
    return "–" if not setting.n else f"{number(low)} – {number(high)}" if low != high else number(low)


def _from_best(setting: Setting) -> str:
    against = setting.comparison
    if against is None:
        return "best" if setting.n else "–"
    known = math.isfinite(against.difference) and against.runs > 1
    return number(against.difference) + (f" {bounds(against.interval)}" if known else "")


def _loss(loss: float) -> str:
    return f"{loss:.3f}".replace("-", "−") if abs(loss) < 1_000 else number(loss)


def p_value(p: float) -> str:
    return "–" if math.isnan(p) else "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def print_answer(answer: Answer, said: Sequence[str], console: Console) -> None:
    """Print one row for each setting, from the best to the worst, and then the answer in sentences.

    If the table is wider than the terminal, its columns are printed in several tables.
    """
    cells = {"#": [str(i + 1) for i in range(len(answer.settings))], **columns(answer)}
    left = len(answer.factors) or 1
    varied, others = [*cells][1 : 1 + left], [*cells][1 + left :]
    parts = [["#", *varied]]
    for name in others:
        if len(parts[-1]) > 1 and _width(cells, [*parts[-1], name]) > console.width:
            parts.append(["#"])
        parts[-1].append(name)
    console.print(
        f"{answer.tag or 'no score yet'}, {'larger' if answer.larger else 'smaller'} is better", highlight=False
    )
    for part in parts:
        table = Table(box=SIMPLE_HEAD)
        for name in part:
            table.add_column(escape(name), justify="left" if name in varied else "right")
        for row in [*zip(*(cells[name] for name in part), strict=True)][:MOST_SETTINGS]:
            table.add_row(*map(escape, row))
        console.print(table)
    if len(answer.settings) > MOST_SETTINGS:
        console.print(f"… and {len(answer.settings) - MOST_SETTINGS:,} more settings\n")
    for sentence in said:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _width(cells: Mapping[str, Sequence[str]], keys: Sequence[str]) -> int:
    return 2 + sum(3 + max(map(len, [key, *cells[key][:MOST_SETTINGS]])) for key in keys)


def print_failed(runs: Sequence[RunDirectory], console: Console) -> None:
    """Print each failed run with its error and its directory."""
    failed = [run for run in runs if run.status == "failed"]
    lines = [f"failed: {run.path}: {run.error}" for run in failed[:MOST_FAILED]]
    if len(failed) > MOST_FAILED:
        lines.append(f"… and {len(failed) - MOST_FAILED:,} more failed runs")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def write_table(frame: pd.DataFrame, answer: Answer, runs: Sequence[RunDirectory], out: Path) -> Path:
    """Write sweep.csv: one row for each run or replica, with what varied, its status, its scores and its directory."""
    places = np.array([readable(os.path.relpath(run.path, out)) for run in runs], dtype=object)
    errors = np.array([run.error or "" for run in runs], dtype=object)
    values = {factor.name: factor.values.to_numpy() for factor in answer.factors}
    own = frame.drop(columns=["run", "score", SHOWN])
    if (own["replica"] < 0).all():
        own = own.drop(columns="replica")
    of_run = {"directory": places[frame["run"]], "error": errors[frame["run"]]}
    table = pd.concat([pd.DataFrame({**values}, index=own.index), own, pd.DataFrame(of_run, index=own.index)], axis=1)
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*(_texts(table[key]) for key in table), strict=True))
    write_whole(out / CSV, text.getvalue().encode(), "report")
    return out / CSV


def _texts(column: pd.Series) -> list[str]:
    """Return the text of each value, as `to_csv` writes it. Each different value becomes a text once, which is fast."""
    codes, different = pd.factorize(column)
    return np.array([*map(str, different.tolist()), ""], dtype=object)[codes].tolist()  # a missing value has code −1
