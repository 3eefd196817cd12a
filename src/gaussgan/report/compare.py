"""Rank settings, and compare each with the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from gaussgan.report import intervals, statistics
from gaussgan.report.answer import Answer, Comparison, Setting
from gaussgan.report.factors import Factor
from gaussgan.report.pool import BASELINE, add_scores, pool


def compare(frame: pd.DataFrame, factors: Sequence[Factor], by: str | None = None) -> Answer:
    """Pool the runs of each setting over their seeds, rank the settings, and compare each with the best one.

    Args:
        frame: the table of all runs; see `frame_of`. The column "score" is added; see `add_scores`.
        factors: what varied.
        by: the measure by which runs are compared; None: their score.
    """
    tag, unlike = add_scores(frame, by)
    settings, unknown = pool(frame, factors)
    ranked = _compared(frame, sorted(settings, key=_rank))
    known = frame["score"].notna() if BASELINE in frame else np.zeros(len(frame), dtype=bool)
    baseline = statistics.median(frame.loc[known, BASELINE].dropna().to_numpy() if known.any() else np.empty(0))
    return Answer(tag, factors, ranked, baseline, unlike, unknown)


def _rank(setting: Setting) -> tuple[float, ...]:
    if not setting.n:
        return (1.0,)
    quantiles = statistics.quantiles(setting.scores, [0.5, 0.1, 0.9])
    share = float(np.isinf(setting.scores).mean())
    return (0.0, quantiles[0], share, statistics.interquartile_mean(setting.scores), *quantiles)


def _compared(frame: pd.DataFrame, settings: Sequence[Setting]) -> list[Setting]:
    """Add the comparisons with the best setting, which is the first one. The p-values are corrected together."""
    if not settings or not settings[0].n:
        return [*settings]
    best, others = settings[0], [setting for setting in settings[1:] if setting.n]
    scores, seeds = frame["score"].to_numpy(), pd.factorize(frame["seed"])[0]
    seeds = np.where(seeds < 0, -1 - np.arange(len(seeds)), seeds)  # an unknown seed is shared with no other run
    ours = _by_seed(scores, seeds, best)
    comparisons, pairs = [], {}
    for i, setting in enumerate(others):
        comparison, differences = _comparison(best, ours, setting, _by_seed(scores, seeds, setting), len(others))
        comparisons.append(comparison)
        if differences is not None:
            pairs[i] = differences
    p_values = {i: each.p for i, each in enumerate(comparisons)}
    p_values |= dict(zip(pairs, statistics.signed_rank_p([*pairs.values()]), strict=True))
    corrected = statistics.holm([*p_values.values()])
    done = [replace(c, p=p) for c, p in zip(comparisons, corrected, strict=True)]
    compared = [replace(setting, comparison=c) for setting, c in zip(others, done, strict=True)]
    return [best, *compared, *(setting for setting in settings[1:] if not setting.n)]


def _by_seed(scores: np.ndarray, seeds: np.ndarray, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Return the seeds of the finished runs in order, and the score for each seed.

    If a seed was run several times, its score is the median, because these runs are not independent.
    """
    score, seed = scores[setting.rows], seeds[setting.rows]
    known = ~np.isnan(score)
    different, place, count = np.unique(seed[known], return_inverse=True, return_counts=True)
    ordered = score[known][np.argsort(place, kind="stable")]
    if (count > 1).any():
        ordered = np.array([statistics.median(each) for each in np.split(ordered, np.cumsum(count)[:-1])])
    return different, ordered


def _comparison(
    best: Setting,
    ours: tuple[np.ndarray, np.ndarray],
    setting: Setting,
    theirs: tuple[np.ndarray, np.ndarray],
    tests: int,
) -> tuple[Comparison, np.ndarray | None]:
    """Compare a setting with the best, by pairs if they share at least half of the seeds of the smaller of the two.

    For pairs, return their differences too, and leave the p-value open: all of these tests are done together.
    """
    shared, i, j = np.intersect1d(ours[0], theirs[0], assume_unique=True, return_indices=True)
    improvement = statistics.probability_of_improvement(best.scores, setting.scores)
    if 2 * len(shared) >= min(len(ours[0]), len(theirs[0])):
        pairs = statistics.differences(theirs[1][j], ours[1][i])
        difference, interval = statistics.median(pairs), intervals.median_interval(pairs)
        more = statistics.more_seeds(pairs, tests)
        return Comparison(len(pairs), True, difference, interval, math.nan, improvement, more), pairs
    a, b = theirs[1], ours[1]
    medians = (np.array([statistics.median(each.scores)]) for each in (setting, best))
    difference, interval = float(statistics.differences(*medians)[0]), intervals.difference_interval(a, b)
    more = statistics.more_runs(a, b, tests)
    p = statistics.rank_sum_p(a, b)
    return Comparison(min(len(a), len(b)), False, difference, interval, p, improvement, more), None
