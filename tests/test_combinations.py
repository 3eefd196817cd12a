"""Every combination of the game's pieces takes finite steps on the affine Gaussian, and goes on where it was saved."""

import math
import shutil
from collections.abc import Callable
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint

from conftest import cyclic, options
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.gan.module import GAN
from gaussgan.runs.load import read_checkpoint
from gaussgan.setup.assemble import assemble
from gaussgan.train import train
from test_resume import assert_same

Compose = Callable[..., DictConfig]


class Keep(Checkpoint):
    """Keeps what a run that is killed after its first epoch leaves, which `Checkpoints` has just written."""

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        checkpoints = Path(trainer.default_root_dir, "checkpoints")
        if trainer.current_epoch == 0:
            shutil.copy(checkpoints / "last.ckpt", checkpoints / "first.ckpt")


def train_as(cfg: DictConfig, name: str, **changes: object) -> Path:
    """Train in another directory, with other values; to compose the configuration again takes as long."""
    cfg = cfg.copy()
    cfg.run_dir = str(Path(cfg.run_dir).with_name(name))
    for key, value in changes.items():
        OmegaConf.update(cfg, key, value)
    train(cfg)
    return Path(cfg.run_dir)


GROUPS = ("objective", "update", "penalty")
PENALTIES = [*options("penalty"), "[r1,wgan_gp]"]
ROWS = cyclic(options("objective"), options("update"), PENALTIES, times=2)
ONCE = len(ROWS) // 2  # the first rows have each piece once
PAIRS = [(*pair, penalty) for pair, penalty in zip(product(options("objective"), options("update")), cycle(PENALTIES))]


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[pytest.mark.extra] * (i >= ONCE)) for i, row in enumerate(ROWS)], ids="-".join
)
def test_three_steps_and_the_same_with_a_stop_between(compose: Compose, row: tuple[str, str, str]) -> None:
    recipe = [
        *(f"{group}={option}" for group, option in zip(GROUPS, row, strict=True)), "data.num_examples=16",
        "trainer.max_steps=3", "trainer.precision=64-true", "~callbacks.pictures", "~logger",
    ]  # fmt: skip
    alone = compose(*recipe, "+callbacks.keep._target_=test_combinations.Keep", name="-".join(row))
    assert math.isfinite(train(alone))
    first = f"{alone.run_dir}/checkpoints/first.ckpt"
    assert read_checkpoint(first)["global_step"] == 2
    assert_same(train_as(alone, "again", ckpt_path=first), alone.run_dir)


@pytest.mark.extra  # it takes long
@pytest.mark.parametrize("row", PAIRS, ids="-".join)
def test_each_objective_with_each_update_rule(compose: Compose, row: tuple[str, str, str]) -> None:
    test_three_steps_and_the_same_with_a_stop_between(compose, row)


@pytest.mark.parametrize(
    "overrides",
    [
        ["update.d_steps=3", "data.batch_size=2"],
        pytest.param(
            ["optimizer@optimizer_d=sgd", "optimizer_d.momentum=-0.5", "optimizer@optimizer_g=rmsprop"],
            marks=pytest.mark.extra,
        ),
        ["update=lookahead", "update.k=3", "update.inner.d_steps=2", "data.batch_size=4"],
        pytest.param(
            ["update=extragradient", "update.batches=2", "data.batch_size=4", "optimizer@optimizer_d=optimistic_adam"],
            marks=pytest.mark.extra,
        ),
        pytest.param(["schedule=cosine"], marks=pytest.mark.extra),
        ["latents=balanced", "generator=mlp", "update.d_steps=2", "data.batch_size=4"],
        pytest.param(["schedule=linear", "schedule.end=0.1"], marks=pytest.mark.extra),
        pytest.param(["ema_half_life=5"], marks=pytest.mark.extra),
        ["player_d.clip_gradient=0.1", "player_g.clip_gradient=0.1", "player_d.clip_weights=0.03"],
        pytest.param(["discriminator.spectral_norm=true"], marks=pytest.mark.extra),
        pytest.param(["data.instance_noise=0.5"], marks=pytest.mark.extra),
        ["discriminator.packing=2", "augment=[rotation,scaling]"],
        ["generator=mlp", "generator.widths=[4]", "generator.batch_norm=true", "ema_half_life=5"],
        pytest.param(["discriminator=quadratic"], marks=pytest.mark.extra),
        pytest.param(["discriminator=maxout", "discriminator.widths=[4]"], marks=pytest.mark.extra),
        pytest.param(["data=ring", "generator=mlp"], marks=pytest.mark.extra),
        pytest.param(["data=low_rank"], marks=pytest.mark.extra),
        pytest.param(["data=random_gaussian"], marks=pytest.mark.extra),
        pytest.param(["data=grid"], marks=pytest.mark.extra),
    ],
    ids=" ".join,
)
def test_every_option_resumes_exactly(compose: Compose, overrides: list[str]) -> None:
    """Stopped within an epoch and at an end of one; its pictures, which look at the networks, change nothing."""
    recipe = [*overrides, "data.num_examples=40", "data.steps_per_execution=3", "trainer.max_epochs=3"]
    alone = compose(*recipe, "~callbacks.pictures", name="alone")
    train(alone)
    seen = compose(*recipe)
    stop = {"schedule=cosine", "schedule=linear"} & {*overrides}  # follow the run's length: they are only interrupted
    for steps in () if stop else (4, 5):
        first = train_as(seen, f"first{steps}", **{"trainer.max_steps": steps})
        second = train_as(seen, f"second{steps}", ckpt_path=f"{first}/checkpoints/last.ckpt")
        assert_same(second, alone.run_dir)


NEEDS_EXTRA = ("digits",)  # scikit-learn


@pytest.mark.parametrize(
    "experiment",
    [pytest.param(name, marks=[pytest.mark.extra] * (name in NEEDS_EXTRA)) for name in options("experiment")],
)
def test_every_experiment_takes_two_steps(compose: Compose, experiment: str, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(300, 2)))
    file = [f"data.path={tmp_path}/rows.npy"] if experiment == "file" else []
    train(compose(f"experiment={experiment}", "trainer.max_steps=2", *file))


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["update.d_steps=0"], "update.d_steps must be a whole number of at least 1"),
        (["update=cgd", "update.iterations=0"], "update.iterations must be a whole number of at least 1"),
        (["update=follow_the_ridge", "update.damping=-1"], "update.damping must be a finite number of at least 0"),
        (["update=unrolled", "update.steps=-1"], "update.steps must be a whole number of at least 0"),
        (["update=unrolled", "optimizer_d._target_=torch.optim.Adam"], "Adam keeps its own state; use gaussgan.gan"),
        (
            ["update=lookahead", "update@update.inner=unrolled", "trainer.devices=2", "trainer.strategy=ddp_spawn"],
            "trainer.devices must be 1 with the update rule Lookahead: its gradients need the whole batch",
        ),
        (["update=lookahead", "update.k=0"], "update.k must be a whole number of at least 1"),
        (["update=lookahead", "update.alpha=0"], r"update.alpha must be a number above 0 and at most 1 \(got 0\)"),
        (["update=lookahead", "update@update.inner=lookahead"], "inner must be another rule than Lookahead"),
        (["update=lookahead", "update.inner=sga"], r"inner must be .* chosen as update@update.inner=NAME \(got sga\)"),
        (["update=extragradient", "update.batches=3"], "update.batches must be 1 or 2"),
        (
            ["data.batches_per_iteration=2"],
            "data.batches_per_iteration must be 1, the number of batches that Alternating",
        ),
        (["update=consensus", "update.weight=-1"], "update.weight must be a finite number of at least 0"),
        (["penalty=r1", "penalty.weight=-1"], "penalty.weight must be a finite number of at least 0"),
        (["penalty=r1", "penalty.r1.weight=-1"], "penalty.r1.weight must be a finite number of at least 0"),
        (["data.instance_noise=-1"], "data.instance_noise must be a finite number of at least 0"),
        (["ema_half_life=0"], "ema_half_life must be a finite number above 0, or null"),
        (["player_d.clip_weights=0"], "player_d.clip_weights must be a finite number above 0, or null"),
        (["data=ring", "data.distribution.modes=0"], "data.distribution: modes must be a whole number of at least 1"),
        (["data=grid", "data.distribution.std=0"], r"data.distribution: std must be above 0 \(got 0\)"),
        (["data=random_gaussian", "data.distribution.condition_number=0.5"], "condition_number must be at least 1"),
        (["discriminator=quadratic", "discriminator.in_features=3"], "discriminator.in_features must be 2"),
        (["discriminator=maxout", "discriminator.pieces=0"], "pieces must be a whole number of at least 1"),
        (
            ["generator=mlp", "callbacks.evaluation.exact=true"],
            "callbacks.evaluation.exact must be false for the generator",
        ),
        (
            ["data=ring", "callbacks.evaluation.exact=true"],
            "evaluation.exact must be false for the distribution",
        ),
        (["callbacks.evaluation.quality=true"], "callbacks.evaluation.quality must be null for Gaussian data"),
        (["+callbacks.evaluation.features._target_=torch.nn.Identity"], "features must be null for Gaussian data"),
        (["+optimizer_d.weight_decay=0.1"], "optimizer_d.weight_decay: Adam has no argument weight_decay"),
        (["optimizer@optimizer_g=sgd", "optimizer_g.momentum=abc"], "optimizer_g.momentum must be a finite number"),
        (["optimizer@optimizer_d=rmsprop", "optimizer_d.alpha=-1"], "optimizer_d.alpha must be a number from 0 to 1"),
        (["data.num_examples=41", "data.batch_size=4", "update.d_steps=2"], r"got 41, which leaves 1\)"),
        (["data.num_examples=41", "generator=mlp", "generator.batch_norm=true"], "two examples for batch norm"),
        (["discriminator.widths=5"], "discriminator: widths must be a list"),
        (["update.d_steps=200"], "data: batch_size must be at most num_examples / batches_per_iteration = 5"),
    ],
)
def test_impossible_games_are_refused_in_one_line(compose: Compose, overrides: list[str], message: str) -> None:
    def put_together(cfg: DictConfig) -> None:
        check(cfg)
        assemble(cfg)

    with pytest.raises(ConfigError, match=message) as error:
        put_together(compose(*overrides))
    assert "\n" not in str(error.value)
