"""Relativistic average objectives, on distributions of a few points whose expectations are means over a batch."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

from gaussgan.gan.objectives import Objective
from gaussgan.gan.relativistic_average import RelativisticAverage, RelativisticAverageLeastSquares

BOTH = pytest.mark.parametrize("objective", [RelativisticAverage(), RelativisticAverageLeastSquares()])
P = torch.tensor([4, 3, 2, 1])  # how often each of four points is in the batch of real examples
Q = torch.tensor([1, 2, 3, 4])


def losses(objective: Objective, d: Tensor, p: Tensor = P, q: Tensor = Q) -> tuple[Tensor, Tensor]:
    """Return the mean losses of D and G, where D has the values d at the four points."""
    real, fake = (d.repeat_interleave(counts).unsqueeze(-1) for counts in (p, q))
    return objective.discriminator_loss(real, fake).mean(), objective.generator_loss(real, fake).mean()


def optimum(objective: Objective, p: Tensor = P, q: Tensor = Q) -> Tensor:
    """Return the optimal D by Newton's method. The first value stays 0, because a constant changes nothing."""
    free = torch.zeros(3, dtype=torch.float64)

    def loss(free: Tensor) -> Tensor:
        return losses(objective, torch.cat([free.new_zeros(1), free]), p, q)[0]

    for _ in range(10):
        free = free - torch.linalg.solve(hessian(loss, free), jacobian(loss, free))
    return torch.cat([free.new_zeros(1), free])


def numpy_losses(kind: type, real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    x, y = real - fake.mean(), fake - real.mean()
    if kind is RelativisticAverage:
        sigmoid = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-y))
        d = -np.log(sigmoid[0]).mean() - np.log(1 - sigmoid[1]).mean()
        return d / 2, -np.log(sigmoid[1]).mean() - np.log(1 - sigmoid[0]).mean()
    return (((x - 1) ** 2).mean() + ((y + 1) ** 2).mean()) / 2, ((y - 1) ** 2).mean() + ((x + 1) ** 2).mean()


@BOTH
def test_its_formulas(objective: Objective) -> None:
    real, fake = torch.randn(2, 3, 6, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = objective.discriminator_loss(real, fake).mean((-2, -1)), objective.generator_loss(real, fake).mean((-2, -1))
    for i in range(3):
        expected = numpy_losses(type(objective), real[i].numpy(), fake[i].numpy())
        assert [loss[i].item() for loss in ours] == pytest.approx(expected, rel=1e-12)


@BOTH
def test_both_gradients_vanish_at_the_truth(objective: Objective) -> None:
    """Where p = q a constant D is optimal, and no change of q changes the generator's loss."""
    constant = torch.full((4,), 0.7, dtype=torch.float64)
    torch.testing.assert_close(jacobian(lambda d: losses(objective, d, P, P)[0], constant), torch.zeros(4).double())
    changed = [losses(objective, constant, P, q)[1] for q in (P, Q)]
    assert changed[0] == changed[1]


def test_the_optimal_discriminator_of_least_squares() -> None:
    p, q = P / P.sum(), Q / Q.sum()
    expected = 2 / (1 + 1.5 * ((p - q) ** 2 / (p + q)).sum()) * (p - q) / (p + q)
    found = optimum(RelativisticAverageLeastSquares())
    torch.testing.assert_close(found - found.mean(), (expected - expected.mean()).double(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("objective, slope", [(RelativisticAverage(), 2.0), (RelativisticAverageLeastSquares(), 1.0)])
def test_near_the_truth_the_optimal_discriminator_is_a_multiple_of_log_p_over_q(
    objective: Objective, slope: float
) -> None:
    p, q = torch.tensor([1001, 999, 1000, 1000]), torch.full((4,), 1000)
    found, ratio = optimum(objective, p, q), (p / q).double().log()
    torch.testing.assert_close(found, slope * (ratio - ratio[0]), rtol=1e-2, atol=1e-5)
