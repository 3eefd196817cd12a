import math

import pytest
import torch
from scipy.stats import energy_distance, kstest

from gaussgan.evaluation.two_sample import best_accuracy, classifier_test, energy_test
from gaussgan.rng import normal, stream


def test_the_statistic_agrees_with_scipy_in_one_dimension() -> None:
    x, y = normal(300, 1, generator=stream(0, "x")), 0.5 + 2 * normal(300, 1, generator=stream(0, "y"))
    energy, _ = energy_test(x, y, permutations=9, rng=stream(0, "permutations"))
    assert energy == pytest.approx(energy_distance(x.flatten().numpy(), y.flatten().numpy()) ** 2, rel=1e-4)


def test_p_is_uniform_for_equal_distributions_and_small_for_different_ones() -> None:
    def p(i: int, shift: float) -> float:
        x, y = (normal(60, 2, generator=stream(i, purpose)) for purpose in "xy")
        return energy_test(x, y + shift, permutations=99, rng=stream(i, "permutations"))[1]

    assert kstest([p(i, 0.0) for i in range(200)], "uniform").pvalue > 0.01
    assert sum(p(i, 1.0) <= 0.05 for i in range(20)) == 20


def test_a_classifier_is_almost_optimal_and_guesses_if_distributions_are_equal() -> None:
    x, y = normal(4000, 2, generator=stream(0, "x")), normal(4000, 2, generator=stream(0, "y"))
    guess = classifier_test(x, y, stream(0, "classifier"))
    assert abs(guess.value - 0.5) < 4 * guess.error
    shifted = y + torch.tensor([1.0, 0.0])
    best = best_accuracy(x, shifted, lambda v: 0.5 - v[:, 0])
    trained = classifier_test(x, shifted, stream(0, "classifier"))
    assert best.value == pytest.approx(0.691462, abs=4 * best.error)  # Φ(½)
    assert best.value - 0.03 < trained.value < best.value + 4 * trained.error
    assert trained.p < 1e-6 < guess.p


def test_samples_far_apart_and_samples_that_are_not_finite() -> None:
    x, y = (normal(50, 2, generator=stream(0, purpose)) for purpose in "xy")
    energy, p = energy_test(x, 1e30 * y, permutations=99, rng=stream(0, "permutations"))
    assert energy == pytest.approx(1e30 * energy_test(1e-30 * x, y, 9, stream(0, "permutations"))[0], rel=1e-3)
    assert p == 0.01
    for bad in (torch.nan, torch.inf):
        assert all(map(math.isnan, energy_test(x, bad * y, permutations=9, rng=stream(0, "permutations"))))
