"""Gradients and steps of players."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gaussgan.gan.optimizers import SGD
from gaussgan.gan.player import Player
from gaussgan.networks import MLP
from gaussgan.rng import normal, stream


def test_a_player_moves_its_module_along_the_gradient_of_the_mean_loss() -> None:
    rng = stream(0, "test")
    ours, theirs = (MLP(2, [5, 3], 1, std=0.5, rng=stream(0, "init")).double() for _ in range(2))
    batch = normal(8, 2, generator=rng).double()
    player = Player(ours, lambda x: ours(x).square(), partial(torch.optim.SGD, lr=0.1))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(3):
        player.apply(player.gradient(batch))
        optimizer.zero_grad()
        theirs(batch).square().mean().backward()
        optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_each_replica_has_its_own_gradient() -> None:
    """With a leading dimension R there are R gradients, each of the mean loss of one replica."""
    weights = normal(3, 2, 1, generator=stream(0, "test")).double()
    batch = normal(3, 8, 2, generator=stream(0, "test", 1)).double()

    class Stacked(nn.Module):
        def __init__(self, weight: Tensor) -> None:
            super().__init__()
            self.weight = nn.Parameter(weight.clone())

    def gradient(weight: Tensor, x: Tensor) -> Tensor:
        module = Stacked(weight)
        loss = lambda x: (x @ module.weight).square()  # noqa: E731
        return Player(module, loss, partial(torch.optim.SGD, lr=1), leading=weight.ndim - 2).gradient(x)

    together = gradient(weights, batch)
    apart = torch.stack([gradient(weights[i], batch[i]) for i in range(3)])
    torch.testing.assert_close(together, apart, rtol=1e-9, atol=1e-12)


def test_gradients_survive_any_memory_layout() -> None:
    """Autograd returns the gradient of a transposed weight with other strides. It must have the order of θ."""
    weight = nn.Linear(3, 2, bias=False).double()
    x, target = normal(8, 3, generator=stream(0, "x")).double(), normal(8, 2, generator=stream(0, "y")).double()
    player = Player(weight, lambda _: (x @ weight.weight.t() - target).square(), partial(torch.optim.SGD, lr=0.1))
    (expected,) = torch.autograd.grad((x @ weight.weight.t() - target).square().sum() / 8, [weight.weight])
    torch.testing.assert_close(player.gradient(None), expected.reshape(-1))


def test_gradients_and_weights_are_clipped() -> None:
    def steps(**limits: float) -> Tensor:
        module = nn.Linear(2, 1, bias=False).double()
        nn.init.zeros_(module.weight)
        # ∇ is (3, 4) everywhere: its norm is 5.
        player = Player(
            module, lambda _: (module.weight * torch.tensor([3.0, 4.0])).sum(), partial(SGD, lr=1.0), **limits
        )
        for _ in range(2):
            player.apply(player.gradient(None))
        return player.theta

    for limits, expected in (
        ({}, [-6.0, -8.0]),
        ({"clip_gradient": 1.0}, [-1.2, -1.6]),
        ({"clip_gradient": 100.0}, [-6.0, -8.0]),
        ({"clip_weights": 0.01}, [-0.01, -0.01]),
    ):
        assert steps(**limits).tolist() == pytest.approx(expected, abs=1e-12)
