"""The Jacobian of one training iteration. The eigenvalues of this Jacobian are the spectrum of the game."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gaussgan.gan.game import Game
from gaussgan.gan.iteration import Iteration
from gaussgan.gan.module import GAN
from gaussgan.gan.optimizers import SGD
from gaussgan.gan.player import Player
from gaussgan.gan.state import State
from gaussgan.gan.updates import Update, period, start

STEP = 1e-5  # the step size of the central differences


def eigenvalues(update: Update, discriminator: Player, generator: Player, batch: Any) -> Tensor:
    """Return the eigenvalues of one training iteration at the players' current parameters, [n], complex.

    They are those of `update_jacobian`. If a rule repeats itself only after p iterations, they are p-th roots of the
    eigenvalues of p iterations, so that the modulus is still the factor of one iteration.
    """
    jacobian = update_jacobian(update, discriminator, generator, batch)
    return torch.linalg.eigvals(jacobian.nan_to_num()) ** (1 / period(update))


def update_jacobian(update: Update, discriminator: Player, generator: Player, batch: Any) -> Tensor:
    """Return the Jacobian of one training iteration at the players' current parameters, [n, n].

    If the update rule has a period p, it is the Jacobian of p iterations, which all use the same batch.

    An iteration maps a state of n numbers to the next state. A state consists of the parameter vectors θ of both
    players, the tensors that the optimizers keep (momentum), and the tensors that the update rule keeps (past
    gradients). Only tensors with the shape of a θ count. Momentum and past gradients have the values that one iteration
    from the current state gives them. Central differences in float64 give about nine digits. The call leaves the
    players' state as it was.

    Near an equilibrium, the iteration converges if all eigenvalues of the Jacobian lie inside the unit circle. In the
    long run, the distance from the equilibrium then shrinks in each iteration by a factor equal to the largest modulus
    of an eigenvalue.

    Args:
        update: the update rule of the game.
        discriminator: the player that updates the discriminator's parameters, in float64.
        generator: the player that updates the generator's parameters, in float64.
        batch: the batch of examples that the iteration uses.
    """
    iterate, memory = Iteration(update, discriminator, generator), start(update, discriminator, generator)
    thetas, state = [discriminator.theta, generator.theta], State(discriminator.state, generator.state, memory)
    point, began = _clones(thetas), _clones(state.tensors())
    iterate(state, batch)  # so that past gradients exist; torch's own optimizers create their state here
    _copy(thetas, point)
    there = State(discriminator.state, generator.state, memory)
    everything = there.tensors()
    vectors = [*_vectors(discriminator), *_vectors(generator)]
    everything += [tensor for tensor in vectors if all(tensor is not other for other in everything)]
    here = _clones(everything)
    vectors += [tensor for tensor in memory if tensor.shape in {theta.shape for theta in thetas}]

    def after(vector: Tensor, i: int, step: float) -> Tensor:
        """Add `step` to entry i of `vector`, a part of the state. Return the state after one iteration from there."""
        _copy(everything, here)
        vector[i] += step
        for _ in range(period(update)):
            iterate(state, batch)
        return torch.cat(vectors)

    columns = [
        (after(vector, i, STEP) - after(vector, i, -STEP)) / (2 * STEP)
        for vector in vectors
        for i in range(vector.numel())
    ]
    _copy(everything, here)
    _copy(state.tensors(), began)
    return torch.stack(columns, 1)


class Step(NamedTuple):
    """A player's steps of gradient descent.

    Args:
        lr: the learning rate.
        momentum: the factor of the momentum; see `SGD`.
        limits: further arguments of the `Player`, such as `clip_gradient`.
    """

    lr: float
    momentum: float = 0.0
    limits: Mapping[str, Any] | None = None


def linearised(gan: GAN) -> tuple[Player, Player]:
    """Return copies of a GAN's two players, the discriminator first. The copies are in float64 on the CPU.

    Each copy uses SGD with the learning rate and momentum of the original player.
    """
    groups = [player.optimizer.param_groups[0] for player in (gan.discriminator_player, gan.generator_player)]
    steps = [
        Step(group["lr"], group.get("momentum", 0.0), limits)
        for group, limits in zip(groups, (gan.player_d, gan.player_g), strict=True)
    ]
    return sgd_players(gan.game, *steps)


def sgd_players(game: Game, step_d: Step, step_g: Step) -> tuple[Player, Player]:
    """Return copies of the two players of a game, the discriminator first, in float64 on the CPU. Both use SGD."""
    generator, discriminator = (deepcopy(each).double().cpu() for each in (game.generator, game.discriminator))
    copied = game.like(generator, discriminator, game.objective, game.penalties)
    sgd_d, sgd_g = (partial(SGD, lr=step.lr, momentum=step.momentum) for step in (step_d, step_g))
    return copied.players(sgd_d, sgd_g, limits_d=step_d.limits, limits_g=step_g.limits)


def _vectors(player: Player) -> list[Tensor]:
    """Return a player's parameter vector θ, and those tensors of its optimizer's state that have the shape of θ."""
    remembered = (value for value in player.optimizer.state[player.theta].values() if isinstance(value, Tensor))
    return [player.theta, *(tensor for tensor in remembered if tensor.shape == player.theta.shape)]


def _clones(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors]


def _copy(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)
