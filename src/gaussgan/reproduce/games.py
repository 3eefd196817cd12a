"""Games of two vectors, and a method that plays one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gaussgan.data.loader import Batch
from gaussgan.gan.optimizers import SGD
from gaussgan.gan.player import Player
from gaussgan.gan.updates import Update, start
from gaussgan.reproduce.configured import rule_of
from gaussgan.reproduce.row import Measured

Game = tuple[Player, Player]
MEAN = torch.tensor([3.0, 4.0], dtype=torch.float64)  # of mean_game
ROWS = torch.zeros(60, 1, dtype=torch.float64)
BATCH = Batch(ROWS, ROWS, ROWS)  # that no loss reads; rules split it into the chunks of several steps


class Point(nn.Module):
    """A player's choice: a vector, in float64."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(values, dtype=torch.float64))


def bilinear(step: float, momentum: float = 0.0) -> Game:
    """Return the players of min over x, max over y of x·y, with gradient steps: first x, then y. Both are at 0.

    Args:
        step: the learning rate of both players.
        momentum: the momentum of both players; may be negative.
    """
    x, y = Point(0.0), Point(0.0)
    sgd = partial(SGD, lr=step, momentum=momentum)
    return Player(x, lambda _: x.value * y.value, sgd), Player(y, lambda _: -x.value * y.value, sgd)


def mean_game(step: float, momentum: float = 0.0, clip: float | None = None, penalty: float = 0.0) -> Game:
    """Return the players of min over θ, max over w of ⟨w, v − θ⟩, with gradient steps: first w, then θ.

    It is a Wasserstein GAN that learns the mean v = (3, 4) of N(v, I) without sampling noise: the critic is ⟨w, x⟩, and
    the generator is z + θ. It starts at w = (1, 1), θ = 0. Daskalakis et al. 2018, arXiv 1711.00141.

    Args:
        step: the learning rate of both players.
        momentum: the momentum of both players.
        clip: the largest absolute value of an entry of w; None for no limit.
        penalty: the weight λ of the penalty λ (‖∇D‖ − 1)², where ∇D = w.
    """
    w, theta = Point(1.0, 1.0), Point(0.0, 0.0)

    def critic(_: Any) -> Tensor:
        return penalty * (w.value.norm() - 1).square() - w.value @ (MEAN - theta.value)

    sgd = partial(SGD, lr=step, momentum=momentum)
    return Player(w, critic, sgd, clip_weights=clip), Player(theta, lambda _: -w.value @ theta.value, sgd)


@dataclass(frozen=True)
class MeanGame:
    """The largest distance of θ from the mean v in the last fifth of a number of iterations of `mean_game`.

    Args:
        rule: overrides that choose the update rule.
        options: arguments of `mean_game`.
        iterations: the number of iterations.
    """

    rule: str
    options: Mapping[str, float]
    iterations: int = 2000

    @property
    def command(self) -> str:
        options = ", ".join(f"{name}={value:g}" for name, value in self.options.items())
        return f'farthest(rule_of("{self.rule}"), mean_game({options}), {self.iterations})'

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured:
        return Measured([farthest(rule_of(self.rule), mean_game(**self.options), self.iterations)])


def farthest(rule: Update, game: Game, iterations: int) -> float:
    """Return the largest ‖θ − v‖ in the last fifth of some iterations of `mean_game`."""
    memory, distances = start(rule, *game), []
    for _ in range(iterations):
        rule(*game, BATCH, *memory)
        distances.append((game[1].theta - MEAN).norm())
    return torch.stack(distances[-iterations // 5 :]).max().item()
