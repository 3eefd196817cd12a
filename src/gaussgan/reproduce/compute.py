"""Compute rows one after the other, keep each result, and make the table again after each row."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.units import clock
from gaussgan.reproduce.results import RESULT, current, machine, read_result, write_result
from gaussgan.reproduce.row import Result, Row, mean, verdict


def chosen(rows: Sequence[Row], names: Sequence[str] | None) -> list[Row]:
    """Return the rows with these names, in the order of the names; all rows if there are no names.

    Raises:
        ConfigError: when there is no row with a name. The message has the names that are most like it.
    """
    by_name = {row.name: row for row in rows}
    for name in names or []:
        if name not in by_name:
            near = get_close_matches(name, by_name, 3) or [each for each in by_name if name in each][:3]
            hint = f"did you mean {' or '.join(near)}?" if near else "--list lists the names"
            raise ConfigError(f"--only: there is no row {name}; {hint}")
    return [by_name[name] for name in names] if names else [*rows]


def compute(rows: Sequence[Row], root: Path, seeds: int | None, keep: Callable[[dict[str, Result]], None]) -> bool:
    """Compute the rows that have no current result yet, the shortest first. Return whether none has failed.

    Args:
        rows: the rows. One that cannot be computed here is left out.
        root: the directory with a directory for each row.
        seeds: the largest number of seeds of a row; None for all seeds that the row wants.
        keep: is called with results by the names of their rows: those that exist already, then each new one.
    """
    left = [(row, range(row.seeds if seeds is None else min(seeds, row.seeds))) for row in rows if row.method]
    left = sorted(left, key=lambda each: each[0].minutes * len(each[1]))
    found = {row.name: _done(row, root, len(wanted)) for row, wanted in left}
    complete = {name: result for name, result in found.items() if result is not None}
    keep(complete)
    left, failed = [(row, wanted) for row, wanted in left if row.name not in complete], False
    if complete:
        say(f"{len(complete)} of {len(found)} rows are computed already")
    for i, (row, wanted) in enumerate(left):
        times = {runs_of(each): 60 * each.minutes * len(seeds) for each, seeds in left[i:]}
        say(f"{i + 1}/{len(left)}  {row.name}: {row.what}  (about {clock(sum(times.values()))} left for all)")
        result = measure(row, root / row.name, wanted)
        write_result(root / row.name / RESULT, result)
        keep({row.name: result})
        failed |= result.error is not None
        say(f"      published: {row.published}; ours: {mean(result.values):.7g}; {verdict(row, result)}")
    return not failed


def runs_of(row: Row) -> str:
    """Return the name of the runs that a row reads. Several rows may read the same runs."""
    return getattr(row.method, "runs", row.name)


def measure(row: Row, directory: Path, seeds: Sequence[int]) -> Result:
    """Compute a row and return its result. An error becomes part of the result. A NaN counts as infinity."""
    assert row.method is not None
    began = time.perf_counter()
    try:
        measured = row.method(directory, seeds)
    except Exception as error:
        return Result(row.command, [], time.perf_counter() - began, machine(), one_line(error))
    seconds = time.perf_counter() - began if measured.seconds is None else measured.seconds
    values = [math.inf if math.isnan(value) else value for value in measured.values]
    return Result(row.command, values, round(seconds, 2), machine())


def changed(rows: Sequence[Row], committed: dict[str, Result], directory: Path) -> list[str]:
    """Compute quick rows again, and return a line for each whose verdict is not that of the committed results."""
    lines = []
    for i, row in enumerate(rows):
        result = measure(row, directory / row.name, range(row.seeds))
        now, before = verdict(row, result), verdict(row, current(row, committed.get(row.name)))
        say(f"{i + 1}/{len(rows)}  {row.name}: {mean(result.values):.7g}, {now}  ({result.seconds:.1f} s)")
        if now != before:
            lines.append(f"{row.name}: {now}, but the committed results say: {before}")
    return lines


def listing(rows: Sequence[Row], results: dict[str, Result]) -> str:
    """Return a line for each row: its name, how long it takes, its verdict and what it is."""
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        time = "" if row.method is None else "quick" if row.quick else f"{row.minutes:g} min × {row.seeds}"
        short = verdict(row, current(row, results.get(row.name))).partition(":")[0]
        lines.append(f"{row.name:{width}}  {time:>12}  {short:8}  {row.what}")
    return "\n".join(lines)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _done(row: Row, root: Path, wanted: int) -> Result | None:
    result = current(row, read_result(root / row.name / RESULT))
    return result if result is not None and result.error is None and len(result.values) >= wanted else None
