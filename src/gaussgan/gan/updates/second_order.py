"""Update rules that differentiate gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gaussgan.gan.player import Player, mean_over_ranks
from gaussgan.gan.updates.protocol import Losses


class Consensus:
    """Consensus optimization: adds γ ∇ ½‖v‖² to each player's gradient, to make both gradients shorter.

        D ← ½ w_D,   G ← w_G,   (w_D, w_G) = v + γ ∇ ½‖v‖²,   v = (2 g_D, g_G)

    Here g_D and g_G are the gradients of D's and G's losses, each with respect to the player's own parameters. The
    arrow D ← ½ w_D means that D steps along ½ w_D. The factors are 2 and ½ because D's loss here is half of the
    literature's. Mescheder, Nowozin, Geiger 2017, arXiv 1705.10461, equation 6.

    Args:
        weight: the factor γ.
        alternating: true to let D move first, and G at the new parameters of D; false to move both at once.

    Raises:
        ValueError: when the weight γ is negative.
    """

    second_order, batches = True, 1

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
            # ∇ ½‖v‖² = vᵀ ∂v. v is the mean over all ranks; ∂v is computed on this rank's shard.
            parts = torch.autograd.grad(
                gradients,
                player.parameters,
                [each.scale**2 * v for each, v in zip(players, means, strict=True)],
                retain_graph=True,
                materialize_grads=True,
            )
            regulariser = mean_over_ranks(player.concatenate(parts))
            directions.append(mean + self.weight / player.scale * regulariser)
        return ([values[0]], [values[1]]), directions
