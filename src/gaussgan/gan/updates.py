"""How two players move. One call is one iteration.

Write g_D and g_G for the gradients of the two losses at the current point, and ← for a step of a player's optimizer
along a vector: with plain SGD it is θ ← θ − η g.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from gaussgan.gan.player import Loss, Player, mean_over_ranks

Losses = tuple[list[Loss], list[Loss]]  # of D and of G, one for each gradient that was taken, in order


class Update(Protocol):
    """Moves both players by one iteration, and returns the losses that it saw.

    A rule that remembers tensors between iterations has a method `start(discriminator, generator)`, which returns them
    as a tuple before the first iteration. A call then gets them as further arguments and changes them in place. With
    replicas each has a first dimension R, or no dimension at all. A rule that differentiates gradients says
    `second_order = True`.
    """

    def __call__(self, discriminator: Player, generator: Player, batch: Any, *memory: Tensor) -> Losses: ...


def start(update: Update, discriminator: Player, generator: Player) -> tuple[Tensor, ...]:
    """Return what an update rule remembers before the first iteration."""
    return update.start(discriminator, generator) if hasattr(update, "start") else ()


class Alternating:
    """In turn: D ← g_D, d_steps times, then G ← g_G against the new θ_D; or G first.

    Goodfellow et al. 2014, arXiv 1406.2661, algorithm 1. With d_steps > 1 a batch is split into as many chunks, one for
    each step of D. G gets the last of them.

    Raises:
        ValueError: when d_steps is below 1.
    """

    def __init__(self, d_steps: int = 1, generator_first: bool = False) -> None:
        if d_steps < 1:
            raise ValueError(f"d_steps must be at least 1 (got {d_steps})")
        self.d_steps = d_steps
        self.generator_first = generator_first

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        chunks = batch.split(self.d_steps) if self.d_steps > 1 else [batch]
        if self.generator_first:
            loss_g = generator.step(chunks[-1])
            return [discriminator.step(chunk) for chunk in chunks], [loss_g]
        return [discriminator.step(chunk) for chunk in chunks], [generator.step(chunks[-1])]


class Simultaneous:
    """Both at once, from the same point: D ← g_D, G ← g_G."""

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        loss_d, gradient_d = discriminator.value_and_grad(batch)
        loss_g, gradient_g = generator.value_and_grad(batch)
        discriminator.apply(gradient_d)
        generator.apply(gradient_g)
        return [loss_d], [loss_g]


class Extragradient:
    """Look ahead by a simultaneous step, take the gradients there, go back, and step along them.

    Korpelevich 1976; for GANs, and with Adam, whose moments then see both gradients, Gidel et al. 2019, arXiv
    1802.10551. Unlike there both gradients are of the same batch, so that an iteration sees as many examples as with
    other rules. It returns the losses at both points.
    """

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        start_d, start_g = discriminator.theta.clone(), generator.theta.clone()
        (here_d,), (here_g,) = Simultaneous()(discriminator, generator, batch)
        ahead_d, gradient_d = discriminator.value_and_grad(batch)
        ahead_g, gradient_g = generator.value_and_grad(batch)
        discriminator.theta.copy_(start_d)
        generator.theta.copy_(start_g)
        discriminator.apply(gradient_d)
        generator.apply(gradient_g)
        return [here_d, ahead_d], [here_g, ahead_g]


class Optimistic:
    """Both at once along 2 g_t − g_{t−1}, an estimate of the next gradient. The first step is along g_0.

    Popov 1980; for GANs Daskalakis et al. 2018, arXiv 1711.00141. With Adam it is Adam on 2 g_t − g_{t−1}. It is not
    their optimistic Adam, which takes twice this update minus the last one.
    """

    def start(self, discriminator: Player, generator: Player) -> tuple[Tensor, ...]:
        """Return both players' past gradients, and whether there are any yet."""
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


class Consensus:
    """Along the gradients, and down the length of both: each player's gradient gets γ ∇ ½‖v‖² added.

        v = (g_D, g_G) of the literature's losses, twice ours for D;   θ ← v + γ ∇ ½‖v‖²

    Mescheder, Nowozin, Geiger 2017, arXiv 1705.10461, equation 6. Both players move at once, or in turn, D first.

    Raises:
        ValueError: when the weight γ is negative.
    """

    second_order = True

    def __init__(self, weight: float | Tensor = 1.0, alternating: bool = False) -> None:
        if torch.as_tensor(weight).min() < 0:
            raise ValueError(f"weight must be at least 0 (got {weight})")
        self.weight = weight
        self.alternating = alternating

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        losses, (direction_d, direction_g) = self.directions(discriminator, generator, batch)
        discriminator.apply(direction_d)
        if self.alternating:
            again, (_, direction_g) = self.directions(discriminator, generator, batch)
            losses = losses[0] + again[0], losses[1] + again[1]
        generator.apply(direction_g)
        return losses

    def directions(self, discriminator: Player, generator: Player, batch: Any) -> tuple[Losses, list[Tensor]]:
        """Return the losses at the current point, and the vector along which each player steps."""
        players = (discriminator, generator)
        values, gradients = zip(*(player.value_and_grad(batch, create_graph=True) for player in players), strict=True)
        means = [mean_over_ranks(gradient.detach().clone()) for gradient in gradients]
        directions = []
        for player, mean in zip(players, means, strict=True):
            # ∇ ½‖v‖² = vᵀ ∂v, with the v of all ranks and ∂v of this rank's shard.
            pull = torch.autograd.grad(
                gradients,
                player.parameters,
                [each.scale**2 * v for each, v in zip(players, means, strict=True)],
                retain_graph=True,
                materialize_grads=True,
            )
            pull_of_all = mean_over_ranks(player.joined(pull))
            directions.append(mean + self.weight / player.scale * pull_of_all)
        return ([values[0]], [values[1]]), directions
