"""Two-sample tests: a permutation test, a trained classifier, and the best possible classifier."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from gaussgan.networks import MLP

ROWS = 1000  # number of rows of the distance matrix that are in memory at the same time


def energy_test(x: Tensor, y: Tensor, permutations: int, rng: torch.Generator) -> tuple[float, float]:
    """Return the energy distance E of two samples x and y, and the p-value of a permutation test of equality.

        E = 2/n² Σ ‖x_i − y_j‖ − 1/n² Σ ‖x_i − x_j‖ − 1/n² Σ ‖y_i − y_j‖ = −sᵀ D s / n²

    D is the distance matrix of the pooled sample. The entries of s are +1 for examples of x and −1 for examples of y.
    In the limit n → ∞, E is 0 only if x and y have the same distribution (Székely and Rizzo 2013,
    doi:10.1016/j.jspi.2013.03.018). In this case, the p-value is uniform on the multiples of 1 / (permutations + 1).
    One pass over D computes E for all permutations. If x or y has NaN or infinity, both results are NaN.

    Args:
        x: the first sample, [n, d].
        y: the second sample, [n, d].
        permutations: the number of random permutations of the pooled sample.
        rng: the random number generator that draws the permutations.
    """
    n, pooled = len(x), torch.cat([x, y]).float()
    largest = pooled.abs().max().item()
    if not math.isfinite(largest):
        return math.nan, math.nan
    scale = 2.0 ** math.frexp(largest)[1]  # a power of two, so that scaling is exact and squares do not overflow
    pooled = pooled.double().div(scale).float()
    signs = torch.ones(2 * n, permutations + 1)
    signs[n:, 0] = -1
    for column in range(1, permutations + 1):
        signs[torch.randperm(2 * n, generator=rng)[n:], column] = -1
    energies = torch.zeros(permutations + 1, dtype=torch.float64)
    for rows, row_signs in zip(pooled.split(ROWS), signs.split(ROWS), strict=True):
        distances = torch.cdist(rows, pooled, compute_mode="donot_use_mm_for_euclid_dist")
        energies -= (row_signs * (distances @ signs)).sum(0, dtype=torch.float64) / n**2
    at_least = (energies[1:] >= energies[0]).sum().item()
    return scale * energies[0].item(), (1 + at_least) / (1 + permutations)


class Accuracy(NamedTuple):
    """A classifier's accuracy, and a test of whether it is better than guessing.

    Attributes:
        value: the accuracy, the proportion of correct answers.
        error: the standard error of the accuracy.
        p: the one-sided p-value of the null hypothesis that the classifier guesses, so that its accuracy is ½.
    """

    value: float
    error: float
    p: float


def classifier_test(x: Tensor, y: Tensor, rng: torch.Generator, steps: int = 300) -> Accuracy:
    """Train a classifier to tell from which of two samples an example comes. Return the classifier's accuracy.

    The test is from Lopez-Paz and Oquab 2017, arXiv 1610.06545. The classifier is trained on one half
    of each sample, and its accuracy is measured on the other halves. The classifier is a tanh network with two hidden
    layers of 32 units on standardised features. Each step of Adam uses all training examples. The p-value uses the
    normal approximation of the binomial distribution.

    Args:
        x: the first sample, [n, d].
        y: the second sample, [n, d].
        rng: the random number generator for the network's initial parameters.
        steps: the number of steps of Adam.
    """
    half = len(x) // 2
    train, test = torch.cat([x[:half], y[:half]]).float(), torch.cat([x[half:], y[half:]]).float()
    mean, std = train.mean(0), train.std(0)
    labels = torch.cat([torch.ones(half, 1), torch.zeros(half, 1)])
    network = MLP(x.shape[-1], [32, 32], 1, std=0.3, rng=rng)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        loss = binary_cross_entropy_with_logits(network((train - mean) / std), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        verdicts = network((test - mean) / std).squeeze(-1) > 0
    return _accuracy(verdicts[: len(x) - half], ~verdicts[len(x) - half :])


def best_accuracy(x: Tensor, y: Tensor, log_ratio: Callable[[Tensor], Tensor]) -> Accuracy:
    """Return the accuracy of the optimal classifier, which tells examples of a density p from examples of a density q.

    The optimal classifier chooses p where log p/q > 0. Any other classifier can be better only by chance.

    Args:
        x: examples of p, [n, d].
        y: examples of q, [n, d].
        log_ratio: a function that maps examples, [n, d], to the values of log p/q, [n].
    """
    return _accuracy(log_ratio(x) > 0, log_ratio(y) <= 0)


def _accuracy(right_on_x: Tensor, right_on_y: Tensor) -> Accuracy:
    right = torch.cat([right_on_x, right_on_y]).double()
    value, n = right.mean().item(), len(right)
    p = math.erfc((value - 0.5) * math.sqrt(2 * n)) / 2
    return Accuracy(value, math.sqrt(value * (1 - value) / n), p)
