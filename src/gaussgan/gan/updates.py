"""How two players move. One call is one iteration.

Write g_D and g_G for the gradients of the two losses at the current point, and ← for a step of a player's optimizer
along what follows: with plain SGD it is θ ← θ − η g.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from gaussgan.gan.player import Player, mean_over_ranks


class Update(Protocol):
    """Moves both players by one iteration.

    What it remembers it keeps in `memory`, a list of tensors. One that differentiates gradients says so by
    `second_order = True`.
    """

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> None: ...


class Alternating:
    """In turn: D ← g_D, d_steps times, and then G ← g_G against the new θ_D; or G first.

    Goodfellow et al. 2014, arXiv 1406.2661, algorithm 1. With d_steps > 1 a batch consists of as many parts, one for
    each step of D, the last of which G also gets.

    Raises:
        ValueError: when d_steps is below 1.
    """

    def __init__(self, d_steps: int = 1, generator_first: bool = False) -> None:
        if d_steps < 1:
            raise ValueError(f"d_steps must be at least 1 (got {d_steps})")
        self.d_steps = d_steps
        self.generator_first = generator_first

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> None:
        parts = batch.split(self.d_steps) if self.d_steps > 1 else [batch]
        if self.generator_first:
            generator.apply(generator.gradient(parts[-1]))
        for part in parts:
            discriminator.apply(discriminator.gradient(part))
        if not self.generator_first:
            generator.apply(generator.gradient(parts[-1]))


class Simultaneous:
    """Both at once, from the same point: D ← g_D, G ← g_G."""

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> None:
        gradient_d, gradient_g = discriminator.gradient(batch), generator.gradient(batch)
        discriminator.apply(gradient_d)
        generator.apply(gradient_g)


class Extragradient:
    """Look ahead by a simultaneous step, take the gradients there, go back, and step along them.

    Korpelevich 1976; for GANs, and with Adam, whose moments then see both gradients, Gidel et al. 2019, arXiv
    1802.10551. Unlike there both gradients are of the same batch, so that an iteration sees as many examples as others.
    The losses that players remember are those of both points.
    """

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> None:
        players = (discriminator, generator)
        starts = [player.theta.clone() for player in players]
        Simultaneous()(discriminator, generator, batch)
        gradients = [player.gradient(batch) for player in players]
        for player, start, gradient in zip(players, starts, gradients, strict=True):
            player.theta.copy_(start)
            player.apply(gradient)


class Optimistic:
    """Both at once along 2 g_t − g_{t−1}: the gradient that is to be expected next. The first step is along g_0.

    Popov 1980; for GANs Daskalakis et al. 2018, arXiv 1711.00141. With Adam it is Adam on 2 g_t − g_{t−1}, and not
    their optimistic Adam, which takes twice this update less the last one.
    """

    def __init__(self) -> None:
        self.memory: list[Tensor] = []  # both players' past gradients

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> None:
        players = (discriminator, generator)
        gradients = [player.gradient(batch) for player in players]
        pasts = self.memory or gradients
        for player, gradient, past in zip(players, gradients, pasts, strict=True):
            player.apply(2 * gradient - past.to(gradient))
        self.memory = gradients


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

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> None:
        direction_d, direction_g = self.directions(discriminator, generator, batch)
        discriminator.apply(direction_d)
        if self.alternating:
            _, direction_g = self.directions(discriminator, generator, batch)
        generator.apply(direction_g)

    def directions(self, discriminator: Player, generator: Player, batch: Any) -> list[Tensor]:
        players = (discriminator, generator)
        gradients = [player.gradient(batch, create_graph=True) for player in players]
        means = [mean_over_ranks(gradient.detach().clone()) for gradient in gradients]
        directions = []
        for player, mean in zip(players, means, strict=True):
            # ∇ ½‖v‖² = vᵀ ∂v, with the v of all ranks and this rank's share of ∂v.
            pull = torch.autograd.grad(
                gradients,
                player.parameters,
                [each.scale**2 * v for each, v in zip(players, means, strict=True)],
                retain_graph=True,
                materialize_grads=True,
            )
            share = mean_over_ranks(player.joined(pull))
            directions.append(mean + self.weight / player.scale * share)
        return directions
