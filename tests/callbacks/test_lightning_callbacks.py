"""Every public Lightning callback either works, or is refused in one line that names an alternative."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning.callbacks as lightning
import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaussgan.callbacks.check import REFUSED
from gaussgan.config.errors import ConfigError
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=80", "trainer.max_epochs=3", "~callbacks.pictures")

# Another test trains with these callbacks.
WORKS = {
    "Callback", "Checkpoint", "DeviceStatsMonitor", "EarlyStopping", "LambdaCallback", "ModelCheckpoint",
    "ModelSummary", "ProgressBar", "RichModelSummary", "Timer",
}  # fmt: skip
ARGUMENTS = {  # required arguments
    "BasePredictionWriter": "write_interval: batch",
    "OnExceptionCheckpoint": "dirpath: kept",
    "GradientAccumulationScheduler": "scheduling: {0: 2}",
    "ModelPruning": "pruning_fn: l1_unstructured",
    "StochasticWeightAveraging": "swa_lrs: 0.01",
    "ThroughputMonitor": "batch_size_fn: {_target_: builtins.len, _partial_: true}",
}


class Bar(lightning.ProgressBar):
    """A progress bar that a user wrote. It stores the iteration after each block."""

    seen: list[int]

    def on_train_start(self, *_: Any) -> None:
        Bar.seen = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        Bar.seen.append(trainer.global_step)

    def disable(self) -> None: ...


class Logs(Callback):
    """A callback that a user wrote. It logs a metric after each epoch."""

    def on_train_epoch_end(self, trainer: Trainer, gan: LightningModule) -> None:
        gan.log("mine", float(trainer.current_epoch))

    def on_train_batch_end(self, trainer: Trainer, gan: LightningModule, *_: Any) -> None:
        gan.log("block", 1.0)

    def on_validation_end(self, *_: Any) -> None: ...


def add(name: str, arguments: str = "") -> str:
    """Return the override that adds a callback of Lightning or of this file."""
    target = f"pytorch_lightning.callbacks.{name}" if hasattr(lightning, name) else f"test_lightning_callbacks.{name}"
    return f"+callbacks.{name.lower()}={{_target_: {target}{arguments and ', '}{arguments}}}"


def iterations(cfg: DictConfig) -> int:
    return json.loads((Path(cfg.run_dir) / "metrics.json").read_text())["iterations"]


def test_every_callback_is_in_one_of_the_tables() -> None:
    public = {name for name in lightning.__all__ if isinstance(getattr(lightning, name), type)}
    refused = {name for name in public if issubclass(getattr(lightning, name), tuple(REFUSED))}
    assert public == WORKS | refused
    assert not WORKS & refused


@pytest.mark.every_second
@pytest.mark.parametrize("name", sorted(set(lightning.__all__) - WORKS))
def test_a_callback_that_does_not_work_is_refused(compose: Compose, name: str) -> None:
    with pytest.raises(ConfigError, match=f"callbacks.{name.lower()}: {name} does not work here: .") as error:
        assemble(compose(add(name, ARGUMENTS.get(name, ""))))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("EarlyStopping", "monitor: null", "monitor must be the name of a metric (got None)"),
        ("EarlyStopping", "monitor: val/w2, patience: -1", "patience must be a whole number of at least 0 (got -1)"),
        ("EarlyStopping", "monitor: val/w2, min_delta: foo", "callbacks.earlystopping"),
        ("ModelCheckpoint", "filename: '{loss:.2f}'", "filename must name one of .* (got loss)"),
        ("ModelCheckpoint", "save_weights_only: true", "save_weights_only must be false"),
        ("Timer", "duration: {seconds: 0}", "duration must be above 0 (got 0)"),
        ("EarlyStopping", "monitor: val/w2, check_on_train_epoch_end: false", "check_on_train_epoch_end must be true"),
        ("EarlyStopping", "monitor: loss", "monitor must name one of train/loss_d, .*, val/w2, .* (got loss)"),
        ("EarlyStopping", "monitor: val/sliced_w2", "(got val/sliced_w2)"),
        ("EarlyStopping", "monitor: val/w2, mode: least", "callbacks.earlystopping: `mode` can be min, max"),
        ("ModelCheckpoint", "monitor: loss", "monitor must name one of .* (got loss)"),
        ("ModelCheckpoint", "save_on_train_epoch_end: false", "save_on_train_epoch_end must be true"),
        ("ModelCheckpoint", "train_time_interval: {_target_: datetime.timedelta, hours: 1}", "must be null: Lightning"),
        ("ModelCheckpoint", "monitor: val/w2, every_n_train_steps: 10", "monitor or every_n_train_steps, not both"),
    ],
)
def test_an_argument_without_effect_is_refused(compose: Compose, name: str, arguments: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words).replace(r"\.\*", ".*")) as error:
        assemble(compose(add(name, arguments)))
    assert "\n" not in str(error.value)


def test_an_object_that_is_not_a_callback_is_refused(compose: Compose) -> None:
    with pytest.raises(ConfigError, match=r"callbacks.mine must be a Lightning callback \(got Tanh\)"):
        assemble(compose("+callbacks.mine={_target_: torch.nn.Tanh}"))


def test_the_metrics_of_replicas_can_be_monitored(compose: Compose) -> None:
    assemble(compose("replicas=2", add("EarlyStopping", "monitor: val/w2_median")))
    assemble(compose("ema_half_life=3", add("EarlyStopping", "monitor: val/w2_ema")))
    with pytest.raises(ConfigError, match=r"monitor must name one of .*val/w2_median.* \(got val/w2_mean\)"):
        assemble(compose("replicas=2", add("EarlyStopping", "monitor: val/w2_mean")))


def test_early_stopping_stops(compose: Compose) -> None:
    cfg = compose(*SMALL, add("EarlyStopping", "monitor: val/w2, patience: 1, min_delta: 1e3"))
    train(cfg)
    assert iterations(cfg) == 20
    cfg = compose(
        *SMALL, add("Logs"), add("EarlyStopping", "monitor: mine, mode: max, stopping_threshold: 0.5"), name="2"
    )
    train(cfg)  # the user's own callback logs this metric
    assert iterations(cfg) == 20


@pytest.mark.parametrize("k", [4, 125])
def test_model_checkpoint_saves_every_n_train_steps(compose: Compose, k: int) -> None:
    every = add("ModelCheckpoint", "every_n_train_steps: 8, save_top_k: -1, dirpath: ${run_dir}/kept")
    cfg = compose(*SMALL, every, f"data.steps_per_execution={k}", name="kept")
    train(cfg)
    files = (Path(cfg.run_dir) / "kept").iterdir()
    kept = {torch.load(path, weights_only=True)["global_step"]: path for path in files}
    assert sorted(kept) == [8, 16, 24]
    plain = compose(*SMALL, name="plain")
    train(plain)
    ends = [
        torch.load(f"{each.run_dir}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for each in (cfg, plain)
    ]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())
    resumed = compose(*SMALL, f'ckpt_path="{kept[16]}"', name="resumed")
    train(resumed)
    end = torch.load(f"{resumed.run_dir}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, end[key]) for key, value in ends[1].items())


def test_model_checkpoint_in_the_directory_of_the_runs_own(compose: Compose) -> None:
    """By default, Lightning writes into the directory of the run's own checkpoints. No file is overwritten."""
    best = add("ModelCheckpoint", "monitor: val/w2, save_last: true, filename: best, save_top_k: 2")
    cfg = compose(*SMALL, best)
    train(cfg)
    folder = Path(cfg.run_dir) / "checkpoints"
    names = {path.name for path in folder.iterdir()}
    assert {"last.ckpt", "best.ckpt"} < names
    assert len(names) == 5
    steps = {name: torch.load(folder / name, weights_only=True)["global_step"] for name in names}
    assert steps.pop("last.ckpt") == 30
    assert steps["best.ckpt"] in {step for name, step in steps.items() if name != "best.ckpt"}


def test_the_others_work(compose: Compose, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture) -> None:
    caplog.set_level("INFO")
    cfg = compose(
        *SMALL, "trainer.enable_progress_bar=true", "trainer.log_every_n_steps=10", add("DeviceStatsMonitor"),
        add("ModelSummary"), add("LambdaCallback", "on_train_end: {_target_: builtins.print, _partial_: true}"),
        add("Checkpoint"), add("Callback"), add("Bar"),
    )  # fmt: skip
    train(cfg)
    assert {10, 20, 30} <= {*Bar.seen}
    assert "discriminator" in caplog.text
    assert "Trainer object" in capsys.readouterr().out
    scalars = EventAccumulator(cfg.run_dir).Reload().Tags()["scalars"]
    assert any(tag.startswith("DeviceStatsMonitor.on_train_batch_end") for tag in scalars)
    cfg = compose(*SMALL, add("RichModelSummary"), add("Timer", "duration: {microseconds: 1}"), name="timer")
    train(cfg)
    assert "discriminator" in capsys.readouterr().out
    assert iterations(cfg) == 1  # the first block


@pytest.mark.parametrize("monitor", [add("DeviceStatsMonitor"), "callbacks=[default,lr_monitor]"])
def test_a_monitor_needs_a_logger(compose: Compose, monitor: str) -> None:
    with pytest.raises(ConfigError, match="Monitor needs a logger, such as logger=csv"):
        assemble(compose("logger=none", monitor))


def test_metrics_of_own_callbacks_are_logged_and_uncalled_hooks_are_named(
    compose: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = compose(*SMALL, add("Logs"), add("DeviceStatsMonitor"))
    train(cfg)
    scalars = EventAccumulator(cfg.run_dir).Reload().Tags()["scalars"]
    assert {"mine", "block"} < {*scalars}
    assert any(tag.startswith("DeviceStatsMonitor") for tag in scalars)
    assert "never called in this template: Logs.on_validation_end" in caplog.text
