"""Against the optimal discriminator the generator descends the divergence that theory predicts.

Here p = N(0, 1), and the generator m + s z has the distribution q = N(m, s²). D is optimal for this q and stays fixed
while q changes.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.distributions import Normal

from gaussgan.gan.f_gan import FGAN, JensenShannon, KullbackLeibler, ReverseKullbackLeibler
from gaussgan.gan.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Objective, Relativistic, Wasserstein


def nodes(step: float) -> Tensor:
    """Return the nodes of the midpoint rule. For smooth functions the error at a step of 0.05 is below rounding."""
    return step * (torch.arange(-15 / step, 15 / step, dtype=torch.float64) + 0.5)


STEP = 0.05
X = nodes(STEP)


def gaussian(x: Tensor, m: Tensor | float = 0.0, s: Tensor | float = 1.0) -> Tensor:
    """Return log N(x; m, s²)."""
    return Normal(m, s).log_prob(x)


def kl(p: Tensor, q: Tensor) -> Tensor:
    """Return KL(p ‖ q) from log densities at X, or at pairs of X and X."""
    return (p.exp() * (p - q)).sum() * STEP**p.ndim


def js(p: Tensor, q: Tensor) -> Tensor:
    mixture = torch.logaddexp(p, q) - math.log(2)
    return (kl(p, mixture) + kl(q, mixture)) / 2


def least_squares(p: Tensor, q: Tensor) -> Tensor:
    """Return KL(p ‖ M) − ¼ χ²(p ‖ M), M = ½ (p + q): the integral over q of ½ (D* − 1)² = ½ q² / (p + q)²."""
    mixture = torch.logaddexp(p, q) - math.log(2)
    return kl(p, mixture) - ((2 * p - mixture).exp().sum() * STEP - 1) / 4


def relativistic(p: Tensor, q: Tensor) -> Tensor:
    """Return the divergence of the non-saturating game between pairs (x, y) and swapped pairs (y, x)."""
    pairs = p.unsqueeze(-1) + q
    return kl(q, p) - js(pairs, pairs.mT)


# Objective; output of the optimal discriminator from log p/q; divergence that G descends; its steepness near p = q.
GAMES: list[tuple[Objective, Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor], float]] = [
    (Minimax(), lambda t: t, lambda p, q: 2 * js(p, q), 1 / 2),
    # Arjovsky and Bottou 2017, arXiv 1701.04862, theorem 2.5.
    (NonSaturating(), lambda t: t, lambda p, q: kl(q, p) - 2 * js(p, q), 1 / 2),
    (LeastSquares(), torch.sigmoid, least_squares, 1 / 8),
    (Relativistic(), lambda t: t, relativistic, 1 / 2),
    (FGAN(KullbackLeibler()), lambda t: 1 + t, kl, 1),
    (FGAN(ReverseKullbackLeibler()), lambda t: t, lambda p, q: kl(q, p), 1),
    (FGAN(JensenShannon()), lambda t: t, lambda p, q: 2 * js(p, q), 1 / 2),
    (FGAN(KullbackLeibler(), alternative=True), lambda t: 1 + t, lambda p, q: kl(q, p), 1),
    (FGAN(JensenShannon(), alternative=True), lambda t: t, lambda p, q: kl(q, p) - 2 * js(p, q), 1 / 2),
    # Hinge: the optimal discriminator is flat almost everywhere, so the generator gets no gradient.
    (Hinge(), torch.sign, lambda p, q: 0 * q.sum(), 0.0),
]
NAMES = [
    f"{type(getattr(objective, 'divergence', objective)).__name__} {vars(objective).get('alternative', '')}"
    for objective, *_ in GAMES
]
games = pytest.mark.parametrize("objective, optimum, divergence, steepness", GAMES, ids=NAMES)


def generators_gradient(objective: Objective, d: Callable[[Tensor], Tensor], theta: Tensor, z: Tensor) -> Tensor:
    """Return ∂/∂(m, s) of E L_G(D(x), D(m + s z))."""
    weights = gaussian(z).exp() * (z[1] - z[0])
    paired = getattr(objective, "paired", False)

    def loss(theta: Tensor) -> Tensor:
        fake = d(theta[0] + theta[1] * z)
        if not paired:
            return objective.generator_loss(None, fake) @ weights
        return weights @ objective.generator_loss(d(z).unsqueeze(-1), fake) @ weights

    return jacobian(loss, theta)


def against_the_best(objective: Objective, optimum: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    return generators_gradient(objective, lambda x: optimum(gaussian(x) - gaussian(x, *theta)), theta, X)


@games
@pytest.mark.parametrize("m, s", [(0.7, 1.5), (-0.4, 0.8), (0.0, 1.2), (1.0, 1.0)])
def test_away_from_the_truth(
    objective: Objective, optimum: Callable, divergence: Callable, steepness: float, m: float, s: float
) -> None:
    theta = torch.tensor([m, s], dtype=torch.float64)
    expected = jacobian(lambda theta: divergence(gaussian(X), gaussian(X, *theta)), theta)
    torch.testing.assert_close(against_the_best(objective, optimum, theta), expected, rtol=0, atol=1e-8)


@games
@pytest.mark.parametrize("error", [1e-2, 1e-4])
def test_towards_the_truth_it_vanishes(
    objective: Objective, optimum: Callable, divergence: Callable, steepness: float, error: float
) -> None:
    """Near p = q the divergence is ½ c Δθᵀ I Δθ, with Fisher information I = diag(1, 2)."""
    theta = torch.tensor([error, 1 + error], dtype=torch.float64)
    expected = steepness * torch.tensor([error, 2 * error]).double()
    torch.testing.assert_close(against_the_best(objective, optimum, theta), expected, rtol=0, atol=7 * error**2)


@pytest.mark.parametrize("m, s", [(0.3, 1.2), (-0.4, 0.8), (1e-3, 1.0)])
def test_the_alternative_of_reverse_kl_descends_chi_squared(m: float, s: float) -> None:
    """With V = log p/q the loss is E exp(−V). Its gradient is that of ½ χ²(q ‖ p), which is finite for s² < 2."""
    theta = torch.tensor([m, s], dtype=torch.float64)
    expected = jacobian(lambda theta: (2 * gaussian(X, *theta) - gaussian(X)).exp().sum() * STEP / 2, theta)
    gradient = against_the_best(FGAN(ReverseKullbackLeibler(), alternative=True), lambda t: t, theta)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-8)


def test_hinges_generator_would_descend_the_total_variation() -> None:
    """With respect to q's density the loss descends ∫ |p − q|. The generator's gradient ignores the step of D*."""
    theta = torch.tensor([0.7, 1.5], dtype=torch.float64)
    best = (gaussian(X) - gaussian(X, *theta)).sign()
    losses = Hinge().generator_loss(None, best)
    moved, expected = (
        jacobian(lambda theta, of=of: of(gaussian(X, *theta).exp()).sum(), theta)
        for of in (lambda q: losses * q, lambda q: (gaussian(X).exp() - q).abs())
    )
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("m, s", [(0.7, 1.5), (0.3, 0.8), (0.0, 1.5), (-1e-3, 1 - 1e-5)])
def test_wassersteins_generator_descends_the_distance(m: float, s: float) -> None:
    """Between these Gaussians W₁ = E |m + (s − 1) z|. Its gradient does not vanish near the truth.

    The Kantorovich potential has slope 1 in the direction of transport. Its slope changes sign at the point that stays.
    """
    sign, still = math.copysign(1, s - 1), m / (1 - s)
    spread, z = abs(s - 1), nodes(1e-4)  # a finer grid, because the slope jumps

    def potential(x: Tensor) -> Tensor:
        return -sign * (x - still).abs()

    theta = torch.tensor([m, s], dtype=torch.float64)
    expected = [math.erf(m / spread / 2**0.5), sign * (2 / math.pi) ** 0.5 * math.exp(-((m / spread) ** 2) / 2)]
    gradient = generators_gradient(Wasserstein(), potential, theta, z)
    torch.testing.assert_close(gradient, torch.tensor(expected).double(), rtol=0, atol=1e-7)
    w1 = m * expected[0] + (s - 1) * expected[1]
    smallest = Wasserstein().discriminator_loss(potential(z), potential(m + s * z)) @ gaussian(z).exp() * 1e-4
    assert 2 * smallest.item() == pytest.approx(-w1, abs=1e-7)
