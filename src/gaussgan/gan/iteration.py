"""One iteration of training as a function of (state, batch)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from gaussgan.gan.averaging import update_average
from gaussgan.gan.optimizers import with_explicit_state
from gaussgan.gan.player import Player, unflatten
from gaussgan.gan.state import PlayerState, State
from gaussgan.gan.updates import Losses, Update


class Iteration:
    """Moves both players by one call of an update rule, then updates the moving average of the generator's θ.

    A call with (state, batch) changes the tensors of the state in place and returns the losses. The state is the
    players' own state, or any other state with the same shapes. The result depends only on the state, the batch and the
    learning rates. So `torch.fx.experimental.proxy_tensor.make_fx(iteration)(state, batch)` can trace an iteration.

    Args:
        averaging_rate: the weight 1 − δ in the moving average θ̄ ← δ θ̄ + (1 − δ) θ of the generator's parameters θ.
            Pass None for no average.
    """

    def __init__(
        self, update: Update, discriminator: Player, generator: Player, averaging_rate: Tensor | None = None
    ) -> None:
        self.update, self.discriminator, self.generator = update, discriminator, generator
        self.averaging_rate = averaging_rate

    def __call__(self, state: State, batch: Any) -> Losses:
        if state.discriminator.theta is not self.discriminator.theta:
            with using_state(self.discriminator, state.discriminator), using_state(self.generator, state.generator):
                return self._play(state, batch)
        return self._play(state, batch)

    def _play(self, state: State, batch: Any) -> Losses:
        losses = self.update(self.discriminator, self.generator, batch, *state.memory)
        if state.average is not None and self.averaging_rate is not None:
            update_average(state.average, state.generator.theta, self.averaging_rate)
        return losses


@contextmanager
def using_state(player: Player, state: PlayerState) -> Iterator[None]:
    """Make a player compute with the tensors of `state` instead of the player's own, inside a with block.

    Raises:
        TypeError: when the player's optimizer comes from torch.optim; see `with_explicit_state`.
    """
    with_explicit_state(player.optimizer)
    modules = dict(player.module.named_modules())
    own, buffers = (player.theta, player.parameters, player.state.optimizer), player.state.buffers
    memory = player.memory
    views = unflatten(state.theta, player.parameters, player.leading)
    parameters = [view.detach().requires_grad_() for view in views]
    _set_tensors(player, modules, state.theta, parameters, state.optimizer, state.buffers)
    player.memory = state.memory
    try:
        yield
        for name, buffer in player.module.named_buffers():
            if buffer is not state.buffers[name]:  # the network has replaced it instead of changing it in place
                state.buffers[name].copy_(buffer)
    finally:
        _set_tensors(player, modules, *own, buffers)
        player.memory = memory


def _set_tensors(
    player: Player,
    modules: dict[str, nn.Module],
    theta: Tensor,
    parameters: list[Tensor],
    optimizer_state: dict[str, Any],
    buffers: dict[str, Tensor],
) -> None:
    """Replace the tensors of a player, of its network and of its optimizer."""
    player.use(parameters)
    for name, buffer in buffers.items():
        owner, _, last = name.rpartition(".")
        modules[owner]._buffers[last] = buffer
    del player.optimizer.state[player.theta]
    player.optimizer.state[theta] = optimizer_state
    player.optimizer.param_groups[0]["params"] = [theta]
    player.theta = theta
