"""R networks as one module: row i of outputs and gradients equals those of network i alone."""

from collections.abc import Callable

import pytest
import torch
from test_architectures import MAKERS
from torch import Tensor, nn

from gaussgan.gan.penalties import input_gradient
from gaussgan.networks import MLP, Linear, Location
from gaussgan.networks.replicas import Replicas
from gaussgan.rng import normal, stream

R = 3


class Residual(nn.Module):
    """A user's network, which may not support leading dimensions."""

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.outer = Linear(3, 2, std=0.5, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(x + self.inner(x).tanh())


class Swish(nn.Module):
    """An activation with a parameter, which all layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.sharpness * x).sigmoid()


class Tied(nn.Module):
    """Two layers that share one weight."""

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__()
        self.first, self.second = Linear(3, 3, std=0.5, rng=rng), Linear(3, 3, std=0.5, rng=rng)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).tanh())


class Own(Linear):
    """A subclass of a replicable network with its own forward."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - x.mean(0)[:2]


ALL = {
    **MAKERS,
    "a user's network": Residual,
    "tied": Tied,
    "inherited": lambda rng: Own(3, 2, std=0.5, rng=rng),
    "batch norm": lambda rng: MLP(3, [5, 4], 2, std=0.5, rng=rng, batch_norm=True),
    "parametric activation": lambda rng: MLP(3, [5, 4], 2, std=0.5, rng=rng, activation=Swish()),
}
MAPPED = ("a user's network", "tied", "inherited", "batch norm", "parametric activation")
everyone = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def networks(make: Callable[[torch.Generator], nn.Module]) -> list[nn.Module]:
    return [make(stream(seed, "init")).double() for seed in range(R)]


@everyone
@pytest.mark.parametrize("training", [True, False])
def test_each_row_is_its_network(make: Callable[[torch.Generator], nn.Module], training: bool) -> None:
    alone = networks(make)
    replicas = Replicas(alone).train(training)
    x = normal(R, 6, 3, generator=stream(0, "x")).double()
    for _ in range(2):  # the second pass starts with the buffers of the first
        together = replicas(x)
        gradients = torch.autograd.grad(together.square().sum(), list(replicas.parameters()))
        flat = isinstance(alone[0], Location)
        slopes = None if flat else input_gradient(lambda rows: replicas(rows)[..., :1], x)
        for i, network in enumerate(alone):
            network.train(training)
            output = network(x[i])
            torch.testing.assert_close(together[i], output)
            expected = torch.autograd.grad(output.square().sum(), list(network.parameters()))
            for ours, theirs in zip(gradients, expected, strict=True):
                torch.testing.assert_close(ours[i], theirs)
            if slopes is not None:
                expected_slopes = input_gradient(lambda rows, n=network: n(rows)[..., :1], x[i])
                torch.testing.assert_close(slopes[i], expected_slopes)
    for i, network in enumerate(alone):
        torch.testing.assert_close(replicas.network(i).state_dict(), network.state_dict())


@pytest.mark.parametrize("name", ALL)
def test_only_replicable_networks_use_the_fast_path(name: str) -> None:
    assert Replicas(networks(ALL[name])).replicable == (name not in MAPPED)


@everyone
def test_slices_are_views(make: Callable[[torch.Generator], nn.Module]) -> None:
    replicas = Replicas(networks(make)).eval()
    x = normal(R, 6, 3, generator=stream(0, "x")).double()
    torch.testing.assert_close(replicas[1:](x[1:]), replicas(x)[1:])
    with torch.no_grad():
        next(replicas.parameters()).zero_()
    assert not next(replicas[1:].parameters()).any()


@pytest.mark.parametrize("name", ["linear", "linear without bias", "location", "inherited"])
def test_moments(name: str) -> None:
    alone = networks(ALL[name])
    for ours, theirs in zip(
        Replicas(alone).moments(), zip(*(network.moments() for network in alone), strict=True), strict=True
    ):
        torch.testing.assert_close(ours, torch.stack(theirs))
    assert not hasattr(Replicas(networks(MAKERS["mlp"])), "moments")


@pytest.mark.parametrize("name", MAKERS)
def test_more_dimensions_between(name: str) -> None:
    replicas = Replicas(networks(MAKERS[name])).eval()
    x = normal(R, 4, 6, 3, generator=stream(0, "x")).double()
    torch.testing.assert_close(replicas(x), replicas(x.flatten(1, 2)).unflatten(1, (4, 6)))
