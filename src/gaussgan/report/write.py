"""Write the report about some runs: tables in the terminal, sweep.csv and report.html."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich.console import Console

from gaussgan.config.compile_mode import MODES
from gaussgan.report.answer import Answer
from gaussgan.report.charts import Chart, selection
from gaussgan.report.collect import Found, described, find_runs
from gaussgan.report.compare import compare
from gaussgan.report.distributions import distribution_charts
from gaussgan.report.effects import effect_charts
from gaussgan.report.factors import find_factors
from gaussgan.report.filters import chosen
from gaussgan.report.finals import final_figures
from gaussgan.report.frame import frame_of
from gaussgan.report.history import learning_curves
from gaussgan.report.page import PAGE, Contents, write_page
from gaussgan.report.study import study_sections
from gaussgan.report.tables import columns, print_answer, print_failed, write_table
from gaussgan.report.text import counted
from gaussgan.report.verdict import sentences
from gaussgan.runs.files import writing

REPLICAS_PAGE = "replicas.html"  # beside the page of a run with replicas: the comparison of the replicas
POOLED = (
    "The table and the charts pool the seeds of the search with those that only the finalists have, so their best"
    " settings are flattered by chance."
)


class Report(NamedTuple):
    """A written report.

    Args:
        page: the path of report.html.
        table: the path of sweep.csv.
        statuses: the number of runs with each status. Each replica counts as a run.
        sentences: the answer.
    """

    page: Path
    table: Path
    statuses: Mapping[str, int]
    sentences: Sequence[str]


def write_report(
    directories: Sequence[Path],
    out: Path,
    where: Sequence[str] = (),
    tags: Sequence[str] = (),
    by: str | None = None,
) -> Report:
    """Read all runs in some directories, print the answer, and write sweep.csv and report.html.

    If the only directory is that of one run, report.html is the page of this run; see `write_run_page`. For a run with
    replicas, replicas.html is then the comparison of the replicas.

    Args:
        directories: directories that are searched for runs.
        out: the directory for the two files. It is created if it does not exist.
        where: conditions such as "optimizer_d.lr=0.05"; see `chosen`. Only runs that fulfil all of them are used.
        tags: tags that a run must have.
        by: the measure by which runs are compared, such as val/modes; None: their score.

    Raises:
        ConfigError: when there is no such run or measure, or when the files cannot be written.
    """
    found = find_runs(directories)
    frame, settings = frame_of(found)
    notes = []
    if where or tags:
        keep = chosen(frame, settings, found.runs, where, tags)
        frame, settings = (each[keep].reset_index(drop=True) for each in (frame, settings))
        settings = settings[[key for key in settings if settings[key].nunique() > 1]]
        conditions = ", ".join([*where, *(f"the tag {tag}" for tag in tags)])
        notes.append(f"Only the runs with {conditions} are used: {len(frame):,} of {len(keep):,}.")
    answer = compare(frame, find_factors(frame, settings, found.runs), by)
    sections = study_sections(directories)
    first = [sentence for section in sections for sentence in section.sentences]
    said = [POOLED] if first else sentences(answer)
    said += [*notes, *_repeats(frame, answer), *_modes(settings, answer)]
    statuses = Counter(frame["status"].tolist())
    console = _console()
    counts = f"{len(frame):,} run{'s' * (len(frame) > 1)}: {counted(statuses)}{described(found.skipped)}"
    console.print(counts, highlight=False, soft_wrap=True)
    print_answer(answer, [*first, *said], console)
    print_failed([found.runs[i] for i in frame["run"].unique()], console)
    with writing("report", out):
        out.mkdir(parents=True, exist_ok=True)
        out = out.resolve()
    table = write_table(frame, answer, found.runs, out)
    is_whole_run = not (where or tags) and [each.resolve() for each in directories] == [found.runs[0].path]
    alone = found.runs[0] if is_whole_run else None
    written = [table]
    if alone is None or alone.replicas > 1:
        contents = Contents(
            found, frame, answer, said, _charts(answer, frame, found), [*final_figures(frame, found.runs)], sections
        )
        written.append(write_page(out, contents, PAGE if alone is None else REPLICAS_PAGE))
    if alone is not None:
        from gaussgan.report.run_page import Comparison, write_run_page  # imports torch

        several = Comparison([*first, *said], columns(answer), REPLICAS_PAGE) if alone.replicas > 1 else None
        written.append(write_run_page(alone, out, several))
    for path in written:
        console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)
    return Report(written[-1], table, statuses, [*first, *said])


def _repeats(frame: pd.DataFrame, answer: Answer) -> list[str]:
    """Return a sentence about finished runs that repeat the seed of another run of the same setting."""
    counts = (
        frame["seed"].to_numpy()[each.rows][frame["score"].notna().to_numpy()[each.rows]] for each in answer.settings
    )
    extra = sum(len(seeds) - len({*seeds.tolist()}) for seeds in counts)
    if not extra:
        return []
    return [
        f"Runs that repeat the setting and the seed of another run: {extra:,}. They count in n and in the quantiles,"
        " but only once in the tests."
    ]


def _modes(settings: pd.DataFrame, answer: Answer) -> list[str]:
    """Return a sentence about runs of both modes, if the mode is not a factor because it follows from another one."""
    both = "compile" in settings and {*MODES} <= {*settings["compile"]}
    if not both or any(factor.name == "compile" for factor in answer.factors):
        return []
    return ["Some runs have compile=on and some compile=off: rounding differs, so a seed may end elsewhere."]


def _console() -> Console:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the terminal may not have signs such as ∞
    return Console()


def _charts(answer: Answer, frame: pd.DataFrame, found: Found) -> list[Chart]:
    selected = [setting for *_, setting in selection(answer)]
    curves = learning_curves(frame, found.runs, selected, answer.tag, answer.larger) if answer.tag else {}
    return [*effect_charts(answer), *distribution_charts(answer, frame, curves)]
