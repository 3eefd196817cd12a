"""How fast an update rule converges near an equilibrium: the spectral radius of its Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gaussgan.evaluation.spectrum import linearised, update_jacobian
from gaussgan.gan.player import Player
from gaussgan.gan.updates import Losses, Update, start
from gaussgan.reproduce.configured import configured, rule_of
from gaussgan.reproduce.games import BATCH, Game, bilinear
from gaussgan.reproduce.row import Measured


@dataclass(frozen=True)
class Repeated:
    """A rule whose one call is several calls of another rule, such as one whole cycle of lookahead."""

    rule: Update
    times: int

    def start(self, *players: Player) -> tuple[Tensor, ...]:
        return start(self.rule, *players)

    def __call__(self, discriminator: Player, generator: Player, batch: Any, *memory: Tensor) -> Losses:
        return [self.rule(discriminator, generator, batch, *memory) for _ in range(self.times)][-1]


def radius(rule: Update, game: Game, cycle: int = 1) -> float:
    """Return the factor by which an iteration changes the distance from the equilibrium in the long run.

    It is the largest modulus of the eigenvalues of the Jacobian of `cycle` iterations, to the power 1 / cycle.
    """
    matrix = update_jacobian(Repeated(rule, cycle), *game, BATCH)
    return torch.linalg.eigvals(matrix).abs().max().item() ** (1 / cycle)


@dataclass(frozen=True)
class BilinearRate:
    """The factor by which an iteration changes the distance from the equilibrium of min max x·y in the long run.

    Args:
        rule: overrides that choose the update rule.
        step: the learning rate.
        momentum: the momentum of both players.
        cycle: the number of iterations after which the rule is where it began.
    """

    rule: str
    step: float
    momentum: float = 0.0
    cycle: int = 1

    @property
    def command(self) -> str:
        momentum = f", momentum={self.momentum:g}" if self.momentum else ""
        cycle = f", cycle={self.cycle}" if self.cycle > 1 else ""
        return f'radius(rule_of("{self.rule}"), bilinear(step={self.step:g}{momentum}){cycle})'

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured:
        return Measured([radius(rule_of(self.rule), bilinear(self.step, self.momentum), self.cycle)])


def dirac(overrides: str) -> tuple[Update, Game]:
    """Return the update rule and the players of the Dirac-GAN that overrides choose, at its equilibrium."""
    from gaussgan.setup.assemble import assemble  # imports Lightning

    gan, *_ = assemble(configured(f"experiment=dirac {overrides}"))
    gan.configure_optimizers()
    players = linearised(gan)
    for player in players:
        player.theta.zero_()
    return gan.update, players


@dataclass(frozen=True)
class DiracRate:
    """The factor by which an iteration changes the distance of a Dirac-GAN from its equilibrium in the long run."""

    overrides: str

    @property
    def command(self) -> str:
        return f'radius(*dirac("{self.overrides}"))'

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured:
        return Measured([radius(*dirac(self.overrides))])
