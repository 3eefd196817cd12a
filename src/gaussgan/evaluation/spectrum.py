"""How a game moves near a point: the linear map that an iteration is there, and its eigenvalues."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gaussgan.gan.player import Player
from gaussgan.gan.updates import Update


def update_jacobian(update: Update, discriminator: Player, generator: Player, batch: Any) -> Tensor:
    """The derivative of one iteration, as a map of the game's state to itself, at the current point, [n, n].

    The state is both players' θ, and what their optimizers (momentum, say) and the rule (past gradients) remember.
    Central differences: in float64 they are good to about nine digits. The players end up where they began. Near an
    equilibrium the iteration converges if all eigenvalues lie within the unit circle, by the largest modulus a time.
    """
    players = (discriminator, generator)
    thetas = [player.theta.clone() for player in players]
    update(discriminator, generator, batch)  # so that there is something to remember
    for player, theta in zip(players, thetas, strict=True):
        player.theta.copy_(theta)
    start = [tensor.clone() for tensor in _state(update, players)]
    columns = []
    for i in range(sum(tensor.numel() for tensor in start)):
        ends = []
        for sign in (1, -1):
            _restore(update, players, start)
            _nudge(_state(update, players), i, sign * STEP)
            update(discriminator, generator, batch)
            ends.append(torch.cat(_state(update, players)))
        columns.append((ends[0] - ends[1]) / (2 * STEP))
    _restore(update, players, start)
    for player in players:
        player.losses.clear()
    return torch.stack(columns, 1)


STEP = 1e-5


def _state(update: Update, players: tuple[Player, Player]) -> list[Tensor]:
    remembered = [
        value
        for player in players
        for value in player.optimizer.state[player.theta].values()
        if isinstance(value, Tensor) and value.shape == player.theta.shape
    ]
    return [*(player.theta for player in players), *remembered, *getattr(update, "memory", [])]


def _restore(update: Update, players: tuple[Player, Player], start: list[Tensor]) -> None:
    for tensor, value in zip(_state(update, players), start, strict=True):
        tensor.copy_(value)


def _nudge(state: list[Tensor], i: int, step: float) -> None:
    for tensor in state:
        if i < tensor.numel():
            tensor[i] += step
            return
        i -= tensor.numel()
