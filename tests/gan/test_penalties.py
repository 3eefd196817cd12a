"""Penalties of discriminators with known gradients, in any dimension and with any leading dimension."""

import pytest
import torch
from torch import Tensor

from gaussgan.gan.penalties import R1, R2, WGANGP, Penalty, ZeroCentred
from gaussgan.networks import MLP
from gaussgan.rng import normal, stream, uniform

SHAPES = [(8, 2), (8, 1), (3, 8, 5)]


def quadratic(x: Tensor) -> Tensor:
    """D(x) = ½ ‖x‖², with ∇D = x."""
    return x.square().sum(-1, keepdim=True) / 2


def draws(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    real, fake = (normal(*shape, generator=stream(0, name)).double() for name in ("real", "fake"))
    return real, fake, uniform(*shape[:-1], 1, generator=stream(0, "mix")).double()


@pytest.mark.parametrize("shape", SHAPES)
def test_penalties_of_a_quadratic(shape: tuple[int, ...]) -> None:
    real, fake, mix = draws(shape)
    between = mix * real + (1 - mix) * fake
    expected = {
        R1: 3 / 2 * real.square().sum(-1, keepdim=True),
        R2: 3 / 2 * fake.square().sum(-1, keepdim=True),
        WGANGP: 3 * (between.norm(dim=-1, keepdim=True) - 1) ** 2,
        ZeroCentred: 3 * between.square().sum(-1, keepdim=True),
    }
    for kind, value in expected.items():
        torch.testing.assert_close(kind(weight=3.0)(quadratic, real, fake, mix), value)


@pytest.mark.parametrize("penalty", [R1(2.0), R2(2.0), WGANGP(2.0), ZeroCentred(2.0)])
def test_its_gradient_agrees_with_finite_differences(penalty: Penalty) -> None:
    """D needs the gradient with respect to D's parameters; consensus needs that with respect to generated examples."""
    real, fake, mix = draws((4, 3))
    module = MLP(3, [5], 1, std=0.5, rng=stream(0, "init")).double()
    parameter = next(module.parameters())

    def value(weight: Tensor, fake: Tensor) -> Tensor:
        def discriminator(x: Tensor) -> Tensor:
            return torch.func.functional_call(module, {"0.weight": weight}, (x,))

        return penalty(discriminator, real, fake, mix).sum()

    inputs = (parameter.detach().clone().requires_grad_(), fake.clone().requires_grad_())
    assert torch.autograd.gradcheck(value, inputs)


def test_a_flat_discriminator_has_finite_gradients() -> None:
    """At ∇D = 0 the norm in WGAN-GP has no derivative. 0 is one of its subgradients."""
    weight = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    real, fake, mix = draws((4, 2))
    loss = WGANGP(10.0)(lambda x: x @ weight, real, fake, mix).sum()
    assert torch.autograd.grad(loss, weight)[0].isfinite().all()
