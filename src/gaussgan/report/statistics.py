"""Statistics of scores over seeds. Smaller scores are better, and a diverged run has the score infinity.

Agarwal et al. 2021, arXiv 2108.13264, recommend the interquartile mean, the probability of improvement and performance
profiles for runs that differ in their seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy import stats

Array = np.ndarray
LEVEL = 0.05  # level of the tests, and 1 − the coverage of the intervals
POWER = 0.8  # probability with which `more_seeds` wants a difference to be found
MOST_EXACT = 50  # with more differences, SciPy uses the normal approximation in any case


def quantiles(values: Array, levels: Sequence[float]) -> list[float]:
    """Return quantiles with linear interpolation between values, which may be infinite; NaN if there are no values."""
    if len(values) == 0:
        return [math.nan] * len(levels)
    ordered = np.sort(values)
    position = np.asarray(levels) * (len(values) - 1)
    low, high = ordered[np.floor(position).astype(int)], ordered[np.ceil(position).astype(int)]
    return [_between(*each) for each in zip(low.tolist(), high.tolist(), (position % 1).tolist(), strict=True)]


def median(values: Array) -> float:
    return quantiles(values, [0.5])[0]


def interquartile_mean(values: Array) -> float:
    """Return the mean of the middle half of the values: the mean without the lowest and the highest 25%."""
    cut = len(values) // 4
    return float(np.sort(values)[cut : len(values) - cut].mean()) if len(values) else math.nan


def efficiency(baseline: Array, scores: Array) -> float:
    """Return mean(baseline²) / mean(scores²); NaN if it is not known, or if a baseline of 0 says nothing.

    It is 0 if a score is infinite, because a run diverged.
    """
    if np.isinf(scores).any():
        return 0.0 if np.isfinite(baseline).any() else math.nan
    with np.errstate(over="ignore"):  # the square of a large score may be infinite
        squares = [np.square(each).mean() if len(each) else math.nan for each in (baseline, scores)]
    return float(squares[0] / squares[1]) if min(squares) > 0 else math.nan


def differences(scores: Array, best: Array) -> Array:
    """Return scores − best for pairs of runs with the same seed, [n]. If both runs diverged, the difference is 0."""
    both = np.isinf(scores) & np.isinf(best)
    return np.where(both, 0.0, np.where(both, 0.0, scores) - np.where(both, 0.0, best))


def signed_rank_p(pairs: Sequence[Array]) -> list[float]:
    """Return the two-sided p-value of the Wilcoxon signed-rank test for each of several arrays of paired differences.

    An infinite difference has a larger rank than every finite one. Zeros take part in the ranking and then count for
    neither side (Pratt 1959), because without them more ties could make a difference look more certain. The p-value is
    1 if all differences are 0 or there is only one, and NaN if there are none.
    """
    sizes, p = np.array([len(each) for each in pairs]), np.full(len(pairs), math.nan)
    for n in np.unique(sizes[sizes > 0]):
        found = np.flatnonzero(sizes == n).tolist()
        values = np.stack([pairs[i] for i in found])
        ranks = np.sort(np.sign(values) * stats.rankdata(np.abs(values), axis=1), axis=1)
        different, place = np.unique(ranks, axis=0, return_inverse=True)  # the p-value depends only on signed ranks
        p[found] = _tests(different)[place.ravel()]
    return [float(each) for each in p]


def _tests(ranks: Array) -> Array:
    """Return the p-value for each row of an array of signed ranks, [k, n].

    SciPy chooses the method for a whole array. So, where the method depends on ties, rows with ties are tested alone.
    """
    k, n = ranks.shape
    p = np.ones(k)
    some = ranks.any(axis=1) & (n > 1)
    tied = (ranks == 0).any(axis=1) | (np.diff(np.sort(np.abs(ranks), axis=1), axis=1) == 0).any(axis=1)
    together = some & (~tied | (n > MOST_EXACT))
    if together.any():
        p[together] = stats.wilcoxon(ranks[together], zero_method="pratt", axis=1).pvalue
    for i in np.flatnonzero(some & ~together):
        p[i] = stats.wilcoxon(ranks[i], zero_method="pratt").pvalue
    return p


def rank_sum_p(scores: Array, best: Array) -> float:
    """Return the two-sided p-value of the Mann–Whitney test for runs that share no seeds."""
    return float(stats.mannwhitneyu(scores, best).pvalue) if len(scores) and len(best) else math.nan


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that are corrected for their number (Holm 1979). NaN stands for a test that was not possible."""
    corrected, largest = [*p_values], 0.0
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def probability_of_improvement(best: Array, scores: Array) -> float:
    """Return the probability that a run of `best` has a smaller score than a run of `scores`. A tie counts half."""
    if not len(best) or not len(scores):
        return math.nan
    ordered = np.sort(scores)
    smaller = np.searchsorted(ordered, best, "left").sum()
    not_larger = np.searchsorted(ordered, best, "right").sum()
    return float(1 - (smaller + not_larger) / (2 * len(best) * len(scores)))


def profile(values: Array, limits: Array) -> tuple[Array, Array, Array]:
    """Return the proportion of runs whose value is at most each limit, [n], with a 95% band: (proportion, low, high).

    This is the performance profile of Agarwal et al. 2021. The band holds the percentiles of the stratified bootstrap
    at each limit. They are those of a binomial distribution, so nothing is drawn.
    """
    proportion = np.searchsorted(np.sort(values), limits, "right") / len(values)
    low, high = (stats.binom.ppf(level, len(values), proportion) / len(values) for level in (LEVEL / 2, 1 - LEVEL / 2))
    return proportion, low, high


def more_seeds(pairs: Array, tests: int) -> float:
    """Return how many more seeds a signed-rank test needs to find a difference with probability 0.8.

    The sample size is n = (z_{1−α/2} + z_{0.8})² / (3 (p − 1/2)²), where p is the probability that the sum of two
    differences is positive (Noether 1987). p is estimated from the pairs at hand, so the result is a rough guide. It is
    infinite if p is 1/2.

    Args:
        pairs: the paired differences at hand, [n].
        tests: the number of tests between which the level α is divided.
    """
    n = len(pairs)
    if n < 2:
        return math.nan
    ordered = np.sort(pairs)
    sums = [np.searchsorted(ordered, -ordered, side).sum() for side in ("left", "right")]
    positive = 1 - (sums[0] + sums[1]) / (2 * n * n)  # the share of all n² sums, each difference with itself included
    p = (positive * n * n - ((pairs > 0).sum() + (pairs == 0).sum() / 2)) / (n * (n - 1))
    return _rest(p, 3.0, n, tests)


def more_runs(scores: Array, best: Array, tests: int) -> float:
    """Return how many more runs of each setting a Mann–Whitney test needs, with the power of `more_seeds`.

    The number of runs of each setting is (z_{1−α/2} + z_{0.8})² / (6 (p − 1/2)²), where p is the probability of
    improvement (Noether 1987).
    """
    return _rest(probability_of_improvement(best, scores), 6.0, min(len(scores), len(best)), tests)


def share_explained(codes: Array, scores: Array) -> float:
    """Return the share of the variance of the scores' ranks that one setting explains alone, in [0, 1].

    This is ε² = (H − k + 1) / (n − k), where H is the Kruskal–Wallis statistic of the k groups of n runs, or 0 if that
    is negative (Tomczak and Tomczak 2014). For a setting without effect, its mean is 0. It does not see effects that a
    setting has only together with another one.

    Args:
        codes: the group of each run, [n] whole numbers.
        scores: the score of each run, [n].
    """
    ranks, k, n = stats.rankdata(scores), len(np.unique(codes)), len(scores)
    if k < 2 or n <= k or ranks.var() == 0:
        return 0.0
    groups = np.unique(codes, return_inverse=True)[1]
    sizes = np.bincount(groups)
    means = np.bincount(groups, ranks) / sizes
    h = (n - 1) * (sizes * (means - ranks.mean()) ** 2).sum() / ((ranks - ranks.mean()) ** 2).sum()
    return float(max(0.0, (h - k + 1) / (n - k)))


def _rest(p: float, factor: float, n: int, tests: int) -> float:
    z = _deviate(tests)
    smallest = math.ceil(1 - math.log2(LEVEL / tests))  # with fewer pairs, no result is significant: p ≥ 2 · 2^−n
    needed = math.inf if math.isclose(p, 0.5) else max(z**2 / (factor * (p - 0.5) ** 2), smallest)
    return max(1.0, math.ceil(needed) - n) if math.isfinite(needed) else math.inf


@cache
def _deviate(tests: int) -> float:
    """Return z_{1−α/2} + z_{0.8}, where α is the level of each of some tests."""
    return float(stats.norm.ppf(1 - LEVEL / (2 * tests)) + stats.norm.ppf(POWER))


def _between(low: float, high: float, fraction: float) -> float:
    return low if low == high or fraction == 0 else low + (high - low) * fraction
