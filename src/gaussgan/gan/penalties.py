"""Penalties: terms of the discriminator's loss that limit ∇D, the gradient of D with respect to its input.

A penalty returns one number for each example, [..., B, 1]. The formulas are those of the literature. In each formula,
the argument `weight` is called γ. The discriminator's loss in this package is half of the loss in the literature. So
`Game` adds only half of a penalty to the discriminator's loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

Discriminator = Callable[[Tensor], Tensor]


class Seen(NamedTuple):
    """What the discriminator has seen in a batch, and random numbers for penalties.

    Attributes:
        real: real examples, [..., B, d].
        fake: generated examples, [..., B, d].
        real_logits: the discriminator's logits of the real examples, [..., B, 1].
        fake_logits: the discriminator's logits of the generated examples, [..., B, 1].
        mix: uniform draws from [0, 1), [..., B, 1], for a penalty at points between real and generated examples.
        perturbation: draws from N(0, 1), [..., B, d], if a penalty of the game perturbs examples; otherwise None.
    """

    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    mix: Tensor | None = None
    perturbation: Tensor | None = None


class Penalty(Protocol):
    """A term of the discriminator's loss.

    A call returns one number for each example, [..., B, 1]. Set `perturbs = True` in a class that needs
    `seen.perturbation`.

    A penalty may remember tensors between losses. Then it has a method `start(logit)` that returns the initial tensors
    as a tuple. Here `logit` is a zero with the shape of one logit, [..., 1, 1], on the device and in the precision of
    the run. Each call gets the tensors as further arguments and changes them in place. With replicas, each tensor has
    a first dimension R or no dimension.

    Args:
        discriminator: maps examples [..., B, d] to logits [..., B, 1].
        seen: the batch.
    """

    def __call__(self, discriminator: Discriminator, seen: Seen, *memory: Any, **_: Any) -> Tensor: ...


@dataclass
class R1:
    """The penalty γ/2 ‖∇D(x)‖² at real examples x, where γ is `weight`.

    Here ∇D is the gradient of D with respect to its input.
    Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406, equation 9.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, seen: Seen) -> Tensor:
        return self.weight / 2 * squared_norm(input_gradient(discriminator, seen.real))


@dataclass
class R2:
    """The penalty γ/2 ‖∇D(G(z))‖² at generated examples G(z), where γ is `weight`.

    Here ∇D is the gradient of D with respect to its input.
    Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406, equation 10.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, seen: Seen) -> Tensor:
        return self.weight / 2 * squared_norm(input_gradient(discriminator, seen.fake))


@dataclass
class WGANGP:
    """The penalty γ (‖∇D(x̂)‖ − 1)² at points x̂ = u x + (1 − u) G(z), where γ is `weight` and u ~ U[0, 1).

    Here x is a real example, G(z) is a generated example, and ∇D is the gradient of D with respect to its input.
    Gulrajani et al. 2017, arXiv 1704.00028, equation 3, where γ is called λ.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, seen: Seen) -> Tensor:
        gradient = input_gradient(discriminator, interpolates(seen))
        return self.weight * (norm(gradient) - 1).square()


@dataclass
class WGANLP:
    """The penalty γ max(0, ‖∇D(x̂)‖ − 1)² at points x̂ = u x + (1 − u) G(z), where γ is `weight` and u ~ U[0, 1).

    Unlike `WGANGP`, it allows gradients shorter than 1: a Lipschitz function may have them. Here x is a real example,
    G(z) is a generated example, and ∇D is the gradient of D with respect to its input.
    Petzka, Fischer, Lukovnikov 2018, arXiv 1709.08894, where γ is called λ.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, seen: Seen) -> Tensor:
        gradient = input_gradient(discriminator, interpolates(seen))
        return self.weight * (norm(gradient) - 1).relu().square()


@dataclass
class DRAGAN:
    """The penalty γ (‖∇D(x + δ)‖ − 1)² at perturbed real examples, where γ is `weight` and δ ~ N(0, std² I).

    Here x is a real example, and ∇D is the gradient of D with respect to its input. The unit of `std` is that of the
    examples. Kodali, Abernethy, Hays, Kira 2017, arXiv 1705.07215, where γ is called λ and std² is called c.

    Raises:
        ValueError: when std is negative.
    """

    weight: float
    std: float = 0.5
    perturbs = True

    def __post_init__(self) -> None:
        check_std(self.std)

    def __call__(self, discriminator: Discriminator, seen: Seen) -> Tensor:
        return self.weight * (norm(input_gradient(discriminator, perturbed(seen, self.std))) - 1).square()


@dataclass
class ZeroCentred:
    """The penalty γ ‖∇D(x̂)‖² at points x̂ = u x + (1 − u) G(z), where γ is `weight` and u ~ U[0, 1).

    Here x is a real example, G(z) is a generated example, and ∇D is the gradient of D with respect to its input.
    Thanh-Tung, Tran, Venkatesh 2019, arXiv 1902.03984, equation 6, where γ is called λ.
    """

    weight: float

    def __call__(self, discriminator: Discriminator, seen: Seen) -> Tensor:
        return self.weight * squared_norm(input_gradient(discriminator, interpolates(seen)))


def input_gradient(discriminator: Discriminator, x: Tensor) -> Tensor:
    """Return the gradient of D with respect to its input at each example of x, [..., B, d].

    The result can be differentiated with respect to D's parameters, and with respect to x if x requires a gradient.
    """
    x = x if x.requires_grad else x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)[0]


def norm(gradient: Tensor) -> Tensor:
    return torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)


def squared_norm(gradient: Tensor) -> Tensor:
    return gradient.square().sum(-1, keepdim=True)


def interpolates(seen: Seen) -> Tensor:
    assert seen.mix is not None
    return seen.mix * seen.real + (1 - seen.mix) * seen.fake


def perturbed(seen: Seen, std: float) -> Tensor:
    """Return real examples with noise from N(0, std² I)."""
    assert seen.perturbation is not None
    return seen.real + std * seen.perturbation


def check_std(std: float) -> None:
    if not std >= 0:
        raise ValueError(f"std must be at least 0 (got {std})")
