"""Update rules that solve a linear equation in each iteration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gaussgan.gan.optimizers import SMALLEST_RATE
from gaussgan.gan.player import Player
from gaussgan.gan.updates.field import Field, least_squares
from gaussgan.gan.updates.protocol import Losses


class CompetitiveGradientDescent:
    """Competitive gradient descent: both players move to the equilibrium of a bilinear approximation of the game.

        Δ_D = −η_D (v_D + K_DG Δ_G),   Δ_G = −η_G (v_G + K_GD Δ_D),   v = (2 g_D, g_G),   K_ij = ∂v_i/∂θ_j

    Schäfer and Anandkumar 2019, arXiv 1905.12103, also for games that are not zero-sum. The rates η are
    those of the literature: η_D is half of D's learning rate, because v_D is twice D's gradient. With u = Δ / √η both
    equations are (I + √η K √η) u = −√η v. They are solved by `least_squares`. In a zero-sum game with η_D = η_G this is
    the method of conjugate gradients on the paper's equations.

    D steps along −Δ_D / (2 η_D), and G along −Δ_G / η_G. So with plain gradient steps the players move by Δ. Any
    other optimizer gets these vectors instead of gradients, with its own learning rate as η. The paper's adaptive
    version is different.

    Args:
        iterations: the number of conjugate gradient steps.

    Raises:
        ValueError: when the number is below 1.
    """

    second_order, batches = True, 1

    def __init__(self, iterations: int = 5) -> None:
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1 (got {iterations})")
        self.iterations = iterations

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        field = Field(discriminator, generator, batch)
        sizes = [v.shape[-1] for v in field.values]
        roots = [player.step_size.clamp(min=SMALLEST_RATE).sqrt() for player in field.players]

        def coupled(u: Tensor, transposed: bool) -> Tensor:
            """(I + √η K √η) u, or (I + √η Kᵀ √η) u"""
            parts = [root * part for root, part in zip(roots, u.split(sizes, -1), strict=True)]
            images = [
                field.transposed(1 - i, i, parts[1 - i]) if transposed else field.times(i, 1 - i, parts[1 - i])
                for i in (0, 1)
            ]
            return u + torch.cat([root * image for root, image in zip(roots, images, strict=True)], -1)

        right = torch.cat([root * v for root, v in zip(roots, field.values, strict=True)], -1)
        u = least_squares(lambda u: coupled(u, False), lambda u: coupled(u, True), right, self.iterations)
        for player, root, part in zip(field.players, roots, u.split(sizes, -1), strict=True):
            player.apply(part / (root * player.scale))
        return field.losses


class FollowTheRidge:
    """Follow-the-ridge: simultaneous steps, after which D also moves so that its gradient stays as it is as G moves.

        D ← g_D,   G ← g_G,   θ_D ← θ_D − (H² + δ I)⁻¹ H K Δ_G,   H = ∂v_D/∂θ_D,   K = ∂v_D/∂θ_G,   v_D = 2 g_D

    Δ_G is the step that G's optimizer has made. For δ = 0 the last step is −H⁻¹ K Δ_G. So G's step leaves D on the
    ridge v_D = 0, on which D is best, and only local minimax points attract gradient steps. Wang, Zhang, Ba 2020, arXiv
    1910.07512, algorithm 1; any optimizer takes the place of its gradient steps. The damping δ is that of the authors'
    code, gd-zhang/Follow-the-Ridge, which can change it during a run. It makes the last step shorter, but does not turn
    it around, whatever the signs of the eigenvalues of H. The equation is solved by `least_squares`.

    Args:
        damping: the number δ.
        iterations: the number of conjugate gradient steps.

    Raises:
        ValueError: when the damping is negative, or the number of steps below 1.
    """

    second_order, batches = True, 1

    def __init__(self, damping: float | Tensor = 1.0, iterations: int = 5) -> None:
        if torch.as_tensor(damping).min() < 0:
            raise ValueError(f"damping must be at least 0 (got {damping})")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1 (got {iterations})")
        self.damping, self.iterations = damping, iterations

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        before_d, before_g = discriminator.theta.clone(), generator.theta.clone()
        with discriminator.at(before_d), generator.at(before_g):  # the graph must not change when the players move
            field = Field(discriminator, generator, batch)
        generator.apply(field.values[1] / generator.scale)
        change = field.times(0, 1, generator.theta - before_g)

        def hessian(x: Tensor) -> Tensor:
            return field.transposed(0, 0, x)

        discriminator.apply(field.values[0] / discriminator.scale)
        discriminator.move(-least_squares(hessian, hessian, change, self.iterations, self.damping))
        return field.losses
