"""Objectives against the theory of their optimal discriminators, for p = N(0, 1) and q = N(m, 1)."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from gaussgan.gan.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Objective, Relativistic, Wasserstein

P = Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
GRID = torch.linspace(-9, 10, 4001, dtype=torch.float64)


def log_ratio(x: Tensor, m: float) -> Tensor:
    return P.log_prob(x) - P.log_prob(x - m)


# Output of the optimal discriminator from log p/q. Wasserstein has an optimum only among Lipschitz functions.
OPTIMA: list[tuple[Objective, Callable[[Tensor], Tensor]]] = [
    (NonSaturating(), lambda t: t),
    (Minimax(), lambda t: t),
    (LeastSquares(), torch.sigmoid),
    (Hinge(), torch.sign),
    (Relativistic(), lambda t: t),
]
optima = pytest.mark.parametrize("objective, optimum", OPTIMA, ids=[type(o).__name__ for o, _ in OPTIMA])


def expected(loss: Callable, d: Callable[[Tensor], Tensor], m: float) -> Tensor:
    """Return the mean over independent x ~ p and y ~ q of a loss of D(x) and D(y)."""
    x = GRID[::20].unsqueeze(-1)
    y = x.mT
    weights = (P.log_prob(x) + P.log_prob(y - m)).exp()
    real, fake = torch.broadcast_tensors(d(x), d(y))
    return (loss(real, fake) * weights).sum() / weights.sum()


@optima
def test_no_perturbation_improves_the_optimal_discriminator(objective: Objective, optimum: Callable) -> None:
    def best(x: Tensor) -> Tensor:
        return optimum(log_ratio(x, m=1.5))

    smallest = expected(objective.discriminator_loss, best, m=1.5)
    for bump in (torch.sin, torch.cos, lambda x: torch.exp(-x.square()), lambda x: -x):
        for size in (-0.05, 0.05):
            worse = expected(objective.discriminator_loss, lambda x, s=size, b=bump: best(x) + s * b(x), m=1.5)
            assert worse > smallest


@pytest.mark.parametrize("objective", [NonSaturating(), Minimax()])
def test_the_optimal_logistic_loss_is_log_2_minus_js(objective: Objective) -> None:
    m = 1.0
    p, q = P.log_prob(GRID), P.log_prob(GRID - m)
    mixture = torch.logaddexp(p, q) - torch.log(torch.tensor(2.0))
    js = sum(torch.trapezoid(density.exp() * (density - mixture), GRID) for density in (p, q)) / 2
    smallest = expected(objective.discriminator_loss, lambda x: log_ratio(x, m), m)
    assert smallest.item() == pytest.approx(0.69314718056 - js.item(), abs=1e-6)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "objective, loss_d, loss_g",
    [
        (NonSaturating(), 0.693147, 0.693147),
        (Minimax(), 0.693147, -0.693147),
        (LeastSquares(), 0.25, 0.5),
        (Wasserstein(), 0.0, 0.0),
        (Hinge(), 1.0, 0.0),
        (Relativistic(), 0.346574, 0.693147),
    ],
)
def test_losses_at_logit_zero(objective: Objective, loss_d: float, loss_g: float) -> None:
    zero = torch.zeros(3, 4, 1)
    for loss, value in (
        (objective.discriminator_loss(zero, zero), loss_d),
        (objective.generator_loss(zero, zero), loss_g),
    ):
        torch.testing.assert_close(loss, torch.full_like(zero, value), rtol=0, atol=1e-6)
