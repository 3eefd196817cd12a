"""Bootstrap intervals of medians. Nothing is drawn, because the distribution of a resampled median is known."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import gammaln

from gaussgan.report.statistics import LEVEL, Array, differences, quantiles

EXACT = 500  # up to this even number of values, the interval of their median is exact
GRID = 1_000  # number of quantiles that stand for the distribution of a resampled median


class Interval(NamedTuple):
    low: float
    high: float


def median_interval(values: Array) -> Interval:
    """Return a 95% bootstrap percentile interval of the median, [low, high].

    The distribution of the median of n draws with replacement is known (Efron 1979), so nothing is drawn. For odd n,
    the median is the k-th smallest value with the probability that a Beta(m, n + 1 − m) variable lies in
    ((k − 1) / n, k / n], where m is the rank of the median. For even n, it is the mean of two values; see
    `_middle_pairs`. For n > EXACT, the two middle values count as equal.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan)
    ordered = np.sort(values)
    if n % 2 or n > EXACT:
        m = (n + 1) / 2
        ends = n * stats.beta.ppf([LEVEL / 2, 1 - LEVEL / 2], m, n + 1 - m)
        low, high = ordered[np.clip(np.ceil(ends).astype(int) - 1, 0, n - 1)]
    else:
        first, second, probability = _middle_pairs(n)
        a, b = ordered[first], ordered[second]
        with np.errstate(invalid="ignore"):  # ∞ − ∞, which counts as 0
            means = np.where(a == -b, 0.0, a / 2 + b / 2)
        order = np.argsort(means)
        places = np.searchsorted(np.cumsum(probability[order]), [LEVEL / 2, 1 - LEVEL / 2])
        low, high = means[order][places.clip(0, len(means) - 1)]
    return Interval(float(low), float(high))


@lru_cache(maxsize=16)
def _middle_pairs(n: int) -> tuple[Array, Array, Array]:
    """Return the distribution of the two middle values of n draws from n values with replacement, for even n.

    With m = n/2 and i < j, they are the i-th and the j-th smallest value with the probability
    C(n, m) [(i/n)ᵐ − ((i−1)/n)ᵐ] [((n−j+1)/n)ᵐ − ((n−j)/n)ᵐ]: m draws are at most the i-th value and one of them equals
    it, and the others are at least the j-th value and one of them equals it.

    Returns:
        Three arrays with one entry for each pair i ≤ j: i − 1, j − 1, and the probability.
    """
    m, rank = n // 2, np.arange(1, n + 1)
    ends_at = (rank / n) ** m - ((rank - 1) / n) ** m
    i, j = np.triu_indices(n, 1)
    with np.errstate(divide="ignore"):  # a probability that is too small for a float is 0
        log_ends = np.log(ends_at)
    apart = np.exp(gammaln(n + 1) - 2 * gammaln(m + 1) + log_ends[i] + log_ends[::-1][j])
    lower = np.diff(stats.beta.cdf(np.arange(n + 1) / n, m, n + 1 - m))  # the distribution of the lower one alone
    equal = lower - np.bincount(i, apart, minlength=n)
    return np.append(i, rank - 1), np.append(j, rank - 1), np.append(apart, equal.clip(0))


def difference_interval(scores: Array, best: Array) -> Interval:
    """Return a 95% bootstrap interval of the difference of two medians of independent samples.

    The distribution of each resampled median (see `median_interval`) is represented by GRID quantiles.
    """
    level = (np.arange(GRID) + 0.5) / GRID
    medians = []
    for values in (scores, best):
        n, m = len(values), (len(values) + 1) // 2
        places = np.ceil(n * stats.beta.ppf(level, m, n + 1 - m)).astype(int) - 1
        medians.append(np.sort(values)[places.clip(0, n - 1)])
    pairs = differences(*(each.ravel() for each in np.meshgrid(*medians)))
    return Interval(*quantiles(pairs, [LEVEL / 2, 1 - LEVEL / 2]))
