"""MMD and the energy distance against closed forms for samples of N(0, 1) and N(m, s²)."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.gan.mmd import MMD, Distance, GaussianMixture
from gaussgan.setup.assemble import assemble

KERNELS = pytest.mark.parametrize("objective", [MMD(GaussianMixture([0.5, 2])), MMD(Distance())], ids=["mmd", "energy"])
SIZE, BATCHES = 4, 30_000


def mean_kernel(objective: MMD, m: float, variance: float) -> float:
    """Return E k(|d|) for d ~ N(m, variance)."""
    if isinstance(objective.kernel, Distance):
        spread = math.sqrt(variance)
        near = spread * math.sqrt(2 / math.pi) * math.exp(-(m**2) / (2 * variance))
        return -near - m * math.erf(m / (spread * math.sqrt(2)))
    widths = [width**2 for width in (0.5, 2)]
    return sum(math.sqrt(w / (w + variance)) * math.exp(-(m**2) / (2 * (w + variance))) for w in widths)


def squared(objective: MMD, m: float, s: float) -> float:
    within = mean_kernel(objective, 0, 2) + mean_kernel(objective, 0, 2 * s**2)
    return within - 2 * mean_kernel(objective, m, 1 + s**2)


def samples(m: Tensor | float, s: Tensor | float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, z = torch.randn(2, BATCHES, SIZE, 1, generator=generator, dtype=torch.float64)
    return x, m + s * z


@KERNELS
@pytest.mark.parametrize("m, s", [(0.0, 1.0), (0.7, 1.5), (-1.0, 0.6)])
def test_it_is_unbiased(objective: MMD, m: float, s: float) -> None:
    """Also in batches of four examples. At the truth the mean is 0."""
    values = objective.generator_loss(*samples(m, s)).mean((-2, -1))
    error = values.std().item() / math.sqrt(BATCHES)
    assert values.mean().item() == pytest.approx(squared(objective, m, s), abs=4 * error)
    torch.testing.assert_close(objective.discriminator_loss(*samples(m, s)).mean((-2, -1)), -values / 2)


@KERNELS
@pytest.mark.parametrize("m, s", [(0.0, 1.0), (0.7, 1.5)])
def test_the_generator_descends_the_distance(objective: MMD, m: float, s: float) -> None:
    """At the truth its gradient is 0 on average, for each D: here D(x) = x. A biased estimate would shrink s."""
    m_, s_ = (torch.full((BATCHES, 1, 1), value, dtype=torch.float64, requires_grad=True) for value in (m, s))
    loss = objective.generator_loss(*samples(m_, s_)).mean(-2).sum()
    for gradient, step in zip(torch.autograd.grad(loss, (m_, s_)), ((1e-5, 0), (0, 1e-5)), strict=True):
        up, down = (squared(objective, m + sign * step[0], s + sign * step[1]) for sign in (1, -1))
        error = gradient.std().item() / math.sqrt(BATCHES)
        assert gradient.mean().item() == pytest.approx((up - down) / 2e-5, abs=4 * error)


@KERNELS
def test_its_formula(objective: MMD) -> None:
    """For each of three replicas."""
    real, fake = torch.randn(2, 3, 5, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        r = np.sqrt(((a - b) ** 2).sum())
        return -r if isinstance(objective.kernel, Distance) else np.exp(-(r**2) / 0.5) + np.exp(-(r**2) / 8)

    for x, y, ours in zip(real.numpy(), fake.numpy(), objective.generator_loss(real, fake), strict=True):
        pairs = [(i, j) for i in range(5) for j in range(5)]
        within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs if i != j) / 20
        between = sum(kernel(x[i], y[j]) for i, j in pairs) / 25
        assert ours.mean().item() == pytest.approx(within - 2 * between, rel=1e-12)


@KERNELS
def test_equal_outputs_have_finite_gradients(objective: MMD) -> None:
    """Also gradients of gradients, which some update rules need."""
    real, fake = (torch.ones(3, 1, requires_grad=True) for _ in range(2))
    gradients = torch.autograd.grad(objective.generator_loss(real, fake).sum(), (real, fake), create_graph=True)
    assert all(gradient.abs().max() == 0 for gradient in gradients)
    if isinstance(objective.kernel, GaussianMixture):  # that of the energy distance has none
        curvature = torch.autograd.grad(gradients[0][0, 0], (real, fake))
        widths = sum(1 / width**2 for width in objective.kernel.widths)
        # Of 3 MMD²: −2 k''(0) (1/2 of 2 other real examples, 1/3 of 3 generated ones), where k''(0) = −Σ 1/σ².
        assert curvature[1][0].item() == pytest.approx(-2 / 3 * widths)


@pytest.mark.parametrize("name", ["mmd", "energy"])
def test_what_it_refuses(compose: Callable[..., DictConfig], name: str) -> None:
    """A batch of one example, also the last of an epoch, and several processes."""
    for overrides, message in (
        (["data.num_examples=17"], r"every batch, .*, enough examples for MMD.*at least two examples \(got 1\)"),
        (["data.batch_size=3", "data.num_examples=12", "discriminator.packing=3"], "at least two examples"),
        (["trainer.devices=2", "trainer.strategy=ddp_spawn"], "trainer.devices must be 1 with MMD.*whole batch"),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            assemble(compose(f"objective={name}", "data.num_examples=16", "data.batch_size=8", *overrides))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("widths", [[1, 0], [], [1, "2"], ["a"], [math.inf], [math.nan], None, 3, "12"])
def test_impossible_widths(widths: Any) -> None:
    with pytest.raises(ValueError, match=r"widths must be a list of numbers above 0 \(got ") as error:
        GaussianMixture(widths)
    assert str(error.value).endswith(f"(got {widths})")
