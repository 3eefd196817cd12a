"""A row of the table of reproductions: a published figure, how ours is computed, and when the two agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from scipy import stats

from gaussgan.report.intervals import Interval
from gaussgan.report.statistics import LEVEL


class Measured(NamedTuple):
    """What a method found.

    Args:
        values: one value for each seed; infinity for a run that diverged.
        seconds: the time that the runs took; None if that is the time that the call took.
    """

    values: list[float]
    seconds: float | None = None


class Method(Protocol):
    """Computes our value of a row, in `directory` if it needs files. `command` is what a reader types for it."""

    @property
    def command(self) -> str: ...

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured: ...


class Rule(Protocol):
    """Says whether our values, one for each seed, agree with the published figure."""

    def __call__(self, values: Sequence[float]) -> bool: ...

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Near:
    """Agrees if the mean is at most `tolerance` away from `value`."""

    value: float
    tolerance: float

    def __call__(self, values: Sequence[float]) -> bool:
        return abs(mean(values) - self.value) <= self.tolerance

    def __str__(self) -> str:
        return f"within {self.tolerance:.2g}"


@dataclass(frozen=True)
class Predicted:
    """Agrees if the mean lies in the 95% prediction interval of a published mean: value ± error over `runs` runs.

        |mean − value| ≤ t · error · √(1 + runs / n)

    Here n is the number of our values, and t is the 97.5% quantile of Student's t distribution with runs − 1 degrees
    of freedom. The error counts as the standard error of the published mean. If it is a standard deviation, the
    interval is too wide.
    """

    value: float
    error: float
    runs: int

    def __call__(self, values: Sequence[float]) -> bool:
        t = stats.t.ppf(1 - LEVEL / 2, self.runs - 1)
        return abs(mean(values) - self.value) <= t * self.error * (1 + self.runs / len(values)) ** 0.5

    def __str__(self) -> str:
        return "in the prediction interval"


@dataclass(frozen=True)
class Below:
    """Agrees if the mean is below `limit`."""

    limit: float

    def __call__(self, values: Sequence[float]) -> bool:
        return mean(values) < self.limit

    def __str__(self) -> str:
        return f"below {self.limit:g}"


@dataclass(frozen=True)
class AtLeast:
    """Agrees if the mean is at least `limit`. Infinity, the value of a run that diverged, is at least everything."""

    limit: float

    def __call__(self, values: Sequence[float]) -> bool:
        return mean(values) >= self.limit

    def __str__(self) -> str:
        return f"at least {self.limit:g}"


@dataclass(frozen=True)
class Row:
    """A published figure and ours.

    Args:
        name: the name after `--only`.
        what: what the figure is.
        paper: the paper, as a key of `rows.PAPERS`.
        where: the place in the paper or in its code, such as a section or a table.
        published: the figure or the claim, as the paper has it.
        rule: when ours agrees.
        method: how ours is computed; None if it cannot be computed here.
        seeds: the number of seeds of a complete row.
        minutes: about how long one seed takes on one core.
        quick: true if `--quick` computes the row.
        note: what differs from the paper, or why the row cannot be computed here.
    """

    name: str
    what: str
    paper: str
    where: str
    published: str
    rule: Rule
    method: Method | None
    seeds: int = 1
    minutes: float = 0.02
    quick: bool = False
    note: str = ""

    @property
    def command(self) -> str:
        return "" if self.method is None else self.method.command


@dataclass(frozen=True)
class Result:
    """Our values of a row.

    Args:
        command: the command of the row that was computed. If the row has another command now, the result is outdated.
        values: one value for each seed; infinity for a run that diverged.
        seconds: how long all of them took.
        machine: what they were computed on.
        error: why they could not be computed; None if they could.
    """

    command: str
    values: list[float]
    seconds: float
    machine: str
    error: str | None = None


def mean(values: Sequence[float]) -> float:
    """Return the mean; NaN of no values."""
    return float(np.mean(values)) if len(values) else math.nan


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the 95% interval of the mean by Student's t distribution; None for fewer than two values or infinite ones.

    The interval assumes values that are roughly normal.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    half = stats.t.ppf(1 - LEVEL / 2, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return Interval(float(np.mean(values) - half), float(np.mean(values) + half))


def verdict(row: Row, result: Result | None) -> str:
    """Return "agrees", "differs", "failed: …" or "not run: …"."""
    if result is not None and result.error is not None:
        return f"failed: {result.error}"
    if result is None or not result.values:
        time = f"{row.minutes / 60:.2g} hours" if row.minutes > 60 else f"{row.minutes:.2g} minutes"
        return f"not run: {row.note if row.method is None else f'takes about {time} a seed'}"
    return "agrees" if row.rule(result.values) else "differs"
