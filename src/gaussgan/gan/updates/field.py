"""The vector field of a game, products with its Jacobian, and linear equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gaussgan.gan.player import Player, mean_over_ranks
from gaussgan.gan.updates.protocol import Losses

Linear = Callable[[Tensor], Tensor]


class Field:
    """The vector field v = (v_0, v_1) = (2 g_D, g_G) of a game, at the current parameters, and products with ∂v/∂θ.

    The factor is 2 because D's loss here is half of the literature's; see `Player.scale`. Each product with a part of
    the Jacobian is one backward pass. In a distributed run it is averaged over the ranks.

    Attributes:
        values: v_0 and v_1, without a graph.
        losses: D's and G's losses.
    """

    def __init__(self, discriminator: Player, generator: Player, batch: Any) -> None:
        self.players = discriminator, generator
        losses, self._gradients = zip(
            *(player.value_and_grad(batch, create_graph=True) for player in self.players), strict=True
        )
        self.losses: Losses = ([losses[0]], [losses[1]])
        self.values = [
            player.scale * mean_over_ranks(gradient.detach().clone())
            for player, gradient in zip(self.players, self._gradients, strict=True)
        ]
        self._parameters = [player.parameters for player in self.players]  # `Player.at` replaces them
        self._duals: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def transposed(self, i: int, j: int, w: Tensor) -> Tensor:
        """Return (∂v_i/∂θ_j)ᵀ w for a vector w like v_i."""
        return mean_over_ranks(self._product(i, j, w))

    def times(self, i: int, j: int, w: Tensor) -> Tensor:
        """Return (∂v_i/∂θ_j) w for a vector w like θ_j: the derivative of u ↦ (∂v_i/∂θ_j)ᵀ u, transposed."""
        if (i, j) not in self._duals:
            u = torch.zeros_like(self._gradients[i]).requires_grad_()
            self._duals[i, j] = u, self._product(i, j, u, create_graph=True)
        u, product = self._duals[i, j]
        if not product.requires_grad:
            return torch.zeros_like(u)
        (result,) = torch.autograd.grad(product, u, w, retain_graph=True, materialize_grads=True)
        return mean_over_ranks(result.clone())

    def _product(self, i: int, j: int, w: Tensor, create_graph: bool = False) -> Tensor:
        player, gradient = self.players[j], self._gradients[i]
        if not gradient.requires_grad:
            return torch.zeros_like(player.theta)
        parts = torch.autograd.grad(
            gradient,
            self._parameters[j],
            self.players[i].scale * w,
            retain_graph=True,
            create_graph=create_graph,
            materialize_grads=True,
        )
        return player.concatenate(parts)


def least_squares(
    matrix: Linear, transposed: Linear, right: Tensor, iterations: int, damping: float | Tensor = 0.0
) -> Tensor:
    """Return the x that minimises ‖A x − b‖² + δ ‖x‖², by a fixed number of conjugate gradient steps from 0.

    The steps are those for (Aᵀ A + δ I) x = Aᵀ b. Without rounding, n steps give the minimum if Aᵀ A has n different
    eigenvalues. Vectors are [n], or for replicas [R, n], and each replica has its own matrix. Hestenes and Stiefel
    1952, section 10.

    Args:
        matrix: x ↦ A x.
        transposed: y ↦ Aᵀ y.
        right: b.
        iterations: the number of steps.
        damping: the number δ, at least 0; for replicas a number, or [R, 1].
    """
    tiny = torch.finfo(right.dtype).tiny
    x, residual = torch.zeros_like(right), right
    descent = transposed(residual)
    direction, square = descent, dot(descent, descent)
    for _ in range(iterations):
        image = matrix(direction)
        length = square / (dot(image, image) + damping * dot(direction, direction)).clamp(min=tiny)
        x, residual = x + length * direction, residual - length * image
        descent = transposed(residual) - damping * x
        before, square = square, dot(descent, descent)
        direction = descent + square / before.clamp(min=tiny) * direction
    return x


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner products of vectors, [..., n], [..., n] → [..., 1]."""
    return (a * b).sum(-1, keepdim=True)
