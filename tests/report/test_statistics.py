"""Statistics of the report against scipy, brute force and the literature."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from gaussgan.report import intervals, statistics

INF = math.inf
DRAWS = np.random.default_rng(0)


def test_quantiles_are_numpys_and_may_be_infinite() -> None:
    values = DRAWS.normal(size=17)
    assert statistics.quantiles(values, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(values, [0.1, 0.5, 0.9]))
    assert statistics.quantiles(np.array([1.0, INF, 2.0, INF]), [0, 0.5, 1]) == [1, INF, INF]
    assert statistics.quantiles(np.array([1.0, INF, 3.0]), [0.25, 0.5]) == [2, 3]


def test_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert statistics.interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, 7])) == (3 + 4 + 5 + 6) / 4
    assert statistics.interquartile_mean(np.array([INF, 1.0, 2, 3])) == 2.5
    assert statistics.interquartile_mean(np.array([INF, INF, 1.0, 2])) == INF


def test_two_diverged_runs_are_a_tie() -> None:
    pairs = statistics.differences(np.array([INF, INF, 1, 3.0]), np.array([INF, 1, INF, 1.0]))
    assert pairs.tolist() == [0, INF, -INF, 2]


def test_the_signed_rank_test_is_scipys() -> None:
    pairs = DRAWS.normal(0.3, size=40)
    assert statistics.signed_rank_p([pairs]) == [stats.wilcoxon(pairs).pvalue]


def test_many_signed_rank_tests_are_scipys_one_by_one() -> None:
    draws = np.random.default_rng(1)
    sizes = draws.choice([1, 2, 5, 8, 14, 50, 51, 60], size=120)
    pairs = [draws.normal(0.3, size=n) for n in sizes]
    pairs[::3] = [each.round(1) for each in pairs[::3]]  # ties and zeros
    expected = [
        stats.wilcoxon(each, zero_method="pratt").pvalue if each.any() and len(each) > 1 else 1 for each in pairs
    ]
    assert statistics.signed_rank_p(pairs) == pytest.approx(expected, rel=1e-12)


def test_a_diverged_run_has_the_largest_rank() -> None:
    pairs = np.array([0.3, -0.1, 0.2, INF, -0.4, 0.8, INF, 0.5])
    finite = np.where(np.isinf(pairs), 1e6, pairs)
    assert statistics.signed_rank_p([pairs]) == [stats.wilcoxon(finite, zero_method="pratt").pvalue]


def test_ties_do_not_make_a_difference_more_certain() -> None:
    few = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -0.05])
    many = np.concatenate([few, np.zeros(40)])
    p_few, p_many, p_zeros, p_none = statistics.signed_rank_p([few, many, np.zeros(5), np.empty(0)])
    assert p_many > p_few
    assert p_many == stats.wilcoxon(many, zero_method="pratt").pvalue
    assert p_zeros == 1
    assert math.isnan(p_none)


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, math.nan])[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1, 1]


@pytest.mark.parametrize("n", [5, 31])
def test_the_interval_of_the_median_is_that_of_many_resamples(n: int) -> None:
    values = DRAWS.exponential(size=n)
    medians = np.median(DRAWS.choice(values, (40_000, n)), axis=1)
    place = np.searchsorted(np.sort(values), [*intervals.median_interval(values)])
    many = np.searchsorted(np.sort(values), np.quantile(medians, [0.025, 0.975]))
    assert np.abs(place - many).max() <= (0 if n < 10 else 1)


@pytest.mark.parametrize("n", [2, 4, 24, 64, 500])
def test_the_interval_of_the_median_is_that_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    expected = stats.bootstrap((values,), np.median, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    near = 0.02 if n > 4 else 0  # the resamples of scipy are random
    assert [*intervals.median_interval(values)] == pytest.approx([*expected], abs=near)


def test_the_interval_of_the_median_with_infinite_values() -> None:
    assert intervals.median_interval(np.array([1.0, INF, INF, INF])) == (1, INF)
    assert intervals.median_interval(np.array([-INF, INF])) == (-INF, INF)
    assert intervals.median_interval(np.full(6, INF)) == (INF, INF)


def test_the_interval_of_the_median_contains_it_in_19_of_20_samples() -> None:
    hits = [low <= 0 <= high for low, high in (intervals.median_interval(DRAWS.normal(size=24)) for _ in range(600))]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.03)


def test_the_interval_of_a_difference_is_that_of_many_resamples() -> None:
    a, b = DRAWS.normal(1, size=401), DRAWS.normal(0, size=301)
    medians = [np.median(DRAWS.choice(each, (20_000, len(each))), axis=1) for each in (a, b)]
    expected = np.quantile(medians[0] - medians[1], [0.025, 0.975])
    assert [*intervals.difference_interval(a, b)] == pytest.approx(expected, abs=0.02)


def test_the_probability_of_improvement_counts_all_pairs() -> None:
    best, scores = np.array([1.0, 2, 2, INF]), np.array([2.0, 3, INF])
    wins = [1 if x < y else 0.5 if x == y else 0 for x, y in product(best, scores)]
    assert statistics.probability_of_improvement(best, scores) == pytest.approx(np.mean(wins))


def test_a_performance_profile_is_the_share_within_each_limit_and_its_band_is_the_bootstraps() -> None:
    values = np.array([1.0, 2, 2, 3, INF] * 6)
    share, low, high = statistics.profile(values, np.array([0.5, 2, 10]))
    assert share.tolist() == [0, 0.6, 0.8]
    resampled = (DRAWS.choice(values, (20_000, 30)) <= 2).mean(1)
    assert [low[1], high[1]] == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.035)


def test_more_seeds_follows_noether() -> None:
    pairs = np.array([0.4, -0.1, 0.3, 0.2, -0.3, 0.5, 0.0, 0.1])
    n = len(pairs)
    sums = [pairs[i] + pairs[j] for i in range(n) for j in range(i)]
    p = np.mean([1 if each > 0 else 0.5 if each == 0 else 0 for each in sums])
    z = stats.norm.ppf(1 - 0.05 / (2 * 3)) + stats.norm.ppf(0.8)
    assert statistics.more_seeds(pairs, tests=3) == max(1, math.ceil(z**2 / (3 * (p - 0.5) ** 2)) - n)
    assert statistics.more_seeds(np.array([1.0, -1.0]), tests=1) == INF


def test_as_many_seeds_find_the_difference_with_the_promised_probability() -> None:
    first = stats.norm.ppf((np.arange(12) + 0.5) / 12, loc=0.6)  # 12 pairs that look like N(0.6, 1)
    n = 12 + int(statistics.more_seeds(first, tests=1))
    p = statistics.signed_rank_p([*DRAWS.normal(0.6, size=(400, n))])
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.8, abs=0.09)


def test_the_share_explained_is_epsilon_squared_of_kruskal_and_wallis() -> None:
    codes, scores = np.repeat([0, 1, 2], 20), DRAWS.normal(size=60) + np.repeat([0, 1, 3], 20)
    h = stats.kruskal(*np.split(scores, 3)).statistic
    assert statistics.share_explained(codes, scores) == pytest.approx((h - 2) / 57)
    assert statistics.share_explained(codes, np.tile(scores[:20], 3)) == 0
