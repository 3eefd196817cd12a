"""Update rules along gradients at points that the players have not reached, or along estimates of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gaussgan.gan.player import Loss, Player
from gaussgan.gan.updates.plain import Simultaneous
from gaussgan.gan.updates.protocol import Losses


class Extragradient:
    """Extragradient: make a simultaneous step, compute new gradients, undo the step, and step along the new gradients.

    Korpelevich 1976; for GANs Gidel et al. 2019, arXiv 1802.10551. With Adam this is their Extra-Adam: both steps
    update Adam's moments. A call returns the losses before and after the first step.

    Args:
        batches: 2 for new examples in the second step, as in the paper; 1 to use the same batch again, so that an
            iteration uses as many examples as an iteration of other rules.

    Raises:
        ValueError: when `batches` is neither 1 nor 2.
    """

    def __init__(self, batches: int = 1) -> None:
        if batches not in (1, 2):
            raise ValueError(f"batches must be 1 or 2 (got {batches})")
        self.batches = batches

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        first, second = batch.split(2) if self.batches == 2 else (batch, batch)
        before = discriminator.theta.clone(), generator.theta.clone()
        (here_d,), (here_g,) = Simultaneous()(discriminator, generator, first)
        (ahead_d, ahead_g), _ = step_from(before, (discriminator, generator), second)
        return [here_d, ahead_d], [here_g, ahead_g]


class PastExtragradient:
    """Extragradient whose first step is along the gradients that the last iteration computed.

    So an iteration computes one gradient for each player. The past gradients are 0 in the first iteration, and with
    plain gradient steps that iteration is a simultaneous step. Popov 1980; for GANs extrapolation from the past, Gidel
    et al. 2019, arXiv 1802.10551. With Adam, both steps update Adam's moments, as in `Extragradient`.
    """

    batches = 1

    def start(self, discriminator: Player, generator: Player) -> tuple[Tensor, ...]:
        """Return both players' last gradients, initially 0."""
        return torch.zeros_like(discriminator.theta), torch.zeros_like(generator.theta)

    def __call__(self, discriminator: Player, generator: Player, batch: Any, past_d: Tensor, past_g: Tensor) -> Losses:
        before = discriminator.theta.clone(), generator.theta.clone()
        discriminator.apply(past_d)
        generator.apply(past_g)
        (loss_d, loss_g), (gradient_d, gradient_g) = step_from(before, (discriminator, generator), batch)
        past_d.copy_(gradient_d)
        past_g.copy_(gradient_g)
        return [loss_d], [loss_g]


def step_from(
    before: Sequence[Tensor], players: Sequence[Player], batch: Any
) -> tuple[tuple[Loss, ...], tuple[Tensor, ...]]:
    """Compute the gradients at the current point, go back to earlier parameters, and step along the gradients there.

    Args:
        before: the earlier parameters of each player.

    Returns:
        The losses and the gradients at the point from which the players went back.
    """
    losses, gradients = zip(*(player.value_and_grad(batch) for player in players), strict=True)
    for player, theta in zip(players, before, strict=True):
        player.theta.copy_(theta)
    for player, gradient in zip(players, gradients, strict=True):
        player.apply(gradient)
    return losses, gradients


class Optimistic:
    """Simultaneous steps along an estimate of each player's next gradient.

    The estimate is 2 g_t − g_{t−1}, where g_t is the player's gradient at iteration t. The first step is along g_0.

    Popov 1980; for GANs Daskalakis et al. 2018, arXiv 1711.00141. With Adam, this rule passes 2 g_t − g_{t−1} to Adam
    as the gradient. The optimistic Adam of Daskalakis et al. is different: see `OptimisticAdam`.
    """

    batches = 1

    def start(self, discriminator: Player, generator: Player) -> tuple[Tensor, ...]:
        """Return both players' last gradients, initially 0, and a flag that is true after the first iteration."""
        thetas = discriminator.theta, generator.theta
        return *map(torch.zeros_like, thetas), torch.zeros((), dtype=torch.bool, device=thetas[0].device)

    def __call__(
        self, discriminator: Player, generator: Player, batch: Any, past_d: Tensor, past_g: Tensor, begun: Tensor
    ) -> Losses:
        loss_d, gradient_d = discriminator.value_and_grad(batch)
        loss_g, gradient_g = generator.value_and_grad(batch)
        discriminator.apply(2 * gradient_d - torch.where(begun, past_d, gradient_d))
        generator.apply(2 * gradient_g - torch.where(begun, past_g, gradient_g))
        past_d.copy_(gradient_d)
        past_g.copy_(gradient_g)
        begun.fill_(True)
        return [loss_d], [loss_g]
