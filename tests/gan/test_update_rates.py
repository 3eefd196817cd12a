"""Each update rule has its closed-form rate on games that are linear near their equilibrium.

The matrices are derived here in NumPy from the formulas of the papers, for a game with the vector field v(w) = J w.
Here w = (D's parameter, G's parameter), and h is the learning rate of both players.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from test_updates import BATCH, bilinear_game, dirac_gan

from gaussgan.evaluation.spectrum import eigenvalues
from gaussgan.gan.objectives import Minimax, NonSaturating, Wasserstein
from gaussgan.gan.penalties import R1
from gaussgan.gan.updates import (
    Alternating,
    CompetitiveGradientDescent,
    Extragradient,
    FollowTheRidge,
    Lookahead,
    PastExtragradient,
    Simultaneous,
    SymplecticAdjustment,
    Unrolled,
    Update,
)

Matrix = np.ndarray
EYE = np.eye(2)


def field(coupling: float, damping: float = 0.0) -> Matrix:
    """v = (γ ψ + c θ, −c ψ): the Dirac-GAN with R1 of weight γ; the bilinear game for γ = 0 and c = 1."""
    return np.array([[damping, coupling], [-coupling, 0.0]])


def alternating(j: Matrix, h: float) -> Matrix:
    """D moves first, and G at its new parameter."""
    first = np.array([EYE[0] - h * j[0], EYE[1]])
    return np.array([EYE[0], EYE[1] - h * j[1]]) @ first


def simultaneous(j: Matrix, h: float) -> Matrix:
    return EYE - h * j


def extragradient(j: Matrix, h: float) -> Matrix:
    """w − h v(w − h v(w))"""
    return EYE - h * j @ (EYE - h * j)


def past_extragradient(j: Matrix, h: float) -> Matrix:
    """(w, p) → (w − h g, g) with g = v(w − h p)"""
    g = np.hstack([j, -h * j])
    return np.vstack([np.hstack([EYE, 0 * EYE]) - h * g, g])


def lookahead(k: int, alpha: float, inner: Callable[[Matrix, float], Matrix], j: Matrix, h: float) -> Matrix:
    """(1 − α) w + α M^k w"""
    return (1 - alpha) * EYE + alpha * np.linalg.matrix_power(inner(j, h), k)


def sga(weight: float, j: Matrix, h: float) -> Matrix:
    """v + λ Aᵀ v with A = ½ (J − Jᵀ)"""
    return EYE - h * (EYE + weight * (j.T - j) / 2) @ j


def competitive(j: Matrix, h: float) -> Matrix:
    """Δx = −h (1 − h² f_xy g_yx)⁻¹ (f_x − h f_xy g_y), and the same for y with f and g exchanged."""
    (f_xy, g_yx), solve = (j[0, 1], j[1, 0]), 1 / (1 - h**2 * j[0, 1] * j[1, 0])
    return EYE - h * solve * np.array([j[0] - h * f_xy * j[1], j[1] - h * g_yx * j[0]])


def unrolled(k: int, backpropagate: bool, j: Matrix, h: float) -> Matrix:
    """ψ_k after k steps ψ ← ψ − h (γ ψ + c θ). G's loss is −c ψ_k θ; its derivative is −c (ψ_k + θ dψ_k/dθ)."""
    step = np.array([EYE[0] - h * j[0], EYE[1]])
    ahead = np.linalg.matrix_power(step, k)[0]  # ψ_k as a linear function of (ψ, θ)
    return EYE - h * np.array([j[0], j[1, 0] * (ahead + backpropagate * np.array([0, ahead[1]]))])


def ridge(damping: float, j: Matrix, h: float) -> Matrix:
    """G moves by Δ = −h v_G, and D by −h v_D − H K Δ / (H² + δ)."""
    change = -h * j[1]
    return EYE + np.array([-h * j[0] - j[0, 0] * j[0, 1] / (j[0, 0] ** 2 + damping) * change, change])


RULES: dict[str, tuple[Callable[[], Update], Callable[[Matrix, float], Matrix], int]] = {
    "extragradient": (Extragradient, extragradient, 1),
    "past extragradient": (PastExtragradient, past_extragradient, 1),
    "lookahead, k = 5": (partial(Lookahead, Simultaneous(), 5, 0.5), partial(lookahead, 5, 0.5, simultaneous), 5),
    "lookahead, k = 3": (partial(Lookahead, Alternating(), 3, 0.2), partial(lookahead, 3, 0.2, alternating), 3),
    "lookahead of extragradient": (
        partial(Lookahead, Extragradient(), 4, 0.4),
        partial(lookahead, 4, 0.4, extragradient),
        4,
    ),
    "SGA": (partial(SymplecticAdjustment, 0.7, align=False), partial(sga, 0.7), 1),
    "SGA, aligned": (partial(SymplecticAdjustment, 1.0), partial(sga, 1.0), 1),
    "CGD": (CompetitiveGradientDescent, competitive, 1),
    "unrolled": (partial(Unrolled, 3), partial(unrolled, 3, True), 1),
    "unrolled, a constant": (partial(Unrolled, 3, False), partial(unrolled, 3, False), 1),
    "follow the ridge": (partial(FollowTheRidge, 0.2), partial(ridge, 0.2), 1),
    "lookahead of CGD": (
        partial(Lookahead, CompetitiveGradientDescent(), 4, 0.4),
        partial(lookahead, 4, 0.4, competitive),
        4,
    ),
}


def rate(matrix: Matrix, period: int) -> float:
    return np.abs(np.linalg.eigvals(matrix)).max() ** (1 / period)


def measured(update: Update, players: tuple, batch: object) -> float:
    return eigenvalues(update, *players, batch).abs().max().item()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("h", [0.1, 0.3])
def test_bilinear_game(name: str, h: float) -> None:
    make, matrix, period = RULES[name]
    expected = rate(matrix(field(1.0), h), period)
    assert measured(make(), bilinear_game(h), None) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("objective", "coupling", "gamma"),
    [(Minimax(), 0.5, 0.0), (NonSaturating(), 0.5, 0.0), (Wasserstein(), 1.0, 0.0), (NonSaturating(), 0.5, 0.3)],
)
def test_dirac_gan(name: str, objective: object, coupling: float, gamma: float) -> None:
    make, matrix, period = RULES[name]
    gan = dirac_gan(objective, make(), R1(gamma), h=0.2)
    expected = rate(matrix(field(coupling, gamma), 0.2), period)
    players = (gan.discriminator_player, gan.generator_player)
    assert measured(gan.update, players, BATCH) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("h", "moduli"), [(0.1, (0.995038, 0.994936)), (0.3, (0.958175, 0.948683))])
def test_published_rates(h: float, moduli: tuple[float, float]) -> None:
    """Gidel et al. 2019, arXiv 1802.10551: extrapolation, ‖w‖² ← (1 − h² + h⁴) ‖w‖², and that from the past."""
    for rule, modulus in zip((Extragradient(), PastExtragradient()), moduli, strict=True):
        assert measured(rule, bilinear_game(h), None) == pytest.approx(modulus, abs=1e-6)
    assert moduli[0] == pytest.approx(np.sqrt(1 - h**2 + h**4), abs=1e-6)


def test_lookahead_goes_back_after_every_kth_iteration() -> None:
    first, second = bilinear_game(0.1)
    first.theta.fill_(1.0)
    second.theta.fill_(2.0)
    rule = Lookahead(Alternating(), k=3, alpha=0.25)
    memory = rule.start(first, second)
    w = old = np.array([1.0, 2.0])
    step = alternating(field(1.0), 0.1)
    for i in range(1, 8):
        rule(first, second, None, *memory)
        w = step @ w
        if i % 3 == 0:
            w = old = old + 0.25 * (w - old)
        assert torch.cat([first.theta, second.theta]).numpy() == pytest.approx(w, abs=1e-12)
