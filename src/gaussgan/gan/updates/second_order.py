"""Update rules that add a term with second derivatives to both players' gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gaussgan.gan.player import Player
from gaussgan.gan.updates.field import Field, dot
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
        field = Field(discriminator, generator, batch)
        directions = [
            (v + self.weight * sum(field.transposed(i, j, field.values[i]) for i in (0, 1))) / player.scale
            for j, (v, player) in enumerate(zip(field.values, field.players, strict=True))
        ]
        return field.losses, directions


class SymplecticAdjustment:
    """Symplectic gradient adjustment (SGA): simultaneous steps, turned against the rotation of the game.

        D ← ½ w_D,   G ← w_G,   (w_D, w_G) = v + λ Aᵀ v,   A = ½ (J − Jᵀ),   v = (2 g_D, g_G)

    Here J is the Jacobian of v. The factors 2 and ½ are as in `Consensus`. Balduzzi et al. 2018, arXiv 1802.05642,
    algorithm 1; Letcher et al. 2019, arXiv 1905.04926.

    Args:
        weight: |λ|.
        align: true for the sign of λ that turns v towards stable fixed points and away from unstable ones, which is the
            sign of ⟨v, Jᵀ v⟩ ⟨Aᵀ v, Jᵀ v⟩ / n + 1/10 for n parameters; false for a positive λ.

    Raises:
        ValueError: when the weight is negative.
    """

    second_order, batches = True, 1

    def __init__(self, weight: float | Tensor = 1.0, align: bool = True) -> None:
        if torch.as_tensor(weight).min() < 0:
            raise ValueError(f"weight must be at least 0 (got {weight})")
        self.weight, self.align = weight, align

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        field = Field(discriminator, generator, batch)
        v = field.values
        across = [field.transposed(1 - i, i, v[1 - i]) for i in (0, 1)]  # Jᵀ v without ∂v_i/∂θ_i, which is symmetric
        turn = [(across[i] - field.times(i, 1 - i, v[1 - i])) / 2 for i in (0, 1)]
        weight = self.weight
        if self.align:
            slope = [across[i] + field.transposed(i, i, v[i]) for i in (0, 1)]  # ∇ ½‖v‖²
            products = (dot(a[0], slope[0]) + dot(a[1], slope[1]) for a in (v, turn))
            n = sum(each.shape[-1] for each in v)
            weight = torch.sign(next(products) * next(products) / n + 0.1) * weight
        for player, gradient, other in zip(field.players, v, turn, strict=True):
            player.apply((gradient + weight * other) / player.scale)
        return field.losses
