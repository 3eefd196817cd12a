"""Objectives against the theory of their optimal discriminators, for p = N(0, 1) and q = N(m, 1)."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from gaussgan.gan.f_gan import FGAN, FDivergence, JensenShannon, KullbackLeibler, ReverseKullbackLeibler
from gaussgan.gan.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Objective, Relativistic, Wasserstein
from gaussgan.gan.relativistic_average import RelativisticAverage, RelativisticAverageLeastSquares

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
    (FGAN(KullbackLeibler()), lambda t: 1 + t),
    (FGAN(ReverseKullbackLeibler()), lambda t: t),
    (FGAN(JensenShannon()), lambda t: t),
]
NAMES = [type(getattr(objective, "divergence", objective)).__name__ for objective, _ in OPTIMA]
optima = pytest.mark.parametrize("objective, optimum", OPTIMA, ids=NAMES)


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
        (FGAN(KullbackLeibler()), 0.183940, -0.367879),
        (FGAN(KullbackLeibler(), alternative=True), 0.183940, 0.0),
        (FGAN(ReverseKullbackLeibler()), 0.0, 1.0),
        (FGAN(ReverseKullbackLeibler(), alternative=True), 0.0, 1.0),
        (FGAN(JensenShannon()), 0.0, 0.0),
        (FGAN(JensenShannon(), alternative=True), 0.0, 0.0),
        (RelativisticAverage(), 0.693147, 1.386294),
        (RelativisticAverageLeastSquares(), 1.0, 2.0),
    ],
)
def test_losses_at_logit_zero(objective: Objective, loss_d: float, loss_g: float) -> None:
    zero = torch.zeros(3, 4, 1)
    for loss, value in (
        (objective.discriminator_loss(zero, zero), loss_d),
        (objective.generator_loss(zero, zero), loss_g),
    ):
        torch.testing.assert_close(loss, torch.full_like(zero, value), rtol=0, atol=1e-6)


def log_gaussian(m: float, s: float) -> Tensor:
    return Normal(torch.tensor(m, dtype=torch.float64), s).log_prob(GRID)


def convex_js(u: Tensor) -> Tensor:
    return u * u.log() - (u + 1) * ((u + 1) / 2).log()


# Divergence; optimal V from log p/q; f; the divergence between N(0, 1) and N(m, s²), None for a quadrature.
DIVERGENCES = [
    (
        KullbackLeibler(),
        lambda t: 1 + t,
        lambda u: u * u.log(),
        lambda m, s: math.log(s) + (1 + m**2) / (2 * s**2) - 0.5,
    ),
    (ReverseKullbackLeibler(), lambda t: t, lambda u: -u.log(), lambda m, s: -math.log(s) + (s**2 + m**2) / 2 - 0.5),
    (JensenShannon(), lambda t: t, convex_js, None),
]
divergences = pytest.mark.parametrize(
    "divergence, optimum, f, closed", DIVERGENCES, ids=[type(each[0]).__name__ for each in DIVERGENCES]
)


@divergences
@pytest.mark.parametrize("m, s", [(0.5, 1.3), (-1.0, 0.9), (0.0, 1.0)])
def test_the_value_of_an_f_gan_is_the_divergence(
    divergence: FDivergence, optimum: Callable, f: Callable, closed: Callable | None, m: float, s: float
) -> None:
    p, q = log_gaussian(0.0, 1.0), log_gaussian(m, s)
    v = optimum(p - q)
    x, y = v.expand(2, -1).unsqueeze(-1)  # the losses of single examples are sums of a part for x and a part for y
    parts = [FGAN(divergence).discriminator_loss(*each).squeeze(-1) for each in ((x, y), (x, 0 * y), (0 * x, 0 * y))]
    fake = parts[0] - parts[1] + parts[2]
    real = parts[0] - fake
    value = -2 * (torch.trapezoid(p.exp() * real, GRID) + torch.trapezoid(q.exp() * fake, GRID)).item()
    definition = torch.trapezoid(q.exp() * f((p - q).exp()), GRID).item()
    assert value == pytest.approx(definition, abs=1e-6)
    if closed is not None:
        assert value == pytest.approx(closed(m, s), abs=1e-6)


@divergences
def test_the_conjugate_of_an_f_divergence(
    divergence: FDivergence, optimum: Callable, f: Callable, closed: Callable | None
) -> None:
    """f*(t) = sup_u [u t − f(u)] at t = g(v), by search over u."""
    v = torch.linspace(-3, 3, 13, dtype=torch.float64)
    u = torch.logspace(-4, 4, 200_001, dtype=torch.float64)
    t = divergence.output(v)
    supremum = torch.stack([(u * each - f(u)).max() for each in t])
    torch.testing.assert_close(divergence.conjugate(v), supremum, rtol=0, atol=1e-6)
    assert f(torch.ones(1)).item() == 0


@pytest.mark.parametrize("objective", [FGAN(JensenShannon()), FGAN(JensenShannon(), alternative=True)])
def test_the_jensen_shannon_f_gan_is_the_original_gan(objective: FGAN) -> None:
    real, fake = torch.randn(2, 5, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    original = NonSaturating() if objective.alternative else Minimax()
    loss_d, loss_g = objective.discriminator_loss(real, fake), objective.generator_loss(None, fake)
    torch.testing.assert_close(loss_d, original.discriminator_loss(real, fake) - math.log(2))
    shift = -math.log(2) if objective.alternative else math.log(2)
    torch.testing.assert_close(loss_g, original.generator_loss(None, fake) + shift)
