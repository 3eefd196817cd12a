"""Lookahead: another rule, from which both players go back a part of the way, every k iterations."""

from __future__ import annotations

from math import lcm
from typing import Any

import torch
from torch import Tensor

from gaussgan.gan.player import Player
from gaussgan.gan.updates.protocol import Losses, Update, batches, period, start


class Lookahead:
    """Lookahead: after every k iterations of another rule, both players go back to between their old and new points.

        θ ← θ₀ + α (θ − θ₀),   θ₀ ← θ   after every k iterations, for θ = θ_D and for θ = θ_G

    Here θ₀ are the parameters after the last such step, or at the start. The optimizers keep their momentum.
    Chavdarova et al. 2021, arXiv 2006.14567, algorithm 1.

    Args:
        inner: the other rule.
        k: the number of iterations between two steps back.
        alpha: the factor α.

    Raises:
        ValueError: when `inner` is no update rule or is a Lookahead, when k is below 1, or when α is not above 0 and at
            most 1.
    """

    def __init__(self, inner: Update, k: int | Tensor = 5, alpha: float | Tensor = 0.5) -> None:
        if not callable(inner):
            raise ValueError(f"inner must be an update rule, chosen as update@update.inner=NAME (got {inner})")
        if isinstance(inner, Lookahead):
            raise ValueError("inner must be another rule than Lookahead")
        if torch.as_tensor(k).min() < 1:
            raise ValueError(f"k must be at least 1 (got {k})")
        if torch.as_tensor(alpha).min() <= 0 or torch.as_tensor(alpha).max() > 1:
            raise ValueError(f"alpha must be above 0 and at most 1 (got {alpha})")
        self.inner, self.k, self.alpha = inner, k, alpha

    @property
    def second_order(self) -> bool:
        return getattr(self.inner, "second_order", False)

    @property
    def one_process(self) -> bool:
        return getattr(self.inner, "one_process", False)

    @property
    def batches(self) -> int | None:
        return batches(self.inner)

    @property
    def period(self) -> int:
        return lcm(int(self.k), period(self.inner))

    def start(self, discriminator: Player, generator: Player) -> tuple[Tensor, ...]:
        """Return both players' θ₀, the number of iterations since the last step back, and the inner rule's memory."""
        thetas = discriminator.theta, generator.theta
        replicas = self.k.shape[:1] if isinstance(self.k, Tensor) else ()
        count = torch.zeros(replicas, dtype=torch.int64, device=thetas[0].device)
        return *(theta.clone() for theta in thetas), count, *start(self.inner, discriminator, generator)

    def __call__(
        self, discriminator: Player, generator: Player, batch: Any, old_d: Tensor, old_g: Tensor, count: Tensor,
        *memory: Tensor,
    ) -> Losses:  # fmt: skip
        losses = self.inner(discriminator, generator, batch, *memory)
        count = count.add_(1).unsqueeze(-1) if count.ndim else count.add_(1)  # for replicas [R, 1], as k is
        back = count >= self.k
        for player, old in ((discriminator, old_d), (generator, old_g)):
            old.copy_(torch.where(back, old.lerp(player.theta, self.alpha), old))
            player.theta.copy_(torch.where(back, old, player.theta))
        count.masked_fill_(back, 0)
        return losses
