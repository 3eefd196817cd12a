"""Compiled iterations compute what the eager ones do."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from gaussgan.compile import build
from gaussgan.data.loader import Batch
from gaussgan.gan.compiled import CompiledIterations
from gaussgan.gan.eager import EagerIterations
from gaussgan.gan.module import GAN
from gaussgan.setup.assemble import assemble

Compose = Callable[..., DictConfig]
TINY = ("data.num_examples=28", "data.batch_size=8", "logger=none", "~callbacks.pictures")
OBJECTIVES = ["nonsaturating", "minimax", "least_squares", "wasserstein", "hinge", "relativistic"]
PENALTIES = ["none", "r1", "r2", "r1_r2", "wgan_gp", "zero_centred"]
UPDATES = ["alternating", "simultaneous", "extragradient", "optimistic", "consensus"]
OPTIMIZERS = ["adam", "rmsprop", "sgd"]
# Components that have a setting in which they take another path.
NETWORKS = [
    (),
    ("generator=mlp", "generator.widths=[3]", "discriminator=quadratic", "data=ring"),
    ("discriminator=maxout", "discriminator.widths=[3]", "data.instance_noise=0.1"),
    ("generator=mlp", "generator.widths=[3]", "generator.batch_norm=true", "ema_half_life=2"),
    ("discriminator.spectral_norm=true", "discriminator.widths=[4]"),
    ("data=dirac", "generator=location", "discriminator=linear", "discriminator.bias=false", "data.batch_size=8"),
]
SETTINGS = [
    (),
    ("schedule=cosine", "player_d.clip_gradient=0.1"),
    ("schedule=linear", "player_d.clip_weights=0.3"),
    ("replicas=3", "seed=5"),
    ("replicas=2", "optimizer_d.lr=[0.05,0.01]", "ema_half_life=[5,1]"),
    ("replicas=2", "schedule=cosine", "player_g.clip_gradient=[0.01,0.1]"),
]
# A gradient that is exactly 0 is computed as its rounding error, of which Adam and RMSprop make a step of full length.
# D's last bias has such a gradient where a loss depends on differences of logits (Wasserstein, relativistic, hinge
# inside its margins), and a bias of G before batch norm. With this eps such steps are small, so that no number is left out.
EPS = "1e-3"


@pytest.fixture(autouse=True)
def fast_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are compiled faster without optimisation, and compute the same numbers."""
    monkeypatch.setattr(build, "FLAGS", tuple("-O0" if flag == "-O2" else flag for flag in build.FLAGS))


def game(cfg: DictConfig, block: int = 3) -> tuple[GAN, list[Batch], list[Batch]]:
    """A GAN before its first iteration, the batches of its first iterations, and a batch of one run."""
    gan, data, trainer = assemble(cfg)
    trainer.datamodule, gan.trainer = data, trainer
    gan.configure_optimizers()
    gan.train()
    size, epoch = data.batch_size, data.draw_epoch(0)
    columns = [[None] * block if c is None else c.to(gan.placed).split(size, -2)[:block] for c in epoch]
    one = [batch for batch in data.example_batches() if len(batch.real) == size]
    return gan, [Batch(*row) for row in zip(*columns, strict=True)], one


def states(cfg: DictConfig) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The states after three iterations: compiled, and eager."""
    (compiled, _, one), (eager, batches, _) = game(cfg), game(cfg)
    ours, theirs = CompiledIterations(compiled, one)(compiled, batches), EagerIterations()(eager, batches)
    assert [*ours.diverged] == [*theirs.diverged]
    assert torch.equal(ours.counts, theirs.counts)
    torch.testing.assert_close(ours.sums, theirs.sums, rtol=1e-3, atol=1e-3, equal_nan=True)
    return compiled.state.tensors(), eager.state.tensors()


def distance(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> float:
    """The largest difference, relative for numbers above 1."""
    pairs = [(a.double(), b.double()) for a, b in zip(ours, theirs, strict=True) if a.numel()]
    return max(float(((a - b).abs() / (1 + b.abs())).max()) for a, b in pairs)


def check_equal(compose: Compose, double: bool, *overrides: str) -> None:
    """Compiled and eager are equal to 1e-11 in float64 and to 1e-5 in float32.

    Where float32 has lost more by cancellation, compiled is about as near to float64 as eager is.
    """
    cfg = compose(*TINY, *overrides)
    for player in ("optimizer_d", "optimizer_g"):
        if "eps" in cfg[player]:
            cfg[player].eps = float(EPS)
    precise = cfg.copy()
    precise.trainer.precision = "64-true"
    if double:
        assert distance(*states(precise)) < 1e-11
    else:
        compiled, eager = states(cfg)
        if distance(compiled, eager) >= 1e-5:
            gan, batches, _ = game(precise)
            EagerIterations()(gan, batches)
            exact = gan.state.tensors()
            assert distance(compiled, exact) < 4 * distance(eager, exact) + 1e-5


def pairwise(*choices: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows that hold each pair of choices of two columns at least once (greedy)."""
    left = {(i, a, j, b) for i, x in enumerate(choices) for j, y in enumerate(choices[:i])
            for a in range(len(x)) for b in range(len(y))}  # fmt: skip
    rng = torch.Generator().manual_seed(0)
    while left:
        best: tuple[int, list[int]] = (-1, [])
        for _ in range(60):
            row = [int(torch.randint(len(each), (), generator=rng)) for each in choices]
            i, a, j, b = min(left)
            row[i], row[j] = a, b
            new = sum((i, row[i], j, row[j]) in left for i in range(len(row)) for j in range(i))
            best = max(best, (new, row))
        row = best[1]
        left -= {(i, row[i], j, row[j]) for i in range(len(row)) for j in range(i)}
        yield tuple(each[n] for each, n in zip(choices, row, strict=True))


ROWS = [*pairwise(OBJECTIVES, PENALTIES, UPDATES, OPTIMIZERS, NETWORKS, SETTINGS)]


def overrides_of(objective: str, penalty: str, update: str, optimizer: str = "adam") -> tuple[str, ...]:
    return f"objective={objective}", f"penalty={penalty}", f"update={update}", f"optimizer@optimizer_d={optimizer}"


@pytest.mark.parametrize("row", range(len(ROWS)))
@pytest.mark.parametrize("other", [False, pytest.param(True, marks=pytest.mark.extra)])
def test_each_pair_of_components_is_eager(compose: Compose, row: int, other: bool) -> None:
    *components, network, setting = ROWS[row]
    check_equal(compose, (row % 2 == 0) != other, *overrides_of(*components), *network, *setting)


@pytest.mark.extra  # it takes long
@pytest.mark.parametrize(
    ("number", "components"), [*enumerate(product(OBJECTIVES, PENALTIES, UPDATES))], ids=lambda each: str(each)
)
def test_each_combination_is_eager(compose: Compose, number: int, components: tuple[str, ...]) -> None:
    check_equal(compose, number % 3 > 0, *overrides_of(*components))
