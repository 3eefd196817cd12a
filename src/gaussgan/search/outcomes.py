"""Read what became of a trial from the files of the run that trained it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gaussgan.config.errors import ConfigError
from gaussgan.evaluation.scores import score
from gaussgan.evaluation.summary import summary
from gaussgan.gan.divergence import PRUNED
from gaussgan.runs.record import read_record, read_replicas

SCORE = "score"  # the objective that is the median of val/w2, or of val/sliced_w2 for mixtures
ENDED = ("completed", "diverged")
COLUMNS = ("val/", "test/", "mle/", "train/")  # prefixes of measures


class Outcome(NamedTuple):
    """What became of a trial.

    Attributes:
        values: the value of each objective, if the trial has ended.
        error: a line that says why the trial failed, if it failed.
        pruned: whether the trial was stopped because it was hopeless.
        numbers: measures of the trial, with the keys of metrics.json.
    """

    values: list[float] | None = None
    error: str | None = None
    pruned: bool = False
    numbers: Mapping[str, float] = {}


def outcomes(directory: Path, trials: int, objectives: Sequence[str], directions: Sequence[str]) -> list[Outcome]:
    """Return what became of each trial of a program, in the order of the trials.

    The numbers of a trial are those that metrics.json would have for a run with the trial's seeds as replicas. A score
    is a median, in which a diverged replica counts as infinite. If all replicas of a trial diverged, every objective
    has its worst value: infinity, or −infinity if it is maximised. Optuna's samplers learn from such values, and would
    ignore a failed trial.

    Args:
        directory: the directory of the program's run.
        trials: the number of trials in the program.
        objectives: keys of metrics.json, or "score".
        directions: "minimize" or "maximize" for each objective.
    """
    try:
        record = read_record(directory)
        rows = read_replicas(directory)
    except ConfigError as error:
        return [Outcome(error=str(error))] * trials
    if record["status"] not in ENDED:
        return [Outcome(error=record.get("error") or f"the run in {directory} is {record['status']}")] * trials
    rows = rows or [{key: "" if value is None else str(value) for key, value in record.items()}]
    if len(rows) % trials:
        return [Outcome(error=f"{directory} holds another run: {len(rows)} replicas for {trials} trials")] * trials
    seeds = len(rows) // trials
    return [outcome(rows[i * seeds : (i + 1) * seeds], objectives, directions) for i in range(trials)]


def outcome(rows: Sequence[Mapping[str, str]], objectives: Sequence[str], directions: Sequence[str]) -> Outcome:
    """Return what became of one trial. `rows` are its rows of replicas.csv; for the other arguments see `outcomes`."""
    if any(row["status"] == PRUNED for row in rows):
        return Outcome(pruned=True)
    numbers = trial_numbers(rows)
    values = []
    for objective, direction in zip(objectives, directions, strict=True):
        value = numbers.get(f"{score(numbers)}_median" if objective == SCORE else objective, math.nan)
        if math.isnan(value) and numbers["share_diverged"] == 1:
            value = math.inf if direction == "minimize" else -math.inf
        if math.isnan(value):
            return Outcome(error=f"the trial has no value for {objective}", numbers=numbers)
        values.append(value)
    return Outcome(values, numbers=numbers)


def reported(outcome: Outcome, objectives: Sequence[str]) -> Outcome:
    """Return an outcome with the same measures against the rows to report by, where there are such measures.

    The search has chosen by the rows to choose by, so these flatter its winner.
    """
    keys = [f"{score(outcome.numbers)}_median" if each == SCORE else each for each in objectives]
    values = [outcome.numbers.get(key.replace("val/", "test/", 1), math.nan) for key in keys]
    if not outcome.values or all(math.isnan(value) for value in values):
        return outcome
    return outcome._replace(values=[b if math.isnan(a) else a for a, b in zip(values, outcome.values, strict=True)])


def trial_numbers(rows: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Return the numbers that metrics.json would have for a run with these replicas.

    Args:
        rows: rows of replicas.csv.
    """
    tags = [tag for tag in rows[0] if tag.startswith(COLUMNS) and any(row[tag] for row in rows)]
    values = {tag: torch.tensor([_number(row[tag]) for row in rows], dtype=torch.float64) for tag in tags}
    diverged = [i for i, row in enumerate(rows) if row["status"] == "diverged"]
    if len(diverged) == len(rows):
        return {"share_diverged": 1.0}
    return summary(values, diverged)


def known_objectives(numbers: Sequence[str]) -> list[str]:
    """Return the keys that may be objectives, from the names of the numbers that a run logs after each epoch."""
    further = ["share_diverged"]
    if "val/w2" in numbers:
        further = ["efficiency", *(f"mle/w2{end}" for end in ("", "_p10", "_median", "_p90")), *further]
    if "val/w2_ema" in numbers:
        further = ["efficiency_ema", *further]
    if "train/loss_d" in numbers:
        further = [*further, "share_log2"]
    return [SCORE, *(tag for tag in numbers if tag.startswith(COLUMNS)), *further]


def _number(entry: Any) -> float:
    return float(entry) if entry else math.nan
