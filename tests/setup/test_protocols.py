"""The user's own class is refused in one line with its key if it does not follow its protocol."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor, nn

from gaussgan.config.errors import ConfigError
from gaussgan.data.distributions import name_of
from gaussgan.gan.updates import Simultaneous
from gaussgan.networks import draw_parameters
from gaussgan.runs.record import read_record
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]


def own(cfg: DictConfig, key: str, target: str, **arguments: Any) -> DictConfig:
    """Return a configuration in which a component has another class."""
    with open_dict(cfg):
        OmegaConf.update(cfg, key, {"_target_": target, **arguments}, merge=False)
    return cfg


class Uniform:
    """The uniform distribution on [0, 1]². A test may replace or remove an attribute."""

    def __init__(self, wrong: str = "") -> None:
        self.dim, self.gaussian = 2, False
        self.mean, self.cov = torch.full((2,), 0.5), torch.eye(2) / 12
        if wrong in ("dim", "mean", "cov", "gaussian"):
            delattr(self, wrong)
        vars(self).update(WRONG.get(wrong, {}))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, 2, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.where(((x >= 0) & (x <= 1)).all(-1), 0.0, -math.inf).double()


def late(n: int, generator: torch.Generator) -> Tensor:
    """Return samples with NaN from row 500 on."""
    x = torch.rand(n, 2, generator=generator)
    x[500:] = torch.nan
    return x


def three(_: float) -> tuple[float, ...]:
    return (1.0, 1.0, 1.0)


def fails(*_: Any) -> Tensor:
    raise KeyError("colour")


WRONG: dict[str, dict[str, Any]] = {
    "dim of text": {"dim": "2"},
    "mean of a list": {"mean": [0.5, 0.5]},
    "mean of another width": {"mean": torch.zeros(3)},
    "mean of whole numbers": {"mean": torch.zeros(2, dtype=torch.long)},
    "cov with NaN": {"cov": torch.full((2, 2), torch.nan)},
    "negative variance": {"cov": -torch.eye(2)},
    "lopsided cov": {"cov": torch.tensor([[1.0, 0.5], [0.0, 1.0]])},
    "gaussian of text": {"gaussian": "no"},
    "modes without std": {"modes": torch.zeros(3, 2)},
    "modes of another width": {"modes": torch.zeros(3, 3), "std": 0.1},
    "sample of a list": {"sample": lambda n, generator: [[0.0, 0.0]] * n},
    "sample of another width": {"sample": lambda n, generator: torch.rand(n, 3, generator=generator)},
    "sample too many": {"sample": lambda n, generator: torch.rand(n + 1, 2, generator=generator)},
    "sample whole numbers": {"sample": lambda n, generator: torch.zeros(n, 2, dtype=torch.long)},
    "sample NaN": {"sample": lambda n, generator: torch.full((n, 2), torch.nan)},
    "sample NaN late": {"sample": late},
    "sample without generator": {"sample": lambda n: torch.rand(n, 2)},
    "sample fails": {"sample": fails},
    "draw from torch": {"sample": lambda n, generator: torch.rand(n, 2)},
    "draw from torch in vain": {"sample": lambda n, generator: torch.rand(n, 2) * 0},
    "draw from numpy": {"sample": lambda n, generator: torch.from_numpy(np.random.rand(n, 2))},  # noqa: NPY002
    "draw from a new generator": {
        "sample": lambda n, generator: torch.from_numpy(np.random.default_rng().random((n, 2)))
    },
    "draw from random": {"sample": lambda n, generator: torch.full((n, 2), random.random())},
    "log_prob of another shape": {"log_prob": lambda x: x},
    "log_prob NaN": {"log_prob": lambda x: x.sum(-1) * torch.nan},
    "log_prob fails": {"log_prob": fails},
}
ONLY_GIVEN_GENERATOR = "must draw all random numbers from the torch.Generator that it is given"


@pytest.mark.parametrize("wrong", ["dim", "mean", "cov", "gaussian", *WRONG])
def test_a_distribution(compose: Compose, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"^data.distribution: ") as error:
        assemble(own(compose("data=ring"), "data.distribution", "test_protocols.Uniform", wrong=wrong))
    message = str(error.value)
    assert "\n" not in message
    assert ONLY_GIVEN_GENERATOR in message if wrong.startswith("draw") else ONLY_GIVEN_GENERATOR not in message


class Network(nn.Module):
    def __init__(self, in_features: int, out_features: int, wrong: str, rng: torch.Generator) -> None:
        super().__init__()
        self.wrong = wrong
        self.linear = nn.Linear(in_features, out_features)
        if wrong != "draws of its own":
            draw_parameters(self, 0.1, rng)
        if wrong == "frozen":
            self.linear.bias.requires_grad_(False)
        if wrong == "unused":
            self.other = nn.Parameter(torch.zeros(1))
        if wrong == "moments":
            self.moments = lambda: (torch.zeros(7), torch.zeros(7, 7))
        if wrong == "construction":
            raise RuntimeError("no such thing\nreally")

    def forward(self, x: Tensor) -> Any:
        if self.wrong == "forward":
            raise KeyError("colour")
        y = self.linear(x)
        return {"list": [y], "whole": y.long(), "detached": y.detach(), "flat": y.flatten()}.get(self.wrong, y)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize(
    "wrong",
    ["draws of its own", "frozen", "unused", "construction", "forward", "list", "whole", "detached", "flat", "moments"],
)
def test_a_network(compose: Compose, player: str, wrong: str) -> None:
    if (player, wrong) == ("discriminator", "moments"):
        pytest.skip("the moments of a discriminator are not used")
    out = 1 if player == "discriminator" else 2
    with pytest.raises(ConfigError, match=f"^{player}") as error:
        assemble(own(compose(), player, "test_protocols.Network", in_features=2, out_features=out, wrong=wrong))
    assert "\n" not in str(error.value)


def test_an_object_that_is_not_a_network(compose: Compose) -> None:
    with pytest.raises(ConfigError, match=r"^generator: it must be a torch\.nn\.Module with parameters"):
        assemble(own(compose(), "generator", "types.SimpleNamespace", in_features=2))


class Absolute:
    def __init__(self, wrong: str) -> None:
        self.wrong = wrong

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Any:
        return self.spoilt(((real - 1).abs() + fake.abs()) / 2)

    def generator_loss(self, real: Tensor, fake: Tensor) -> Any:
        return (fake - 1).abs() + (real if self.wrong == "unpaired" else 0)

    def spoilt(self, losses: Tensor) -> Any:
        return {
            "mean": losses.mean(), "number": 0.5, "NaN": losses * torch.nan, "detached": losses.detach(),
            "over replicas": losses - losses.mean() + 1,
        }.get(self.wrong, losses)  # fmt: skip


@pytest.mark.parametrize("wrong", ["mean", "number", "NaN", "detached", "unpaired", "over replicas"])
def test_an_objective(compose: Compose, wrong: str) -> None:
    assemble(own(compose("replicas=2"), "objective", "test_protocols.Absolute", wrong=""))
    with pytest.raises(ConfigError, match=r"^objective: Absolute\.") as error:
        assemble(own(compose("replicas=2"), "objective", "test_protocols.Absolute", wrong=wrong))
    assert "\n" not in str(error.value)


def two(discriminator: Any, generator: Any) -> None: ...


def scalar(*_: Any, weight: float = 0.0, lr: float = 0.0) -> Tensor:
    return torch.zeros(())


class Remembers(SimpleNamespace):
    def start(self, discriminator: Any, generator: Any) -> Any:
        return (self.remembered,)

    def __call__(self, discriminator: Any, generator: Any, batch: Any, remembered: Any) -> None: ...


class Forgets(Simultaneous):
    def start(self, discriminator: Any, generator: Any) -> Any:
        return (discriminator.theta.clone(),)


class Silent(Simultaneous):
    def __call__(self, discriminator: Any, generator: Any, batch: Any) -> Any:
        super().__call__(discriminator, generator, batch)


class StartsWithNothing(Simultaneous):
    def start(self, discriminator: Any, generator: Any) -> None: ...


class Counts(Simultaneous):
    calls = 0

    def __call__(self, discriminator: Any, generator: Any, batch: Any) -> Any:
        self.calls += 1
        return super().__call__(discriminator, generator, batch)


class Stepless(SimpleNamespace): ...


@pytest.mark.parametrize(
    "key, target, arguments, message",
    [
        ("update", "test_protocols.two", {"_partial_": True}, "update: .* must be a function of discriminator, gen"),
        ("update", "test_protocols.Remembers", {"remembered": 1.0}, r"update: Remembers\.start must return tensors"),
        ("update", "test_protocols.Forgets", {}, r"update: Forgets must be a function of .* its method start returns"),
        ("update", "test_protocols.Silent", {}, r"update: Silent must return the losses of D and G as two lists"),
        ("update", "test_protocols.StartsWithNothing", {}, r"update: start must return a tuple of tensors \(got NoneT"),
        ("update", "test_protocols.Counts", {}, r"update: Counts must not change its attributes"),
        ("update", "test_protocols.Stepless", {}, "update: Stepless must be a function of discriminator, generator"),
        (
            "penalty.own",
            "test_protocols.scalar",
            {"_partial_": True, "weight": 1},
            r"penalty\.own: .* must be a floating-point tensor",
        ),
        (
            "schedule",
            "test_protocols.three",
            {"_partial_": True},
            r"schedule must give a number of .* \(got \(1",
        ),
        ("schedule", "operator.neg", {"_partial_": True}, r"schedule must give a number of at least 0 \(got -0\.5"),
        ("schedule", "test_protocols.fails", {"_partial_": True}, r"schedule: 'colour' \(KeyError\)"),
        ("callbacks.own", "types.SimpleNamespace", {}, r"callbacks\.own must be a Lightning callback"),
        (
            "optimizer_g",
            "test_protocols.scalar",
            {"_partial_": True, "lr": 1},
            r"optimizer_g must be a torch\.optim\.Optimizer",
        ),
    ],
)
def test_other_components(compose: Compose, key: str, target: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        assemble(own(compose(), key, target, **arguments))
    assert "\n" not in str(error.value)


class Fading(Uniform):
    """A distribution whose samples are NaN after epoch 2."""

    calls = 0

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        x = super().sample(n, generator)
        if n == 40:
            Fading.calls += 1
        return x * torch.nan if Fading.calls > 2 else x


def test_data_that_become_nan_fail_the_run_and_are_named(compose: Compose) -> None:
    Fading.calls = 0
    short = ("data.num_examples=40", "data.fresh=true", "trainer.max_epochs=4", "data.validation_samples=10")
    cfg = own(compose("data=ring", *short, "~callbacks.pictures"), "data.distribution", "test_protocols.Fading")
    with pytest.raises(ConfigError, match=r"^data\.distribution: Fading\.sample"):
        train(cfg)
    record = read_record(Path(cfg.run_dir))
    assert record["status"] == "failed"
    assert record["error"].startswith("data.distribution: Fading.sample(40, generator) must be finite")


def test_a_rule_in_a_rule_must_not_change_its_attributes_either(compose: Compose) -> None:
    cfg = own(compose("update=lookahead"), "update.inner", "test_protocols.Counts")
    with pytest.raises(ConfigError, match=r"^update: Lookahead must not change its attributes"):
        assemble(cfg)


def test_checks_change_nothing(compose: Compose) -> None:
    state = torch.get_rng_state()
    one, _, _ = assemble(compose("penalty=r1", "discriminator.spectral_norm=true"))
    torch.set_rng_state(state)
    other, _, _ = assemble(compose("penalty=none", "discriminator.spectral_norm=true"))
    for ours, theirs in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert one.training


def test_the_name_of_a_class_without_repr() -> None:
    assert name_of(Uniform()) == "Uniform"
