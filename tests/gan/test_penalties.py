"""Penalties of discriminators with known gradients, in any dimension and with any leading dimension."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gaussgan.gan.output_penalties import Consistency, LeCam
from gaussgan.gan.penalties import DRAGAN, R1, R2, WGANGP, WGANLP, Discriminator, Penalty, Seen, ZeroCentred
from gaussgan.networks import MLP
from gaussgan.rng import normal, stream, uniform

SHAPES = [(8, 2), (8, 1), (3, 8, 5)]


def quadratic(x: Tensor) -> Tensor:
    """D(x) = ½ ‖x‖², with ∇D = x."""
    return x.square().sum(-1, keepdim=True) / 2


def draws(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    real, fake, noise = (normal(*shape, generator=stream(0, name)).double() for name in ("real", "fake", "noise"))
    return real, fake, uniform(*shape[:-1], 1, generator=stream(0, "mix")).double(), noise


def seen(discriminator: Discriminator, real: Tensor, fake: Tensor, mix: Tensor, noise: Tensor) -> Seen:
    return Seen(real, fake, discriminator(real), discriminator(fake), mix, noise)


@pytest.mark.parametrize("shape", SHAPES)
def test_penalties_of_a_quadratic(shape: tuple[int, ...]) -> None:
    real, fake, mix, noise = draws(shape)
    near = real + noise / 2
    between = mix * real + (1 - mix) * fake
    expected = {
        R1: 3 / 2 * real.square().sum(-1, keepdim=True),
        R2: 3 / 2 * fake.square().sum(-1, keepdim=True),
        WGANGP: 3 * (between.norm(dim=-1, keepdim=True) - 1) ** 2,
        WGANLP: 3 * (between.norm(dim=-1, keepdim=True) - 1).clamp(min=0) ** 2,
        ZeroCentred: 3 * between.square().sum(-1, keepdim=True),
        DRAGAN: 3 * (near.norm(dim=-1, keepdim=True) - 1) ** 2,
        Consistency: 3 * (quadratic(real) - quadratic(near)) ** 2,
    }
    for kind, value in expected.items():
        torch.testing.assert_close(kind(weight=3.0)(quadratic, seen(quadratic, real, fake, mix, noise)), value)


PENALTIES = [R1(2.0), R2(2.0), WGANGP(2.0), WGANLP(2.0), ZeroCentred(2.0), DRAGAN(2.0), Consistency(2.0), LeCam(2.0)]


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_its_gradient_agrees_with_finite_differences(penalty: Penalty) -> None:
    """D needs the gradient with respect to D's parameters; consensus needs that with respect to generated examples."""
    real, fake, mix, noise = draws((4, 3))
    module = MLP(3, [5], 1, std=0.5, rng=stream(0, "init")).double()
    parameter = next(module.parameters())

    def value(weight: Tensor, fake: Tensor) -> Tensor:
        def discriminator(x: Tensor) -> Tensor:
            return torch.func.functional_call(module, {"0.weight": weight}, (x,))

        memory = (torch.full((1, 1), -0.3).double(), torch.full((1, 1), 0.2).double(), torch.ones((), dtype=torch.bool))
        remembered = memory if isinstance(penalty, LeCam) else ()
        return penalty(discriminator, seen(discriminator, real, fake, mix, noise), *remembered).sum()

    inputs = (parameter.detach().clone().requires_grad_(), fake.clone().requires_grad_())
    assert torch.autograd.gradcheck(value, inputs)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_a_flat_discriminator_has_finite_gradients(penalty: Penalty) -> None:
    """At ∇D = 0 the norm in WGAN-GP has no derivative. 0 is one of its subgradients."""
    weight = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    memory = penalty.start(torch.zeros(1, 1).double()) if isinstance(penalty, LeCam) else ()

    def flat(x: Tensor) -> Tensor:
        return x @ weight

    loss = penalty(flat, seen(flat, *draws((4, 2))), *memory).sum()
    assert torch.autograd.grad(loss, weight)[0].isfinite().all()


def test_lecams_averages_over_several_batches() -> None:
    """The first batch is compared with its own means, each later one with averages over the earlier ones."""
    penalty, generator = LeCam(weight=0.3, decay=0.9), torch.Generator().manual_seed(0)
    memory = penalty.start(torch.zeros(2, 1, 1, dtype=torch.float64))  # two replicas
    logits = torch.randn(5, 2, 2, 4, 1, generator=generator, dtype=torch.float64)  # batches, real and fake, replicas
    averages = logits[0].mean(-2).numpy()
    for real, fake in logits:
        values = penalty(quadratic, Seen(real, fake, real, fake), *memory)
        x, y = real.numpy(), fake.numpy()
        expected = np.maximum(0, x - averages[1][:, None]) ** 2 + np.maximum(0, averages[0][:, None] - y) ** 2
        np.testing.assert_allclose(values.numpy(), 0.3 * expected, rtol=1e-12)
        averages = 0.9 * averages + 0.1 * np.stack([x.mean(1), y.mean(1)])
        np.testing.assert_allclose(torch.stack(memory[:2]).squeeze(-1).numpy(), averages, rtol=1e-12)


@pytest.mark.parametrize("wrong", [lambda: DRAGAN(1.0, std=-1), lambda: Consistency(1.0, -0.1), lambda: LeCam(1.0, 2)])
def test_impossible_numbers(wrong: Callable[[], Penalty]) -> None:
    with pytest.raises(ValueError, match=r"(std must be at least 0|decay must be from 0 to 1) \(got"):
        wrong()
