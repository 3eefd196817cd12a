"""Compiled iterations compute what the eager ones do, and the same numbers however a run is divided."""

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from scipy.stats import ks_2samp
from torch.utils._pytree import tree_leaves

from conftest import cyclic, options
from gaussgan.compile import build
from gaussgan.data.loader import Batch
from gaussgan.gan.compiled import CompiledIterations
from gaussgan.gan.eager import EagerIterations
from gaussgan.gan.module import GAN
from gaussgan.runs.directory import LAST
from gaussgan.runs.load import read_checkpoint
from gaussgan.runs.record import read_record
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]
TINY = ("data.num_examples=28", "data.batch_size=8", "logger=none", "~callbacks.pictures")
OTHER_UPDATES = {  # these need not meet each component
    "past_extragradient": ("objective=wasserstein", "player_g.clip_gradient=0.01"),
    "extragradient": (
        "update.batches=2",
        "data.batch_size=4",
        "optimizer@optimizer_d=optimistic_adam",
        "data.instance_noise=0.1",
    ),
    "lookahead": ("update@update.inner=consensus", "update.k=2", "penalty=r1", "schedule=cosine"),
    "sga": ("discriminator.spectral_norm=true", "discriminator.widths=[4]", "objective=minimax"),
    "cgd": ("update.iterations=2", "optimizer@optimizer_d=sgd", "optimizer@optimizer_g=sgd", "schedule=cosine"),
    "follow_the_ridge": ("update.iterations=2", "penalty=r1", "player_d.clip_weights=0.3", "discriminator=linear"),
    "unrolled": (
        "update.steps=2",
        "player_d.clip_gradient=0.1",
        "data.instance_noise=0.1",
        "penalty=lecam",
        "discriminator.spectral_norm=true",
        "discriminator.widths=[4]",
    ),
}
OBJECTIVES, PENALTIES, OPTIMIZERS = map(options, ("objective", "penalty", "optimizer"))
UPDATES = [name for name in options("update") if name not in OTHER_UPDATES or name == "extragradient"]
# Components that have a setting in which they take another path.
NETWORKS = [
    (),
    ("generator=mlp", "generator.widths=[3]", "discriminator=quadratic", "data=ring"),
    ("discriminator=maxout", "discriminator.widths=[3]", "data.instance_noise=0.1"),
    ("generator=mlp", "generator.widths=[3]", "generator.batch_norm=true", "ema_half_life=2"),
    ("discriminator.spectral_norm=true", "discriminator.widths=[4]"),
    ("discriminator.packing=2", "discriminator.widths=[3]", "data.batch_size=4", "augment=rotation"),
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
# inside its margins), and a bias of G before batch norm. With this eps such steps are small.
EPS = 0.1
PARTS = ("state_dict", "optimizer_states", "memory", "average_weight")


@pytest.fixture(autouse=True)
def fast_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are compiled faster without optimisation, and compute the same numbers."""
    monkeypatch.setattr(build, "FLAGS", tuple("-O0" if flag == "-O2" else flag for flag in build.FLAGS))


def game(cfg: DictConfig, change: Callable[[GAN], None] = lambda _: None) -> tuple[GAN, list[Batch], list[Batch]]:
    """A GAN before its first iteration, the batches of its first three iterations, and a batch of one run.

    Parts of the GAN may be changed before it has a state.
    """
    gan, data, trainer = assemble(cfg)
    change(gan)
    trainer.datamodule, gan.trainer = data, trainer
    gan.configure_optimizers()
    gan.train()
    size, epoch = data.batch_size, data.draw(0)
    columns = [[None] * 3 if c is None else c.to(gan.placed).split(size, -2)[:3] for c in epoch]
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
            cfg[player].eps = EPS
    if "weight" in cfg.penalty:
        cfg.penalty.weight = 0.3  # with plain SGD and consensus, 10 would let some games diverge
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


COLUMNS = (OBJECTIVES, PENALTIES, UPDATES, OPTIMIZERS, NETWORKS, SETTINGS)
FEW = cyclic(*COLUMNS, times=2)
ROWS = [*FEW, *pairwise(*COLUMNS)]


def overrides_of(objective: str, penalty: str, update: str, optimizer: str = "adam") -> tuple[str, ...]:
    return f"objective={objective}", f"penalty={penalty}", f"update={update}", f"optimizer@optimizer_d={optimizer}"


@pytest.mark.parametrize(
    "row", [pytest.param(i, marks=[] if i < len(FEW) else [pytest.mark.extra]) for i in range(len(ROWS))]
)
@pytest.mark.parametrize("other", [False, pytest.param(True, marks=pytest.mark.extra)])
def test_each_pair_of_components_is_eager(compose: Compose, row: int, other: bool) -> None:
    """In `make test`, each component is in two rows. With the extras, each pair of components is in a row."""
    *components, network, setting = ROWS[row]
    check_equal(compose, (row % 2 == 0) != other, *overrides_of(*components), *network, *setting)


@pytest.mark.parametrize("update", OTHER_UPDATES)
@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=pytest.mark.extra)])
def test_other_rules_are_eager(compose: Compose, update: str, replicas: int) -> None:
    check_equal(compose, True, f"update={update}", f"replicas={replicas}", *OTHER_UPDATES[update])


@pytest.mark.extra  # it takes long
@pytest.mark.parametrize(
    ("number", "components"), [*enumerate(product(OBJECTIVES, PENALTIES, UPDATES))], ids=lambda each: str(each)
)
def test_each_combination_is_eager(compose: Compose, number: int, components: tuple[str, ...]) -> None:
    check_equal(compose, number % 3 > 0, *overrides_of(*components))


SAME = (
    "data.num_examples=44", "data.batch_size=8", "trainer.max_epochs=2", "compile=on", "~callbacks.pictures",
    "logger=none", "ema_half_life=5", "update.d_steps=2", "generator=mlp", "generator.widths=[3]",
    "generator.batch_norm=true", "discriminator.spectral_norm=true", "data.instance_noise=0.1",
)  # fmt: skip


def ending(cfg: DictConfig, replica: int | None = None) -> list[torch.Tensor]:
    """The state of a run at its end, from its checkpoint."""
    checkpoint = read_checkpoint(Path(cfg.run_dir) / LAST)
    if replica is not None:
        checkpoint = single_checkpoint(checkpoint, replica)
    return [leaf for key in PARTS for leaf in tree_leaves(checkpoint[key]) if isinstance(leaf, torch.Tensor)]


@pytest.mark.parametrize(
    ("more", "stops"),
    [
        ((), (4, 6)),  # in an epoch of 6 iterations, of which the last has a smaller batch, and at its end
        pytest.param(("trainer.precision=64-true", "schedule=cosine"), (), marks=pytest.mark.extra),
    ],
)
def test_a_run_has_the_same_bits_however_it_is_divided(
    compose: Compose, more: tuple[str, ...], stops: tuple[int, ...]
) -> None:
    """Alone, as one of R replicas, by several threads, in blocks of any length, and stopped and resumed."""
    recipe = (*SAME, *more)
    alone = compose(*recipe, "seed=18", name="alone")
    train(alone)
    expected = ending(alone)
    for replicas, threads, steps in ((33, 3, 1), (17, 1, 125)):
        many = compose(*recipe, "seed=2", f"replicas={replicas}", f"threads={threads}", name=f"{replicas}-{threads}")
        many.data.steps_per_execution = steps
        train(many)
        ours = ending(many, 16)
        assert len(ours) == len(expected)
        assert all(torch.equal(one, other) for one, other in zip(ours, expected, strict=True))
    for stop in stops:
        train(compose(*recipe, "seed=18", f"trainer.max_steps={stop}", name=f"part{stop}"))
        rest = compose(*recipe, "seed=18", "data.steps_per_execution=5", name=f"rest{stop}")
        rest.ckpt_path = str(Path(rest.run_dir).with_name(f"part{stop}") / LAST)
        train(rest)
        assert all(torch.equal(one, other) for one, other in zip(ending(rest), expected, strict=True))


def diverging(compose: Compose, mode: str, *rates: float, steps: int = 4) -> DictConfig:
    """Replicas with learning rates of D. With least squares the largest rates soon give infinite losses."""
    cfg = compose(
        "data.num_examples=84", "data.batch_size=8", "trainer.max_epochs=1", "~callbacks.pictures", "logger=none",
        "objective=least_squares", "optimizer@optimizer_d=sgd", "optimizer@optimizer_g=sgd", f"compile={mode}",
        "trainer.precision=64-true", f"replicas={len(rates)}", f"optimizer_d.lr={[*rates]}".replace(" ", ""),
        f"data.steps_per_execution={steps}", name=f"{mode}{len(rates)}-{rates[0]}",
    )  # fmt: skip
    return cfg


def test_a_diverged_replica_stays_where_its_block_began(compose: Compose) -> None:
    rates = (0.01, 1e200, 0.02, 1e30, 1e12)
    runs = [diverging(compose, mode, *rates) for mode in ("on", "off")]
    for cfg in runs:
        train(cfg)
    ours, theirs = (read_checkpoint(Path(cfg.run_dir) / LAST) for cfg in runs)
    assert ours["diverged"] == theirs["diverged"]  # the same replicas, iterations and losses
    assert {1, 3} <= ours["diverged"].keys() <= {1, 3, 4}
    tables = [(Path(cfg.run_dir) / "replicas.csv").read_text().splitlines() for cfg in runs]
    assert [row.split(",")[:3] for row in tables[0]] == [row.split(",")[:3] for row in tables[1]]
    healthy = diverging(compose, "on", 0.01, 0.03, 0.02)
    train(healthy)
    for i in (0, 2):
        assert all(torch.equal(one, other) for one, other in zip(ending(runs[0], i), ending(healthy, i), strict=True))


def test_numbers_that_replicas_share_go_on_when_the_first_lanes_have_diverged(compose: Compose) -> None:
    """Adam's corrections are one number for all replicas, also where the first 16 have stopped."""
    cfg = diverging(compose, "on", *[1e300] * 16, 0.01)
    cfg.optimizer_d = compose("optimizer@optimizer_d=adam").optimizer_d
    cfg.optimizer_d.lr = [1e300] * 16 + [0.01]
    alone = cfg.copy()
    alone.optimizer_d.lr, alone.replicas, alone.seed = 0.01, 1, cfg.seed + 16
    alone.run_dir += "-alone"
    train(cfg)
    train(alone)
    assert [*read_checkpoint(Path(cfg.run_dir) / LAST)["diverged"]] == [*range(16)]
    assert all(torch.equal(one, other) for one, other in zip(ending(cfg, 16), ending(alone), strict=True))


def test_a_run_ends_when_all_replicas_have_diverged(compose: Compose) -> None:
    errors = []
    for mode in ("on", "off"):
        cfg = diverging(compose, mode, 1e200, 1e250)
        train(cfg)
        record = read_record(Path(cfg.run_dir))
        errors.append((record["status"], record["iterations"], record.get("error")))
    assert errors[0] == errors[1]
    assert errors[0][0] == "diverged"


@pytest.mark.extra  # it takes long
@pytest.mark.parametrize("replicas", [1000])
def test_many_runs_have_the_statistics_of_eager_ones(
    compose: Compose, replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The distributions of w2 and of D's loss agree, and so do median, 90% quantile and the share at 0.693/0.693."""
    monkeypatch.undo()  # the flags of real programs
    values: dict[str, list[torch.Tensor]] = {"val/w2": [], "train/loss_d": [], "train/loss_g": []}
    for mode in ("on", "off"):
        cfg = compose(f"replicas={replicas}", f"compile={mode}", "~callbacks.pictures", "logger=none", name=mode)
        train(cfg)
        with (Path(cfg.run_dir) / "replicas.csv").open() as file:
            table = [*csv.DictReader(file)]
        for tag, found in values.items():
            found.append(torch.tensor([float(row[tag]) for row in table]))
    for ours, theirs in values.values():
        assert ks_2samp(ours.numpy(), theirs.numpy()).pvalue > 1e-3
    for q in (0.5, 0.9):  # a quantile lies between two sample quantiles, 3.3 standard errors away
        error = 3.3 * (2 * q * (1 - q) / replicas) ** 0.5
        low, high = torch.quantile(values["val/w2"][1], torch.tensor([q - error, min(q + error, 1)]))
        assert low <= torch.quantile(values["val/w2"][0], q) <= high
    shares = [
        float(((d - 0.693).abs() < 5e-4).logical_and((g - 0.693).abs() < 5e-4).double().mean())
        for d, g in zip(values["train/loss_d"], values["train/loss_g"], strict=True)
    ]
    share = sum(shares) / 2
    assert abs(shares[0] - shares[1]) <= 3.3 * (2 * share * (1 - share) / replicas) ** 0.5 + 1 / replicas
