"""Alternating and simultaneous steps along gradients."""

from __future__ import annotations

from typing import Any

from gaussgan.gan.player import Player
from gaussgan.gan.updates.protocol import Losses


class Alternating:
    """Alternating steps: the discriminator D makes d_steps steps; then the generator G makes one step.

    Each step is along the gradient of the player's own loss, at the current parameters of both players. Goodfellow et
    al. 2014, arXiv 1406.2661, algorithm 1. If `generator_first` is true, G moves before D. With d_steps > 1 a batch is
    split into d_steps chunks, one for each step of D. G gets the last chunk.

    Raises:
        ValueError: when d_steps is below 1.
    """

    def __init__(self, d_steps: int = 1, generator_first: bool = False) -> None:
        if d_steps < 1:
            raise ValueError(f"d_steps must be at least 1 (got {d_steps})")
        self.d_steps = d_steps
        self.generator_first = generator_first

    @property
    def batches(self) -> int:
        return self.d_steps

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        chunks = batch.split(self.d_steps) if self.d_steps > 1 else [batch]
        if self.generator_first:
            loss_g = generator.step(chunks[-1])
            return [discriminator.step(chunk) for chunk in chunks], [loss_g]
        return [discriminator.step(chunk) for chunk in chunks], [generator.step(chunks[-1])]


class Simultaneous:
    """Simultaneous steps: the gradients of both players are computed first. Then both players move."""

    batches = 1

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        loss_d, gradient_d = discriminator.value_and_grad(batch)
        loss_g, gradient_g = generator.value_and_grad(batch)
        discriminator.apply(gradient_d)
        generator.apply(gradient_g)
        return [loss_d], [loss_g]
