"""Unrolled GANs: the generator sees the discriminator as it will be after some more steps."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from torch import Tensor

from gaussgan.gan.player import Player
from gaussgan.gan.updates.protocol import Losses


class Unrolled:
    """Simultaneous steps, but G's loss is that with a D which has made k more steps on the same batch.

        D ← g_D,   G ← ∇ L_G(θ_D^k, θ_G),   θ_D^{i+1} = θ_D^i after a step of D's optimizer along g_D(θ_D^i, θ_G)

    The gradient ∇ is with respect to θ_G, also through the k steps. D itself makes only the first of them. The buffers
    of both networks, such as batch norm's means, and the memory of D's penalties change only by D's loss at θ_D^0. Metz
    et al. 2017, arXiv 1611.02163. The steps are those of D's own optimizer, from its state of moments: plain gradient
    steps with SGD, as in the paper's equations, and Adam's with Adam.

    Args:
        steps: the number k; 0 for simultaneous steps.
        backpropagate: false to take θ_D^k for a constant in the gradient.

    Raises:
        ValueError: when the number of steps is negative.
    """

    batches = 1

    def __init__(self, steps: int = 5, backpropagate: bool = True) -> None:
        if steps < 0:
            raise ValueError(f"steps must be at least 0 (got {steps})")
        self.steps, self.backpropagate = steps, backpropagate
        self.second_order = self.one_process = backpropagate and steps > 0

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        theta, state = discriminator.theta, discriminator.state.optimizer
        loss_d, gradient_d = discriminator.value_and_grad(batch, create_graph=self.second_order)
        gradient: Tensor = gradient_d
        with discriminator.looking_ahead() if self.steps else nullcontext():
            for i in range(self.steps):
                if i > 0:
                    with discriminator.at(theta):
                        _, gradient = discriminator.value_and_grad(batch, create_graph=self.second_order)
                theta, state = discriminator.after_step(theta, state, gradient)
            with discriminator.at(theta):
                loss_g, gradient_g = generator.value_and_grad(batch)
        discriminator.apply(gradient_d)
        generator.apply(gradient_g)
        return [loss_d], [loss_g]
