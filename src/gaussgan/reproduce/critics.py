"""Critics that are trained against a fixed generator, real examples plus noise: figure 1a of Gulrajani et al. 2017."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from gaussgan.data.distributions import grid, ring
from gaussgan.data.loader import Batch
from gaussgan.gan.game import Game
from gaussgan.gan.objectives import Wasserstein
from gaussgan.gan.optimizers import Adam, RMSprop
from gaussgan.gan.penalties import WGANGP
from gaussgan.gan.player import Player
from gaussgan.networks import MLP
from gaussgan.reproduce.row import Measured
from gaussgan.rng import normal, stream

SURFACES = "surfaces.pt"  # in the directory of a row: both critics on a grid, their alignments, real examples
REACH, POINTS, BATCH = 3.0, 128, 256  # of the grid, and the number of examples of a step
Sampler = Callable[[int, torch.Generator], Tensor]


def swiss_roll(n: int, generator: torch.Generator) -> Tensor:
    """Draw n points, [n, 2], of the spiral t (cos t, sin t), t uniform in [1.5π, 4.5π], with noise from N(0, 1/16).

    They are divided by 7.5, as in the paper's code.
    """
    t = 1.5 * math.pi * (1 + 2 * torch.rand(n, 1, generator=generator))
    return (t * torch.cat([t.cos(), t.sin()], -1) + 0.25 * normal(n, 2, generator=generator)) / 7.5


TOYS: dict[str, Sampler] = {  # in the units of the paper's code
    "8 Gaussians": ring(8, 2 / 1.414, 0.02 / 1.414).sample,
    "25 Gaussians": grid(5, 2 / 2.828, 0.05 / 2.828).sample,
    "swiss roll": swiss_roll,
}


def pairs(sample: Sampler, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw n real examples, and n generated ones: other real examples plus noise from N(0, I). Both are [n, 2]."""
    real, other = sample(2 * n, generator).split(n)
    return real, other + normal(n, 2, generator=generator)


def trained_critic(sample: Sampler, clip: float | None, iterations: int, width: int, seed: int) -> nn.Module:
    """Return a Wasserstein critic that is trained on `pairs`.

    Args:
        clip: the largest absolute value of a weight, with RMSprop; None for the gradient penalty instead, with Adam.
        iterations: the number of steps.
        width: the number of units in each of three hidden layers.
        seed: the seed of the weights and of the examples.
    """
    critic = MLP(2, [width] * 3, 1, (2 / width) ** 0.5, stream(seed, "critic"), activation=nn.ReLU())
    game = Game(nn.Identity(), critic, Wasserstein(), [] if clip else [WGANGP(0.1)])
    adam, rms = partial(Adam, lr=1e-3, betas=(0.5, 0.9), eps=1e-8), partial(RMSprop, lr=5e-5)
    player = Player(critic, game.discriminator_loss, rms if clip else adam, scale=2, clip_weights=clip)
    draws = stream(seed, "critic's examples")
    for _ in range(iterations):
        player.step(Batch(*pairs(sample, BATCH, draws), torch.rand(BATCH, 1, generator=draws)))
    return critic


def alignment(critic: nn.Module, sample: Sampler, n: int = 1000) -> float:
    """Return the mean cosine of the critic's gradient and the direction of optimal transport.

    The gradient is taken between each of n generated examples and the real example to which optimal transport moves it,
    at a random point. The best critic has its gradient along this direction everywhere, so its mean cosine is 1.
    """
    draws = stream(0, "transport")
    real, fake = pairs(sample, n, draws)
    rows, columns = linear_sum_assignment(torch.cdist(fake, real).numpy())
    direction = real[torch.from_numpy(columns)] - fake[torch.from_numpy(rows)]
    points = (fake + torch.rand(n, 1, generator=draws) * direction).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points)
    return torch.cosine_similarity(gradient, direction, -1).mean().item()


@dataclass(frozen=True)
class AlignmentGain:
    """By how much the gradient penalty makes `alignment` larger than weight clipping does.

    Args:
        toy: the name of the distribution, a key of `TOYS`.
        clip: the limit of the clipped critic's weights.
        iterations: the number of a critic's steps.
        width: the number of units of a hidden layer.
    """

    toy: str
    clip: float = 0.01
    iterations: int = 1500
    width: int = 128

    @property
    def command(self) -> str:
        critic = f'trained_critic(TOYS["{self.toy}"], CLIP, {self.iterations}, {self.width}, seed)'
        return f'alignment({critic}, TOYS["{self.toy}"]) for CLIP = None, less that for CLIP = {self.clip}'

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured:
        sample, values = TOYS[self.toy], []
        for seed in seeds:
            critics = [trained_critic(sample, clip, self.iterations, self.width, seed) for clip in (self.clip, None)]
            clipped, penalised = (alignment(critic, sample) for critic in critics)
            values.append(penalised - clipped)
            if seed == seeds[0]:
                directory.mkdir(parents=True, exist_ok=True)
                surfaces = [surface(critic) for critic in critics]
                torch.save((surfaces, [clipped, penalised], sample(500, stream(0, "picture"))), directory / SURFACES)
        return Measured(values)


@torch.no_grad()
def surface(critic: nn.Module) -> Tensor:
    """Return the critic's values on a grid, [POINTS, POINTS]. The first row is the lowest."""
    ticks = torch.linspace(-REACH, REACH, POINTS)
    return critic(torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1)).squeeze(-1)
