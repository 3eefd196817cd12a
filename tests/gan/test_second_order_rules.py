"""Update rules with second derivatives equal formulas in NumPy on games with several parameters."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gaussgan.data.loader import Batch
from gaussgan.gan.module import GAN
from gaussgan.gan.objectives import NonSaturating
from gaussgan.gan.optimizers import SGD, Adam
from gaussgan.gan.output_penalties import LeCam
from gaussgan.gan.player import Player
from gaussgan.gan.updates import (
    CompetitiveGradientDescent,
    Consensus,
    FollowTheRidge,
    Simultaneous,
    SymplecticAdjustment,
    Unrolled,
    Update,
)
from gaussgan.gan.updates.field import least_squares
from gaussgan.networks import MLP
from gaussgan.rng import normal, stream

Array = np.ndarray
RNG = np.random.default_rng(0)
F, G = ((lambda m: m + m.T)(RNG.normal(size=(5, 5))) for _ in range(2))  # Hessians of f and g; x has 3 entries, y 2
W = RNG.normal(size=5)
X, Y = slice(0, 3), slice(3, 5)
LR_X, LR_Y = 0.05, 0.02


def quadratic(scale: float = 1.0, optimizer: object = SGD) -> tuple[Player, Player]:
    """f = ½ wᵀ F w, which x minimises, and g = ½ wᵀ G w, which y minimises. The first player's loss is f / scale."""
    x, y = (nn.ParameterList([nn.Parameter(torch.tensor(W[part]))]) for part in (X, Y))

    def loss(matrix: Array, factor: float) -> Tensor:
        w = torch.cat([x[0], y[0]])
        return w @ torch.tensor(matrix) @ w / (2 * factor)

    return (
        Player(x, lambda _: loss(F, scale), partial(optimizer, lr=scale * LR_X), scale=scale),
        Player(y, lambda _: loss(G, 1.0), partial(optimizer, lr=LR_Y)),
    )


J = np.vstack([F[X], G[Y]])  # of the field v = (∂f/∂x, ∂g/∂y)
RATES = np.diag([LR_X] * 3 + [LR_Y] * 2)


def adjusted(weight: float) -> Array:
    return RATES @ (np.eye(5) + weight * (J.T - J) / 2) @ J @ W


def competitive() -> Array:
    """Δx = −η_x (1 − η_x η_y f_xy g_yx)⁻¹ (f_x − η_y f_xy g_y), and the same for y."""
    v, f_xy, g_yx = J @ W, F[X, Y], G[Y, X]
    dx = np.linalg.solve(np.eye(3) - LR_X * LR_Y * f_xy @ g_yx, v[X] - LR_Y * f_xy @ v[Y])
    dy = np.linalg.solve(np.eye(2) - LR_X * LR_Y * g_yx @ f_xy, v[Y] - LR_X * g_yx @ v[X])
    return np.concatenate([LR_X * dx, LR_Y * dy])


def correction(damping: float, change_y: Array) -> Array:
    """(H² + δ)⁻¹ H f_xy Δy with H = f_xx, which has eigenvalues of both signs"""
    return np.linalg.solve(F[X, X] @ F[X, X] + damping * np.eye(3), F[X, X] @ F[X, Y] @ change_y)


def ridge(damping: float) -> Array:
    step = RATES @ J @ W
    return step + np.concatenate([correction(damping, -step[Y]), np.zeros(2)])


def unrolled(k: int) -> Array:
    """The gradient of y ↦ g(x_k(y), y), with x_k(y) = M^k x − (1 + M + … + M^{k−1}) η f_xy y and M = 1 − η f_xx."""
    step = np.eye(3) - LR_X * F[X, X]
    slope = -sum(np.linalg.matrix_power(step, i) for i in range(k)) @ (LR_X * F[X, Y])
    ahead = np.concatenate([np.linalg.matrix_power(step, k) @ W[X] + slope @ W[Y], W[Y]])
    return np.concatenate([LR_X * (J @ W)[X], LR_Y * (G[Y] @ ahead + slope.T @ G[X] @ ahead)])


@pytest.mark.parametrize(
    ("rule", "step"),
    [
        (Consensus(0.7), RATES @ (np.eye(5) + 0.7 * J.T) @ J @ W),
        (SymplecticAdjustment(0.7, align=False), adjusted(0.7)),
        (CompetitiveGradientDescent(iterations=5), competitive()),
        (FollowTheRidge(damping=0.0, iterations=3), ridge(0.0)),
        (FollowTheRidge(damping=0.3, iterations=3), ridge(0.3)),
        (Unrolled(4), unrolled(4)),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_one_step_of_a_general_quadratic_game(rule: Update, step: Array, scale: float) -> None:
    """Also if the first player's loss is half of the literature's, and its learning rate twice."""
    first, second = quadratic(scale)
    rule(first, second, None)
    assert torch.cat([first.theta, second.theta]).numpy() == pytest.approx(W - step, abs=1e-10)


@pytest.mark.parametrize(
    ("e", "alignment", "sign"), [(0.5, 3.0, 1), (-0.5, -3.0, -1), (-0.5, -0.11, -1), (-0.5, -0.09, 1)]
)
def test_the_aligned_adjustment_turns_towards_stable_points_only(e: float, alignment: float, sign: int) -> None:
    """f = e x²/2 + x y and g = e y²/2 − x y have a stable point at 0 for e > 0, and an unstable one for e < 0."""
    j, w = np.array([[e, 1.0], [-1.0, e]]), np.array([3.0, 4.0])
    v, turn = j @ w, (j.T - j) / 2 @ j @ w
    w *= (alignment / ((v @ j.T @ v) * (turn @ j.T @ v) / 2)) ** 0.25  # then the product has this value
    x, y = (nn.ParameterList([nn.Parameter(torch.tensor([value], dtype=torch.float64))]) for value in w)
    first = Player(x, lambda _: e * x[0].square() / 2 + x[0] * y[0], partial(SGD, lr=0.1))
    second = Player(y, lambda _: e * y[0].square() / 2 - x[0] * y[0], partial(SGD, lr=0.1))
    SymplecticAdjustment(1.0, align=True)(first, second, None)
    expected = w - 0.1 * (np.eye(2) + sign * (j.T - j) / 2) @ j @ w
    assert [first.theta.item(), second.theta.item()] == pytest.approx(expected.tolist(), abs=1e-12)


def ends(rule: Update, a: float, b: float, c: float, steps: int) -> float:
    """The distance from 0 after steps of min over x, max over y of a x² + b y² + c x y from (1, 1); D is y."""
    y, x = (nn.ParameterList([nn.Parameter(torch.ones(1, dtype=torch.float64))]) for _ in range(2))

    def loss() -> Tensor:
        return a * x[0].square() + b * y[0].square() + c * x[0] * y[0]

    first, second = (
        Player(y, lambda _: -loss(), partial(SGD, lr=0.05)),
        Player(x, lambda _: loss(), partial(SGD, lr=0.05)),
    )
    for _ in range(steps):
        rule(first, second, None)
    return torch.hypot(x[0], y[0]).item()


def test_follow_the_ridge_finds_local_minimax_points_and_no_others() -> None:
    """0 is a local minimax point of −3x² − y² + 4xy (Wang, Zhang, Ba 2020, figure 1), and not of 3x² + y² + 4xy."""
    ridge = FollowTheRidge(damping=0.0, iterations=1)
    assert ends(ridge, -3, -1, 4, 500) < 1e-8
    assert ends(Simultaneous(), -3, -1, 4, 500) > 1e3
    assert ends(ridge, 3, 1, 4, 100) > 1e2
    assert ends(Simultaneous(), 3, 1, 4, 500) < 1e-8


def test_damping_does_not_turn_follow_the_ridge_around() -> None:
    """y²/4 + x y has no minimax point. A step along (H + δ)⁻¹ K Δ_G would converge to 0, because −δ < H < 0."""
    assert ends(FollowTheRidge(damping=1.0), 0, 0.25, 1, 400) > 1e2


def test_follow_the_ridge_makes_up_for_the_step_of_gs_optimizer() -> None:
    first, second = quadratic(optimizer=Adam)
    FollowTheRidge(damping=0.3, iterations=3)(first, second, None)
    signs = np.sign(J @ W)  # Adam's first step
    expected = W - RATES @ signs - np.concatenate([correction(0.3, -LR_Y * signs[Y]), np.zeros(2)])
    assert torch.cat([first.theta, second.theta]).numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "make", [Consensus, SymplecticAdjustment, CompetitiveGradientDescent, FollowTheRidge, partial(FollowTheRidge, 0.0)]
)
def test_gradients_that_are_exactly_zero_stay_zero(make: Callable[[], Update]) -> None:
    (first, second), rule = quadratic(), make()
    for player in (first, second):
        player.theta.zero_()
    for _ in range(3):
        rule(first, second, None)
    assert not torch.cat([first.theta, second.theta]).any()


def test_unrolled_steps_are_those_of_adam() -> None:
    """The derivative through two steps of Adam is that of finite differences; D's moments do not change by looking."""
    first, second = quadratic(optimizer=Adam)
    Unrolled(0)(first, second, None)  # so that there are moments
    state = {name: tensor.clone() for name, tensor in first.state.optimizer.items()}
    y, x = second.theta.clone(), first.theta.clone()

    def loss_ahead(y: Tensor) -> float:
        theta, now = x, state
        for _ in range(2):
            gradient = torch.tensor(F[X]) @ torch.cat([theta, y])
            theta, now = first.after_step(theta, now, gradient)
        w = torch.cat([theta, y])
        return (w @ torch.tensor(G) @ w / 2).item()

    seen: list[Tensor] = []
    second.apply = lambda gradient: seen.append(gradient)  # type: ignore[method-assign]
    Unrolled(2)(first, second, None)
    for i in range(2):
        shift = torch.zeros(2, dtype=torch.float64)
        shift[i] = 1e-6
        slope = (loss_ahead(y + shift) - loss_ahead(y - shift)) / 2e-6
        assert seen[0][i].item() == pytest.approx(slope, rel=1e-6)
    theta, now = first.after_step(x, state, torch.tensor(F[X]) @ torch.cat([x, y]))
    torch.testing.assert_close(first.theta, theta)
    torch.testing.assert_close(first.state.optimizer, now)


def test_least_squares_solves_each_replicas_equation() -> None:
    a = torch.tensor(RNG.normal(size=(3, 4, 4)))
    b = torch.tensor(RNG.normal(size=(3, 4)))
    matrix = lambda x: (a @ x.unsqueeze(-1)).squeeze(-1)  # noqa: E731
    transposed = lambda x: (a.mT @ x.unsqueeze(-1)).squeeze(-1)  # noqa: E731
    x = least_squares(matrix, transposed, b, 4)
    torch.testing.assert_close(x, torch.linalg.solve(a, b), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(least_squares(matrix, transposed, b, 20), torch.linalg.solve(a, b))  # it stays
    assert not least_squares(matrix, transposed, 0 * b, 3).any()


@pytest.mark.parametrize("backpropagate", [False, True])
def test_unrolled_steps_leave_buffers_and_memory_as_they_are(backpropagate: bool) -> None:
    """They are those after one loss of D, at the parameters that D really has."""
    rng, adam = stream(0, "init"), partial(Adam, lr=0.1)
    generator, discriminator = (MLP(k, [3], 1, 0.5, rng, batch_norm=True) for k in (2, 1))
    batch = Batch(normal(6, 1, generator=rng), normal(6, 2, generator=rng))
    gan = GAN(generator, discriminator, NonSaturating(), Unrolled(3, backpropagate), adam, adam, [LeCam(0.1)])
    gan.configure_optimizers()
    once = deepcopy(gan)
    once.game.discriminator_loss(batch, *once.state.discriminator.memory)
    gan.iteration(gan.state, batch)
    expected = once.state.discriminator
    torch.testing.assert_close(gan.state.discriminator.buffers, expected.buffers)
    torch.testing.assert_close(gan.state.generator.buffers, once.state.generator.buffers)
    torch.testing.assert_close(gan.state.discriminator.memory, expected.memory)
    assert not torch.equal(gan.state.discriminator.theta, expected.theta)
