"""The page of reproductions: tables, commands and pictures, from rows and their results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gaussgan.config.units import clock
from gaussgan.reproduce.row import Result, Row, mean, mean_interval, verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAD = "| row | figure | published | ours | seeds | verdict | time |\n|---|---|---|---|---|---|---|"
INTRODUCTION = """\
# What others published

Each row is a figure or a claim that was published, and ours beside it. This page is made by

```bash
python scripts/reproduce.py
python scripts/reproduce.py --only dirac_r_gan_simultaneous
```

The first command computes the rows that are not computed yet, the shortest first. It goes on where it was stopped,
also inside a run. `--list` lists the rows, `--seeds 1` computes one seed of each row. `--quick` computes the short
rows again and fails if a verdict is no longer the one on this page. A run of training lies in
`logs/reproductions/NAME/SEED`; a complete run that you move there is used. To compute a row again, delete
`logs/reproductions/NAME`.

*Ours* is the mean over the seeds, with the 95% interval of the mean by Student's t distribution if there are several.
A row *agrees* if this mean fulfils the rule beside it. A figure without a rule of its own agrees if it is equal in
all published digits. One seed says little. Times are rough, because the machine did other work, too.
"""


@dataclass(frozen=True)
class Paper:
    """A paper: authors and year, and its number on arXiv."""

    authors: str
    arxiv: str

    def __str__(self) -> str:
        return f"[{self.authors}](https://arxiv.org/abs/{self.arxiv})"


@dataclass(frozen=True)
class Picture:
    """A picture beside a table.

    Args:
        file: its name.
        caption: what it shows.
        draw: returns the figure, from the directory with a directory for each row; None if files are missing there.
    """

    file: str
    caption: str
    draw: Callable[[Path], Figure | None]


@dataclass(frozen=True)
class Section:
    """Some rows of the table with a title, an introduction, and perhaps a picture."""

    title: str
    introduction: str
    rows: Sequence[Row]
    picture: Picture | None = None


def page(sections: Sequence[Section], papers: Mapping[str, Paper], results: Mapping[str, Result]) -> str:
    """Return the page in Markdown."""
    machines = [*dict.fromkeys(results[row.name].machine for s in sections for row in s.rows if row.name in results)]
    rows = [row for section in sections for row in section.rows]
    verdicts = [verdict(row, results.get(row.name)).partition(":")[0] for row in rows]
    counts = ", ".join(f"{each}: {verdicts.count(each)}" for each in dict.fromkeys(verdicts))
    where = "\n".join(f"{i}. {name}" for i, name in enumerate(machines, 1))
    text = [
        INTRODUCTION,
        f"{len(rows)} rows. {counts[0].upper()}{counts[1:]}. The number after a time is the machine:\n\n{where}\n",
    ]
    for section in sections:
        lines = [_line(row, results.get(row.name), papers, machines) for row in section.rows]
        commands = "\n".join(f"{row.name}: {row.command}" for row in section.rows if row.method)
        text += [f"## {section.title}\n", section.introduction + "\n"]
        text += [f"![{section.picture.caption}]({section.picture.file})\n"] if section.picture else []
        text += ["\n".join([HEAD, *lines]) + "\n", f"Commands:\n\n```\n{commands}\n```\n" if commands else ""]
    return "\n".join(part for part in text if part)


def _line(row: Row, result: Result | None, papers: Mapping[str, Paper], machines: Sequence[str]) -> str:
    found = result is not None and bool(result.values)
    cells = [
        f"`{row.name}`",
        row.what + (f"; {row.note}" if row.note and row.method else ""),
        f"{row.published} ({papers[row.paper]}, {row.where})",
        _ours(result) if result is not None and found else "",
        f"{len(result.values)} of {row.seeds}" if result is not None and found and row.seeds > 1 else "",
        verdict(row, result) + (f" ({row.rule})" if found else ""),
        f"{_time(result.seconds)} ({machines.index(result.machine) + 1})" if result is not None and found else "",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _ours(result: Result) -> str:
    diverged = sum(math.isinf(value) for value in result.values)
    if diverged:
        return f"{diverged} of {len(result.values)} diverged"
    interval = mean_interval(result.values)
    return (
        f"{mean(result.values):.7g}"
        if interval is None
        else f"{mean(result.values):.4g} [{interval.low:.4g}, {interval.high:.4g}]"
    )


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
