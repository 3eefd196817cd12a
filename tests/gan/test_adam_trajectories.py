"""The variants of Adam follow independent implementations in NumPy, on a game that is not linear.

L_x = mean over b of sin(b + xᵀ A y) + ‖x‖² / 20,   L_y = −mean over b of sin(b + xᵀ A y) + ‖y‖² / 20
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gaussgan.data.loader import Batch
from gaussgan.gan.optimizers import Adam, OptimisticAdam
from gaussgan.gan.player import Player
from gaussgan.gan.updates import Alternating, Extragradient, Lookahead, PastExtragradient, Simultaneous, Update, start
from gaussgan.rng import normal, stream

LR, BETAS, EPS = 0.03, (0.6, 0.95), 1e-6
A = np.array([[1.0, 0.4], [-0.3, 0.8]])
X, Y = np.array([0.7, -0.4]), np.array([-0.2, 0.9])
STEPS = 300
BATCHES = normal(STEPS, 8, 1, generator=stream(0, "trajectory")).double()
Array = np.ndarray


def gradients(x: Array, y: Array, b: Array) -> tuple[Array, Array]:
    slope = np.cos(b + x @ A @ y).mean()
    return slope * A @ y + x / 10, -slope * x @ A + y / 10


class Moments:
    """Adam's normalised step m̂ / (√v̂ + eps) along each new gradient."""

    def __init__(self) -> None:
        self.m, self.v, self.t = np.zeros(2), np.zeros(2), 0

    def __call__(self, g: Array) -> Array:
        (b1, b2), self.t = BETAS, self.t + 1
        self.m, self.v = b1 * self.m + (1 - b1) * g, b2 * self.v + (1 - b2) * g * g
        return self.m / (1 - b1**self.t) / (np.sqrt(self.v / (1 - b2**self.t)) + EPS)


def optimistic(batches: Array) -> Iterator[tuple[Array, Array]]:
    """Daskalakis et al. 2018, arXiv 1711.00141, algorithm 1."""
    x, y, last_x, last_y, adam_x, adam_y = X, Y, np.zeros(2), np.zeros(2), Moments(), Moments()
    for b in batches:
        g_x, g_y = gradients(x, y, b)
        step_x, step_y = adam_x(g_x), adam_y(g_y)
        x, y = x - 2 * LR * step_x + LR * last_x, y - 2 * LR * step_y + LR * last_y
        last_x, last_y = step_x, step_y
        yield x, y


def extra(batches: Array, samples: int, past: bool) -> Iterator[tuple[Array, Array]]:
    """Gidel et al. 2019, arXiv 1802.10551, algorithm 4: with new gradients, or with past ones."""
    x, y, adam_x, adam_y = X, Y, Moments(), Moments()
    g_x, g_y = np.zeros(2), np.zeros(2)
    for b in batches:
        one, two = np.split(b, 2) if samples == 2 else (b, b)
        if not past:
            g_x, g_y = gradients(x, y, one)
        ahead_x, ahead_y = x - LR * adam_x(g_x), y - LR * adam_y(g_y)
        g_x, g_y = gradients(ahead_x, ahead_y, two)
        x, y = x - LR * adam_x(g_x), y - LR * adam_y(g_y)
        yield x, y


def lookahead(batches: Array) -> Iterator[tuple[Array, Array]]:
    """Chavdarova et al. 2021, arXiv 2006.14567, algorithm 1, with alternating steps, k = 6 and α = 0.3."""
    x, y, adam_x, adam_y = X, Y, Moments(), Moments()
    slow_x, slow_y = x, y
    for i, b in enumerate(batches):
        x = x - LR * adam_x(gradients(x, y, b)[0])
        y = y - LR * adam_y(gradients(x, y, b)[1])
        if (i + 1) % 6 == 0:
            x = slow_x = slow_x + 0.3 * (x - slow_x)
            y = slow_y = slow_y + 0.3 * (y - slow_y)
        yield x, y


def game(optimizer: type) -> tuple[Player, Player]:
    x, y = (nn.ParameterList([nn.Parameter(torch.tensor(value))]) for value in (X, Y))
    matrix = torch.tensor(A)

    def wave(batch: Batch) -> Tensor:
        return (batch.real + x[0] @ matrix @ y[0]).sin()

    adam = partial(optimizer, lr=LR, betas=BETAS, eps=EPS)
    first = Player(x, lambda batch: wave(batch) + x[0].square().sum() / 20, adam)
    return first, Player(y, lambda batch: y[0].square().sum() / 20 - wave(batch), adam)


@pytest.mark.parametrize(
    ("rule", "optimizer", "expected"),
    [
        (Simultaneous(), OptimisticAdam, optimistic),
        (Extragradient(), Adam, partial(extra, samples=1, past=False)),
        (Extragradient(batches=2), Adam, partial(extra, samples=2, past=False)),
        (PastExtragradient(), Adam, partial(extra, samples=1, past=True)),
        (Lookahead(Alternating(), k=6, alpha=0.3), Adam, lookahead),
    ],
)
def test_trajectory(rule: Update, optimizer: type, expected: Callable[[Array], Iterator[tuple[Array, Array]]]) -> None:
    first, second = game(optimizer)
    memory = start(rule, first, second)
    for b, (x, y) in zip(BATCHES, expected(BATCHES.numpy()), strict=True):
        rule(first, second, Batch(b, b), *memory)
        assert np.abs(first.theta.numpy() - x).max() < 1e-10
        assert np.abs(second.theta.numpy() - y).max() < 1e-10
    assert np.abs(x - X).max() > 0.1
