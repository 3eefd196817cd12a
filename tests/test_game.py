"""Players and update rules on games whose dynamics are known in closed form, and objectives on theirs."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from gaussgan.game.objectives import NonSaturating
from gaussgan.game.player import Player
from gaussgan.game.updates import Alternating
from gaussgan.networks import MLP
from gaussgan.streams import normal, stream


class Point(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value], dtype=torch.float64))


def bilinear_game(step: float) -> tuple[Player, Player]:
    """min over x, max over y of x·y, by gradient steps."""
    x, y = Point(1.0), Point(1.0)
    sgd = partial(torch.optim.SGD, lr=step)
    return Player(x, lambda _: x.value * y.value, sgd), Player(y, lambda _: -x.value * y.value, sgd)


@pytest.mark.parametrize("step", [0.1, 0.3])
def test_alternating_steps_on_a_bilinear_game_stay_on_their_ellipse(step: float) -> None:
    first, second = bilinear_game(step)
    columns = []
    for start in ((1.0, 0.0), (0.0, 1.0)):
        first.theta.fill_(start[0])
        second.theta.fill_(start[1])
        Alternating()(first, second, None)
        columns.append(torch.cat([first.theta, second.theta]))
    moduli = torch.linalg.eigvals(torch.stack(columns, 1)).abs()
    torch.testing.assert_close(moduli, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-9)


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
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_each_replicas_gradient_is_its_own() -> None:
    """A leading dimension R of parameters and batches gives R gradients, each of its replica's mean."""
    weights = normal(3, 2, 1, generator=stream(0, "test")).double()
    batch = normal(3, 8, 2, generator=stream(0, "test", 1)).double()

    class Stacked(nn.Module):
        def __init__(self, weight: Tensor) -> None:
            super().__init__()
            self.weight = nn.Parameter(weight.clone())

    def gradient(weight: Tensor, x: Tensor) -> Tensor:
        module = Stacked(weight)
        return Player(module, lambda x: (x @ module.weight).square(), partial(torch.optim.SGD, lr=1)).gradient(x)

    together = gradient(weights, batch).view(3, 2)
    apart = torch.stack([gradient(weights[i], batch[i]) for i in range(3)])
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=0)


def test_gradients_survive_any_memory_layout() -> None:
    """The gradient of a transposed weight comes back strided; θ must see it in θ's own order."""
    weight = nn.Linear(3, 2, bias=False).double()
    x, target = normal(8, 3, generator=stream(0, "x")).double(), normal(8, 2, generator=stream(0, "y")).double()
    player = Player(weight, lambda _: (x @ weight.weight.t() - target).square(), partial(torch.optim.SGD, lr=0.1))
    (expected,) = torch.autograd.grad((x @ weight.weight.t() - target).square().sum() / 8, [weight.weight])
    torch.testing.assert_close(player.gradient(None), expected.reshape(-1))


def test_nonsaturating_losses() -> None:
    """At logit 0 both read log 2; with the optimal discriminator log p/q, L_D = log 2 − JS(p, q)."""
    objective, zero = NonSaturating(), torch.zeros(1, 1)
    assert objective.discriminator_loss(zero, zero).item() == pytest.approx(0.693147, abs=1e-6)
    assert objective.generator_loss(None, zero).item() == pytest.approx(0.693147, abs=1e-6)

    p, q = MultivariateNormal(torch.zeros(1), torch.eye(1)), MultivariateNormal(torch.ones(1), torch.eye(1))
    torch.manual_seed(0)
    x, y = p.sample((200_000,)), q.sample((200_000,))

    def logit(v: Tensor) -> Tensor:
        return (p.log_prob(v) - q.log_prob(v)).unsqueeze(-1)

    grid = torch.linspace(-10, 11, 100_000).unsqueeze(-1)
    mixture = torch.logaddexp(p.log_prob(grid), q.log_prob(grid)) - torch.log(torch.tensor(2.0))
    js = (
        sum(torch.trapezoid(law.log_prob(grid).exp() * (law.log_prob(grid) - mixture), grid[:, 0]) for law in (p, q))
        / 2
    )
    loss = objective.discriminator_loss(logit(x), logit(y)).mean().item()
    assert loss == pytest.approx(0.693147 - js.item(), abs=2e-3)  # type: ignore[union-attr]
