"""Penalties: terms of the discriminator's loss that limit ∇D, the gradient of D with respect to its input.

A penalty returns one number for each example, [..., B, 1]. The formulas are those of the literature. In each formula,
the argument `weight` is called γ. The discriminator's loss in this package is half of the loss in the literature. So
`Game` adds only half of a penalty to the discriminator's loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Discriminator = Callable[[Tensor], Tensor]


class Penalty(Protocol):
    """A term of the discriminator's loss.

    A call returns one number for each example, [..., B, 1].

    Args:
        discriminator: maps examples [..., B, d] to logits [..., B, 1].
        real: real examples, [..., B, d].
        fake: generated examples, [..., B, d].
        mix: uniform draws from [0, 1), [..., B, 1], for a penalty at points between real and generated examples.
    """

    def __call__(self, discriminator: Discriminator, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor: ...


@dataclass
class R1:
    """The penalty γ/2 ‖∇D(x)‖² at real examples x, where γ is `weight`.

    Here ∇D is the gradient of D with respect to its input.
    Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406, equation 9.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        return self.weight / 2 * squared_norm(input_gradient(discriminator, real))


@dataclass
class R2:
    """The penalty γ/2 ‖∇D(G(z))‖² at generated examples G(z), where γ is `weight`.

    Here ∇D is the gradient of D with respect to its input.
    Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406, equation 10.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        return self.weight / 2 * squared_norm(input_gradient(discriminator, fake))


@dataclass
class WGANGP:
    """The penalty γ (‖∇D(x̂)‖ − 1)² at points x̂ = u x + (1 − u) G(z), where γ is `weight` and u ~ U[0, 1).

    Here x is a real example, G(z) is a generated example, and ∇D is the gradient of D with respect to its input.
    Gulrajani et al. 2017, arXiv 1704.00028, equation 3, where γ is called λ.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        gradient = input_gradient(discriminator, interpolates(real, fake, mix))
        return self.weight * (torch.linalg.vector_norm(gradient, dim=-1, keepdim=True) - 1).square()


@dataclass
class ZeroCentred:
    """The penalty γ ‖∇D(x̂)‖² at points x̂ = u x + (1 − u) G(z), where γ is `weight` and u ~ U[0, 1).

    Here x is a real example, G(z) is a generated example, and ∇D is the gradient of D with respect to its input.
    Thanh-Tung, Tran, Venkatesh 2019, arXiv 1902.03984, equation 6, where γ is called λ.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        return self.weight * squared_norm(input_gradient(discriminator, interpolates(real, fake, mix)))


def input_gradient(discriminator: Discriminator, x: Tensor) -> Tensor:
    """Return the gradient of D with respect to its input at each example of x, [..., B, d].

    The result can be differentiated with respect to D's parameters, and with respect to x if x requires a gradient.
    """
    x = x if x.requires_grad else x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)[0]


def squared_norm(gradient: Tensor) -> Tensor:
    return gradient.square().sum(-1, keepdim=True)


def interpolates(real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    return mix * real + (1 - mix) * fake
