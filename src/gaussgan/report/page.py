"""Write report.html: one page with everything in it, which needs no network."""

from __future__ import annotations

import json
import math
import shlex
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from os import fsencode
from os.path import relpath
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gaussgan.config.compile_mode import MODES
from gaussgan.report.answer import Answer
from gaussgan.report.charts import HEIGHT, Chart
from gaussgan.report.collect import OVERRIDES, Found, RunDirectory, described
from gaussgan.report.finals import Final
from gaussgan.report.pool import BASELINE, SHOWN
from gaussgan.report.tables import columns
from gaussgan.report.text import counted, number
from gaussgan.report.values import readable
from gaussgan.runs.files import write_whole

PAGE = "report.html"
MOST_SETTINGS = 200  # settings in the page's table
ALL_RUNS = 5_000  # if there are more runs, the page lists only some of them
SOME_RUNS = 300  # number of the best, of the worst, and of the unfinished runs that it then lists
LONGEST = 4_000  # characters of a command that the page shows


class Section(NamedTuple):
    """A part of the page with charts of its own, such as a search.

    Args:
        title: its title.
        paragraphs: what stands before the charts.
        charts: the charts, in order.
        sentences: what the search found. They stand at the top of the page, in place of the answer.
    """

    title: str
    paragraphs: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    sentences: Sequence[str] = ()


class Contents(NamedTuple):
    """What the page shows.

    Args:
        found: the run directories.
        frame: the table of all runs, with the column "score".
        answer: the settings, from the best to the worst.
        sentences: the answer in sentences.
        charts: the charts, in order.
        finals: the final figures of some runs.
        sections: further parts, which come after the sentences.
    """

    found: Found
    frame: pd.DataFrame
    answer: Answer
    sentences: Sequence[str]
    charts: Sequence[Chart]
    finals: Sequence[Final]
    sections: Sequence[Section]


def write_page(out: Path, contents: Contents, name: str = PAGE) -> Path:
    """Write the page about some runs to the directory `out`, as the file `name`. Return its path."""
    found, frame, answer = contents.found, contents.frame, contents.answer
    owner = np.full(len(frame), -1)  # the index of the setting of each row
    for i, setting in enumerate(answer.settings):
        owner[setting.rows] = i
    listed, note = _listed(frame)
    used = [found.runs[i] for i in frame["run"].unique()]
    places = {run.path: (readable(relpath(run.path, out.parent)), _link(run, out)) for run in used}
    first = [sentence for section in contents.sections for sentence in section.sentences]
    text = environment().get_template(PAGE).render(
        plotly=Markup(get_plotlyjs()),
        made=f"{datetime.now():%Y-%m-%d %H:%M}",
        said=first or contents.sentences,
        pooled=contents.sentences if first else [],
        counts=f"{len(frame):,} runs: {counted(frame['status'].value_counts().to_dict())}",
        skipped=described(found.skipped),
        settings={name: texts[:MOST_SETTINGS] for name, texts in columns(answer).items()},
        varied=len(answer.factors) or 1,
        numbered=len(answer.factors) > 1,
        rows=len(answer.settings),
        more_settings=max(0, len(answer.settings) - MOST_SETTINGS),
        tag=answer.tag,
        charts=[*map(_drawn, contents.charts)],
        sections=[(each.title, each.paragraphs, [*map(_drawn, each.charts)]) for each in contents.sections],
        finals=[_final(final, contents, owner, places) for final in contents.finals],
        failed=[(*places[run.path], run.error) for run in used if run.status == "failed"],
        runs=_runs(contents, owner, places, listed),
        runs_note=note,
        replicas=bool((frame["replica"] >= 0).any()),
        common=_common(used),
    )  # fmt: skip
    write_whole(out / name, text.encode(errors="replace"), "report")
    return out / name


def _listed(frame: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Return the rows that the page lists, from the best to the worst, and a sentence if these are not all."""
    score = frame["score"].to_numpy()
    ranked = np.argsort(score, kind="stable")
    if len(ranked) <= ALL_RUNS:
        return ranked, ""
    finite = ranked[np.isfinite(score[ranked])]
    others = ranked[len(finite) :]
    best, worst = finite[:SOME_RUNS], finite[SOME_RUNS:][-SOME_RUNS:]
    note = (
        f"Of {len(ranked):,} runs, this table lists the best {len(best):,}, the worst {len(worst):,}, and"
        f" {min(len(others), SOME_RUNS):,} of the {len(others):,} that diverged or are not finished. sweep.csv has all."
    )
    return np.concatenate([best, worst, others[:SOME_RUNS]]), note


def _runs(
    contents: Contents, owner: np.ndarray, places: Mapping[Path, tuple[str, str]], listed: np.ndarray
) -> dict[str, Any]:
    """Return the table of the listed runs as plain lists, for the page's script."""
    frame, answer, runs = contents.frame, contents.answer, contents.found.runs
    used = [*dict.fromkeys(frame["run"].to_numpy()[listed].tolist())]
    place = {i: j for j, i in enumerate(used)}
    of = {key: frame[key].to_numpy()[listed].tolist() for key in ("run", "replica", "seed", "status", SHOWN)}
    floor = frame[BASELINE].to_numpy()[listed].tolist() if BASELINE in frame else [math.nan] * len(listed)
    varied, tagged = [factor.name for factor in answer.factors], any(runs[i].tags for i in used)
    replicas = any(replica >= 0 for replica in of["replica"])
    rows = [
        [
            place[run], *(answer.settings[own].texts if own >= 0 else ["unknown"] * len(varied)), _plain(seed),
            *([replica if replica >= 0 else None] if replicas else []), status,
            "∞" if math.isinf(score) else _plain(score), _plain(mle), *([", ".join(runs[run].tags)] if tagged else []),
        ]
        for own, run, replica, seed, status, score, mle in zip(owner[listed].tolist(), *of.values(), floor, strict=True)
    ]  # fmt: skip
    return {
        "columns": [
            *varied,
            "seed",
            *(["replica"] if replicas else []),
            "status",
            answer.tag or "score",
            "baseline",
            *(["tags"] if tagged else []),
        ],
        "rows": rows,
        "runs": [[*places[runs[i].path], command(runs[i])] for i in used],
        "errors": [runs[i].error for i in used],
    }


def command(run: RunDirectory) -> str:
    """Return the exact command that makes the same run again, quoted for a shell; "" if it is not known.

    The command gives the mode of the run, because `auto` may choose another one for this run alone.
    """
    if not (run.path / OVERRIDES).exists():
        return ""
    mode = run.settings.get("compile")
    lines = [line for line in run.overrides if mode not in MODES or line.lstrip("+").partition("=")[0] != "compile"]
    text = shlex.join(["python", "scripts/train.py", *lines, *([f"compile={mode}"] if mode in MODES else [])])
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… (all of it: {readable(str(run.path / OVERRIDES))})"


def _final(
    final: Final, contents: Contents, owner: np.ndarray, places: Mapping[Path, tuple[str, str]]
) -> dict[str, Any]:
    row, answer = contents.frame.iloc[final.row], contents.answer
    place, link = places[contents.found.runs[int(row["run"])].path]
    name = answer.settings[owner[final.row]].name if owner[final.row] >= 0 else ""
    parts = [*filter(None, [name]), f"seed {_plain(row['seed'])}", f"{answer.tag} {number(row[SHOWN])}"]
    return {
        "name": final.name,
        "caption": ", ".join(parts),
        "place": f"{place}, replica {row['replica']}" if row["replica"] >= 0 else place,
        "link": link,
        "image": final.png and f"data:image/png;base64,{b64encode(final.png).decode()}",
        "problem": final.problem,
    }


def _common(runs: Sequence[RunDirectory]) -> dict[str, str]:
    """Return the settings that are the same in all runs, as texts."""
    known = [run.settings for run in runs if run.settings]
    shared = known[0] if known else {}
    texts = {key: json.dumps(value, default=str) for key, value in shared.items() if key not in ("seed", "data.seed")}
    return {
        key: text.strip('"') if len(text) < 300 else f"{text[:300]}…"
        for key, text in texts.items()
        if all(each.get(key) == shared[key] for each in known)
    }


def _link(run: RunDirectory, out: Path) -> str:
    """Return the path from the page to a run's directory as a URL, in which no part can be read as a scheme."""
    return f"./{quote(fsencode(relpath(run.path, out)))}/"


def _plain(value: Any) -> Any:
    """Return a number as JSON has it: a whole number without a point, and null for NaN and infinity."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(f"{value:.6g}")


def _drawn(chart: Chart) -> dict[str, Any]:
    layout = chart.figure.layout
    return {
        "title": chart.title,
        "caption": chart.caption,
        "height": layout.height or HEIGHT,
        "least_width": layout.width or 0,
        "json": _json(chart.figure),
    }


def _json(figure: Any) -> Markup:
    """Return a figure as JSON that can stand inside a script element."""
    text: str = figure.to_json()
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def environment() -> jinja2.Environment:
    """Return the templates of the pages. Every value in them is escaped."""
    loader = jinja2.PackageLoader("gaussgan.report")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["zip"] = lambda cells: zip(*cells, strict=True)
    return environment
