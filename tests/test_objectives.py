"""Objectives against the theory of their optimal discriminators, for p = N(0, 1) and q = N(m, 1)."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from gaussgan.game.objectives import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Relativistic,
    Wasserstein,
)

P = Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
GRID = torch.linspace(-9, 10, 4001, dtype=torch.float64)


def log_ratio(x: Tensor, m: float) -> Tensor:
    return P.log_prob(x) - P.log_prob(x - m)


# From log p/q to the optimal discriminator's output. Wasserstein's has no optimum but on the Lipschitz functions.
OPTIMA: list[tuple[Objective, Callable[[Tensor], Tensor]]] = [
    (NonSaturating(), lambda t: t),
    (Minimax(), lambda t: t),
    (LeastSquares(), torch.sigmoid),
    (Hinge(), torch.sign),
    (Relativistic(), lambda t: t),
]
optima = pytest.mark.parametrize("objective, optimum", OPTIMA, ids=[type(o).__name__ for o, _ in OPTIMA])


def expected(loss: Callable, d: Callable[[Tensor], Tensor], m: float) -> Tensor:
    """E over x ~ p and y ~ q, independent, of a loss of D(x) and D(y)."""
    x = GRID[::20].unsqueeze(-1)
    y = x.mT
    weights = (P.log_prob(x) + P.log_prob(y - m)).exp()
    real, fake = torch.broadcast_tensors(d(x), d(y))
    return (loss(real, fake) * weights).sum() / weights.sum()


@optima
def test_no_perturbation_improves_the_optimal_discriminator(objective: Objective, optimum: Callable) -> None:
    def best(x: Tensor) -> Tensor:
        return optimum(log_ratio(x, m=1.5))

    least = expected(objective.discriminator_loss, best, m=1.5)
    for bump in (torch.sin, torch.cos, lambda x: torch.exp(-x.square()), lambda x: -x):
        for size in (-0.05, 0.05):
            worse = expected(objective.discriminator_loss, lambda x, s=size, b=bump: best(x) + s * b(x), m=1.5)
            assert worse > least


@optima
def test_at_the_truth_the_generator_has_nowhere_to_go(objective: Objective, optimum: Callable) -> None:
    """∂/∂m of E_z L_G(D*(m + z)) is 0 where m is the truth and D* its optimal discriminator, and is not elsewhere."""

    def gradient(m: float, against: float) -> float:
        shift = torch.tensor(m, dtype=torch.float64, requires_grad=True)
        z = GRID[::20]
        weights = P.log_prob(z).exp().unsqueeze(-1)
        fake = optimum(log_ratio(shift + z.unsqueeze(-1), against))
        real = optimum(log_ratio(z.unsqueeze(-1), against))
        loss = (objective.generator_loss(real, fake) * weights).sum() / weights.sum()
        return torch.autograd.grad(loss, shift)[0].item() if loss.requires_grad else 0.0

    assert gradient(m=0.0, against=0.0) == pytest.approx(0, abs=1e-12)
    if not isinstance(objective, Hinge):  # whose optimal discriminator is flat almost everywhere
        assert gradient(m=1.0, against=1.0) > 0.01  # downhill is back to 0


@pytest.mark.parametrize("m, gradient", [(0.0, 0.0), (0.7, 1.0), (-0.7, -1.0)])
def test_wassersteins_generator_descends_the_distance(m: float, gradient: float) -> None:
    """Kantorovich's potential between p and q is −x sign m, and flat at the truth: ∂/∂m E L_G is that of W₁ = |m|."""

    def potential(x: Tensor) -> Tensor:
        return -x * torch.tensor(m).sign()

    assert 2 * expected(Wasserstein().discriminator_loss, potential, m).item() == pytest.approx(-abs(m), abs=1e-6)
    shift = torch.tensor(m, dtype=torch.float64, requires_grad=True)
    weights = P.log_prob(GRID).exp()
    loss = (Wasserstein().generator_loss(None, potential(shift + GRID)) * weights).sum() / weights.sum()
    assert torch.autograd.grad(loss, shift)[0].item() == pytest.approx(gradient, abs=1e-12)


@pytest.mark.parametrize("objective", [NonSaturating(), Minimax()])
def test_the_optimal_logistic_loss_is_log_2_minus_js(objective: Objective) -> None:
    m = 1.0
    p, q = P.log_prob(GRID), P.log_prob(GRID - m)
    mixture = torch.logaddexp(p, q) - torch.log(torch.tensor(2.0))
    js = sum(torch.trapezoid(law.exp() * (law - mixture), GRID) for law in (p, q)) / 2
    least = expected(objective.discriminator_loss, lambda x: log_ratio(x, m), m)
    assert least.item() == pytest.approx(0.69314718056 - js.item(), abs=1e-6)  # type: ignore[union-attr]


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
