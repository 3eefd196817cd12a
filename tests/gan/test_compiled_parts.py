"""What users write: a compiled run of it equals the eager one, or it is refused in one line and has not changed."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from test_compiled_combinations import TINY, distance, game
from torch import Tensor, nn

from conftest import ROOT
from gaussgan.compile import build
from gaussgan.compile.errors import NotCompiled
from gaussgan.data.loader import Batch
from gaussgan.gan.compiled import CompiledIterations
from gaussgan.gan.eager import EagerIterations
from gaussgan.gan.module import GAN
from gaussgan.gan.optimizers import VectorOptimizer
from gaussgan.gan.penalties import Seen, input_gradient
from gaussgan.gan.state import State
from gaussgan.gan.updates import Alternating
from gaussgan.networks.layers import draw_parameters

Compose = Callable[..., DictConfig]
Change = Callable[[GAN], None]
BRANCH = "it branches on the value of a tensor; use torch.where instead"
ELSEWHERE = "it depends on something else than tensors, such as a counter, NumPy, or random numbers"
MINE = "\n".join(re.findall(r"```python\n# mine.py\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.DOTALL))
DOUBLE = "trainer.precision=64-true"
calls = 0


@pytest.fixture(autouse=True)
def fast_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FLAGS", tuple("-O0" if flag == "-O2" else flag for flag in build.FLAGS))


@pytest.fixture
def mine() -> dict[str, Any]:
    """The classes of docs/extending.md."""
    names: dict[str, Any] = {"__name__": "mine"}
    exec(MINE, names)
    return names


def changed(compose: Compose, change: Change, *overrides: str) -> tuple[GAN, list[Batch], list[Batch]]:
    return game(compose(*TINY, DOUBLE, *overrides), lambda gan: (change(gan), gan.to(torch.float64)))


def tensors_of(gan: GAN) -> list[Tensor]:
    """The tensors of the state. The players know the buffers that a network has replaced."""
    players = gan.discriminator_player.state, gan.generator_player.state
    return State(*players, gan.state.memory, gan.state.average).tensors()


def assert_equal(compose: Compose, change: Change, *overrides: str, times: int = 1) -> None:
    (ours, batches, one), (theirs, _, _) = changed(compose, change, *overrides), changed(compose, change, *overrides)
    before = [tensor.clone() for tensor in tensors_of(ours)]
    compiled, eager = CompiledIterations(ours, one), EagerIterations()
    assert all(torch.equal(a, b) for a, b in zip(before, tensors_of(ours), strict=True))
    for _ in range(times):
        compiled(ours, batches)
        eager(theirs, batches)
    assert distance(tensors_of(ours), tensors_of(theirs)) < 1e-11
    assert distance(tensors_of(ours), before) > 1e-6


def assert_refused(compose: Compose, change: Change, reason: str, *overrides: str) -> None:
    gan, _, one = changed(compose, change, *overrides)
    with pytest.raises(NotCompiled, match=reason) as error:
        CompiledIterations(gan, one)
    assert "\n" not in str(error.value)


def with_update(update: Any) -> Change:
    return lambda gan: setattr(gan, "update", update)


def with_generator(make: Callable[[], nn.Module]) -> Change:
    def change(gan: GAN) -> None:
        gan.generator = gan.game.generator = make()

    return change


def with_penalty(penalty: Any) -> Change:
    return lambda gan: setattr(gan.game, "penalties", [penalty])


@pytest.mark.parametrize("replicas", [1, 2])
def test_classes_of_the_page_compile_unchanged(compose: Compose, mine: dict[str, Any], replicas: int) -> None:
    def objective(gan: GAN) -> None:
        gan.game.objective = mine["Absolute"]()

    assert_equal(compose, objective, f"replicas={replicas}", "optimizer_d.eps=1e-3")  # D's last bias: a gradient of 0
    if replicas == 1:
        assert_equal(compose, with_generator(lambda: mine["Residual"](2, 2, 3, 0.1, torch.Generator().manual_seed(0))))
    assert_equal(compose, with_update(mine["Anchored"]()), f"replicas={replicas}", times=2)


class Branch(Alternating):
    def __call__(self, discriminator: Any, generator: Any, batch: Any) -> Any:
        losses = super().__call__(discriminator, generator, batch)
        if losses[0][0].values.mean() > 0:
            generator.theta.mul_(0.9)
        return losses


class Counter(Alternating):
    count = 0

    def __call__(self, discriminator: Any, generator: Any, batch: Any) -> Any:
        self.count += 1
        return super().__call__(discriminator, generator, batch)


class Global(Alternating):
    def __call__(self, discriminator: Any, generator: Any, batch: Any) -> Any:
        global calls
        calls += 1
        discriminator.theta.mul_(1 - 0.01 * calls)
        return super().__call__(discriminator, generator, batch)


class Alias(Alternating):
    def start(self, discriminator: Any, generator: Any) -> tuple[Tensor, ...]:
        return (discriminator.theta,)

    def __call__(self, discriminator: Any, generator: Any, batch: Any, theta: Tensor) -> Any:
        return super().__call__(discriminator, generator, batch)


class Turned(Alternating):
    """Its memory does not lie in order."""

    def start(self, discriminator: Any, generator: Any) -> tuple[Tensor, ...]:
        return (torch.arange(6.0).reshape(2, 3).T.double(), torch.ones(3, dtype=torch.int64))

    def __call__(self, discriminator: Any, generator: Any, batch: Any, table: Tensor, count: Tensor) -> Any:
        table.add_(table[:, :1] * batch.real.mean())
        count.add_(1)
        return super().__call__(discriminator, generator, batch)


def test_update_rules(compose: Compose) -> None:
    assert_refused(compose, with_update(Branch()), BRANCH)
    rule = Counter()
    assert_refused(compose, with_update(rule), "the attribute Counter.count changes in an iteration")
    assert rule.count == 0  # an eager run begins with the same numbers as one that was never compiled
    assert_refused(compose, with_update(Global()), ELSEWHERE)
    assert_refused(compose, with_update(Alias()), "two tensors of its state share their memory")
    assert_equal(compose, with_update(Turned()))


class Net(nn.Module):
    """A generator with a function inside."""

    def __init__(self, function: Callable[..., Tensor], **buffers: Tensor) -> None:
        super().__init__()
        self.inner, self.outer, self.function = nn.Linear(2, 3), nn.Linear(3, 2), function
        draw_parameters(self, 0.3, torch.Generator().manual_seed(3))
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)

    def forward(self, z: Tensor) -> Tensor:
        return self.outer(self.function(self, self.inner(z)))


def replaced(net: Net, x: Tensor) -> Tensor:
    net.mean = 0.9 * net.mean + 0.1 * x.detach().mean(0)
    return x - net.mean


def counted(net: Net, x: Tensor) -> Tensor:
    net.count += 1
    return x * (1 + net.count / 10)


def without_gradient(net: Net, x: Tensor) -> Tensor:
    with torch.no_grad():
        scale = x.std(0)
    return x / (1 + scale)


def by_shape(net: Net, x: Tensor) -> Tensor:
    return x.tanh() if x.shape[-2] % 2 else x.relu() + 0.1 * x


NETS: dict[str, tuple[Callable[[Net, Tensor], Tensor], dict[str, Tensor]]] = {
    "a buffer is replaced": (replaced, {"mean": torch.zeros(3)}),
    "a whole number counts": (counted, {"count": torch.zeros((), dtype=torch.int64)}),
    "no gradient inside": (without_gradient, {}),
    "code depends on the shape": (by_shape, {}),
    "a constant": (lambda net, x: x * torch.tensor([1.0, 2.0, 3.0], dtype=x.dtype), {}),
    "a layer is used twice": (lambda net, x: net.inner(net.outer(x)).tanh(), {}),
}
DRAWING: dict[str, tuple[Callable[[Net, Tensor], Tensor], str]] = {
    "dropout": (lambda net, x: nn.functional.dropout(x, 0.5), "draws random numbers"),
    "noise": (lambda net, x: x + torch.randn_like(x), "draws random numbers"),
    "Python's random": (lambda net, x: x * random.random(), ELSEWHERE),
    "NumPy": (lambda net, x: x * float(x.detach().numpy().std()), ELSEWHERE),
    "a branch": (lambda net, x: x if x.sum() > 0 else -x, BRANCH),
    "an item": (lambda net, x: x * x.mean().item(), BRANCH),
}


@pytest.mark.parametrize("name", NETS)
def test_networks(compose: Compose, name: str) -> None:
    function, buffers = NETS[name]
    assert_equal(compose, with_generator(lambda: Net(function, **{k: b.clone() for k, b in buffers.items()})))


@pytest.mark.parametrize("name", DRAWING)
def test_networks_that_are_refused(compose: Compose, name: str) -> None:
    function, reason = DRAWING[name]
    state = random.getstate()
    assert_refused(compose, with_generator(lambda: Net(function)), reason)
    assert random.getstate() != state or name != "Python's random"


class Weighted:
    """A penalty with a tensor, on which a callback may work."""

    def __init__(self) -> None:
        self.weights = torch.tensor([1.0, 0.5])

    def __call__(self, discriminator: Any, seen: Seen) -> Tensor:
        return (input_gradient(discriminator, seen.real).square() * self.weights).sum(-1, keepdim=True)


class Growing:
    def __init__(self) -> None:
        self.weight = 1.0

    def __call__(self, discriminator: Any, seen: Seen) -> Tensor:
        self.weight *= 1.1
        return self.weight * input_gradient(discriminator, seen.real).square().sum(-1, keepdim=True)


class Signs(VectorOptimizer):
    """Steps of one length, with a count of them."""

    def __init__(self, params: Any, lr: Any) -> None:
        super().__init__(params, lr)

    def initial_state(self, theta: Tensor) -> dict[str, Tensor]:
        return {"steps": torch.zeros((), dtype=torch.int64)}

    def update(self, theta: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        state["steps"] += 1
        theta.sub_(group["lr"] * gradient / (gradient.abs() + 1e-3) / state["steps"])


def test_penalties_and_optimizers(compose: Compose) -> None:
    assert_equal(compose, with_penalty(Weighted()))
    penalty = Growing()
    assert_refused(compose, with_penalty(penalty), "the attribute Growing.weight changes in an iteration")
    assert penalty.weight == 1
    assert_equal(
        compose, lambda gan: setattr(gan, "optimizer_d", lambda params: Signs(params, 0.01)), "optimizer_g.eps=1e-3"
    )
    adam = "optimizer_d._target_=torch.optim.Adam"
    assert_refused(compose, lambda _: None, "Adam keeps its own state", adam)


def test_small_and_wide(compose: Compose) -> None:
    assert_equal(compose, lambda _: None, "data.batch_size=1", "data.num_examples=5")
    assert_equal(compose, lambda _: None, "data=dirac", "replicas=2")
    assert_equal(compose, lambda _: None, "discriminator.widths=[300]", "optimizer_d.eps=1e-3")
