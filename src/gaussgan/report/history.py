"""Learning curves: quantiles of the score over the runs of each setting, at each evaluated iteration."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pandas as pd

from gaussgan.config.errors import ConfigError
from gaussgan.report import statistics
from gaussgan.report.answer import Setting
from gaussgan.report.collect import RunDirectory
from gaussgan.runs.directory import LAST
from gaussgan.runs.record import HISTORY


class Curve(NamedTuple):
    """The 10th percentile, the median and the 90th percentile of the score at some iterations, [T] each."""

    iterations: np.ndarray
    p10: np.ndarray
    median: np.ndarray
    p90: np.ndarray


class Course(NamedTuple):
    """The scores of n runs at T iterations. A diverged run has infinite scores from the iteration `ends` on.

    Args:
        iterations: [T].
        scores: [T, n].
        rows: the rows of the runs in the table of all runs, [n].
        ends: the iteration at which each run diverged, [n]; infinite for the others.
    """

    iterations: np.ndarray
    scores: np.ndarray
    rows: np.ndarray
    ends: np.ndarray


def learning_curves(
    frame: pd.DataFrame, runs: Sequence[RunDirectory], settings: Sequence[Setting], tag: str, larger: bool = False
) -> dict[int, Curve]:
    """Return the curve of each setting, as a dict from the index of the setting in `settings` to its curve.

    A diverged run counts as infinity from its divergence on. Runs without a readable history are left out.

    Args:
        frame: the table of all runs; see `frame_of`.
        runs: the run directories.
        settings: the settings for which curves are wanted.
        tag: the measure by which runs are compared.
        larger: whether more of it is better. Then a diverged run counts as minus infinity.
    """
    owner = np.full(len(frame), -1)
    for i, setting in enumerate(settings):
        owner[setting.rows] = i
    owner[frame["score"].isna().to_numpy()] = -1
    courses: dict[int, list[Course]] = {}
    for course in _courses(frame, runs, owner, tag):
        owners = owner[course.rows]
        for i in np.unique(owners[owners >= 0]).tolist():
            mine = owners == i
            part = Course(course.iterations, course.scores[:, mine], course.rows[mine], course.ends[mine])
            courses.setdefault(i, []).append(part)
    return {i: _curve(each, -math.inf if larger else math.inf) for i, each in sorted(courses.items())}


def _courses(frame: pd.DataFrame, runs: Sequence[RunDirectory], owner: np.ndarray, tag: str) -> Iterator[Course]:
    wanted = np.flatnonzero(owner >= 0)
    run_of = frame["run"].to_numpy()
    replica, status, last = (frame[key].to_numpy() for key in ("replica", "status", "iterations"))
    for rows in np.split(wanted, np.flatnonzero(np.diff(run_of[wanted])) + 1):
        run = runs[run_of[rows[0]]]
        with suppress(Exception):  # a run's files may be damaged in any way
            if run.replicas == 1:
                ends = np.where(status[rows] == "diverged", last[rows], math.inf)
                yield Course(*_of_run(run, tag), rows, ends)
            else:
                iterations, scores, diverged = _of_replicas(run, tag)
                places = replica[rows]
                ends = np.array([diverged.get(i, math.inf) for i in places.tolist()])
                yield Course(iterations, scores[:, places], rows, ends)


def _of_run(run: RunDirectory, tag: str) -> tuple[np.ndarray, np.ndarray]:
    with (run.path / HISTORY).open(newline="") as file:
        lines = [*csv.DictReader(file)]
    iterations = np.array([int(line["iteration"]) for line in lines], dtype=np.int64)
    scores = [float(line[tag] or math.nan) for line in lines]
    return iterations, np.array(scores, dtype=float)[:, None]


def _of_replicas(run: RunDirectory, tag: str) -> tuple[np.ndarray, np.ndarray, Mapping[int, float]]:
    """Return iterations, scores [T, R], and the iteration at which each diverged replica diverged."""
    import torch

    from gaussgan.runs.checkpoint import expecting_checkpoint

    with expecting_checkpoint(run.path / LAST):
        checkpoint = torch.load(run.path / LAST, map_location="cpu", weights_only=True, mmap=True)
        names, values = checkpoint["history"]["names"], checkpoint["history"]["rows"]
        iterations = values[:, names.index("iteration"), 0].numpy().astype(np.int64)
        scores = values[:, names.index(tag)].numpy()
        if scores.shape != (len(iterations), run.replicas):
            raise ConfigError(f"{run.path / LAST} does not belong to the run")
        return iterations, scores, {i: float(at) for i, (at, _) in checkpoint["diverged"].items()}


def _curve(courses: Sequence[Course], worst: float) -> Curve:
    """Join the courses of the runs of one setting, which may have been evaluated at different iterations."""
    iterations = np.unique(np.concatenate([course.iterations for course in courses]))
    ends = np.concatenate([course.ends for course in courses])
    scores = np.full((len(iterations), len(ends)), math.nan)
    start = 0
    for course in courses:
        stop = start + course.scores.shape[1]
        scores[np.searchsorted(iterations, course.iterations), start:stop] = course.scores
        start = stop
    scores[iterations[:, None] >= ends] = worst
    known = [row[~np.isnan(row)] for row in scores]
    some = [i for i, row in enumerate(known) if len(row)]
    levels = np.array([statistics.quantiles(known[i], [0.1, 0.5, 0.9]) for i in some]).reshape(-1, 3).T
    return Curve(iterations[some], *levels)
