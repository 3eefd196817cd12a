"""How fast an update rule converges near an equilibrium: the spectral radius of its Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gaussgan.evaluation.spectrum import eigenvalues, linearised
from gaussgan.gan.updates import Update
from gaussgan.reproduce.configured import configured, rule_of
from gaussgan.reproduce.games import BATCH, Game, bilinear
from gaussgan.reproduce.row import Measured


def radius(rule: Update, game: Game) -> float:
    """Return the factor by which an iteration changes the distance from the equilibrium in the long run.

    It is the largest modulus of the eigenvalues of an iteration.
    """
    return eigenvalues(rule, *game, BATCH).abs().max().item()


@dataclass(frozen=True)
class BilinearRate:
    """The factor by which an iteration changes the distance from the equilibrium of min max x·y in the long run.

    Args:
        rule: overrides that choose the update rule.
        step: the learning rate.
        momentum: the momentum of both players.
    """

    rule: str
    step: float
    momentum: float = 0.0

    @property
    def command(self) -> str:
        momentum = f", momentum={self.momentum:g}" if self.momentum else ""
        return f'radius(rule_of("{self.rule}"), bilinear(step={self.step:g}{momentum}))'

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured:
        return Measured([radius(rule_of(self.rule), bilinear(self.step, self.momentum))])


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
