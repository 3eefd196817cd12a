"""Every argument of Lightning's Trainer either works, or is refused in one line before the run."""

import inspect
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import CUDAAccelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.config.schema import TRAINER
from gaussgan.setup.assemble import assemble
from gaussgan.setup.trainer import check_machine
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=80", "data.steps_per_execution=4", "trainer.max_epochs=3", "~callbacks.pictures")
EXACT = (*SMALL, "~logger")

# Another test trains with these arguments. Their values are checked below.
WORKS = {
    "accelerator": "cpu", "strategy": "auto", "devices": 1, "precision": "64-true", "max_epochs": 2, "max_steps": 7,
    "enable_progress_bar": False, "fast_dev_run": 3, "min_epochs": 2, "min_steps": 15, "max_time": "{minutes: 10}",
    "log_every_n_steps": 5, "enable_model_summary": True, "deterministic": "warn", "benchmark": True,
    "profiler": "simple", "detect_anomaly": True,
}  # fmt: skip
REFUSED = {
    "num_nodes": 2, "logger": True, "callbacks": "[]", "limit_train_batches": 1, "limit_val_batches": 0,
    "limit_test_batches": 2, "limit_predict_batches": 2, "overfit_batches": 1, "val_check_interval": 0.5,
    "check_val_every_n_epoch": 2, "num_sanity_val_steps": 2, "enable_checkpointing": False,
    "accumulate_grad_batches": 2, "gradient_clip_val": 1, "gradient_clip_algorithm": "norm", "inference_mode": False,
    "use_distributed_sampler": False, "barebones": True, "plugins": "[]", "sync_batchnorm": True,
    "reload_dataloaders_every_n_epochs": 1, "default_root_dir": "elsewhere", "enable_autolog_hparams": False,
    "model_registry": "name",
}  # fmt: skip


class Spy(Callback):
    """Store the flags of torch during a run."""

    seen: dict[str, Any]

    def on_train_start(self, trainer: Trainer, gan: Any) -> None:
        Spy.seen = {
            "deterministic": torch.get_deterministic_debug_mode(),
            "benchmark": torch.backends.cudnn.benchmark,
            "detect_anomaly": torch.is_anomaly_enabled(),
        }  # fmt: skip


class Stop(Callback):
    """Stop the run after the first block, or send a signal."""

    def __init__(self, signum: int | None = None) -> None:
        self.signum = signum

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = True
        if self.signum is not None:
            os.kill(os.getpid(), self.signum)


def record(cfg: DictConfig) -> dict:
    return json.loads((Path(cfg.run_dir) / "metrics.json").read_text())


def test_every_argument_is_in_one_of_the_tables() -> None:
    assert set(TRAINER) == set(inspect.signature(Trainer).parameters) == {*WORKS, *REFUSED}
    assert not WORKS.keys() & REFUSED.keys()


@pytest.mark.every_second
@pytest.mark.parametrize("argument, value", REFUSED.items(), ids=REFUSED)
def test_an_argument_that_does_not_work_is_refused(compose: Compose, argument: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"trainer.{argument} must be .*: .* \\(got ") as error:
        check(compose(f"++trainer.{argument}={value}"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "override, words",
    [
        ("max_time=5", "max_time must be null, or a time above 0 as DD:HH:MM:SS or {hours: 1, minutes: 30} (got 5)"),
        ("max_time=0", "(got 0)"),
        ("max_time=00:00:00:00", "(got '00:00:00:00')"),
        ("max_time={seconds:0}", "(got {'seconds': 0})"),
        ("max_time={sekunden:5}", "(got {'sekunden': 5})"),
        ("fast_dev_run=-1", "true, false or a number of iterations (got -1)"),
        ("deterministic=yes", "deterministic must be true, false, warn or null (got 'yes')"),
        ("log_every_n_steps=-1", "log_every_n_steps must be a whole number of at least 0, or null (got -1)"),
        (
            "overfit_batches=0.1",
            "overfit_batches must be 0.0: data.num_examples=N sets a smaller training set (got 0.1)",
        ),
        ("check_val_every_n_epoch=null", "check_val_every_n_epoch must be 1"),
        ("min_epochs=0", "min_epochs must be a whole number of at least 1, or null (got 0)"),
        ("detect_anomaly=1", "detect_anomaly must be true or false (got 1)"),
    ],
)
def test_an_invalid_value_is_refused(compose: Compose, override: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(compose(f"++trainer.{override}"))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "override, words",
    [
        ("profiler=foo", "trainer: .*simple.*advanced.*pytorch"),
        ("min_epochs=4", "trainer.min_epochs=4 asks for 40 iterations, but the run has only 30"),
        ("min_steps=31", "trainer.min_steps=31 asks for 31 iterations, but the run has only 30"),
        ("strategy=fsdp", "trainer.strategy must be auto, ddp or another ddp strategy of Lightning, .* \\(got fsdp"),
        (
            "strategy={_target_:pytorch_lightning.strategies.ModelParallelStrategy}",
            "trainer.strategy must be|trainer: ",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused(compose: Compose, override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        assemble(compose(*SMALL, f"++trainer.{override}"))
    assert "\n" not in str(error.value)


def test_batch_norm_needs_one_device(compose: Compose) -> None:
    two = ("trainer.devices=2", "trainer.strategy=ddp_spawn", "generator=mlp", "generator.batch_norm=true")
    with pytest.raises(ConfigError, match=r"trainer.devices must be 1 with batch norm: .* \(got 2\)"):
        assemble(compose(*SMALL, *two))


@pytest.mark.parametrize("objective", ["relativistic_average", "relativistic_average_least_squares"])
def test_a_loss_of_a_batch_needs_one_device(compose: Compose, objective: str) -> None:
    """It is found by trying, so also an objective of a user's own is refused. The others are not."""
    two = ("trainer.devices=2", "trainer.strategy=ddp_spawn")
    with pytest.raises(ConfigError, match=r"must be 1 with Rel.*_loss: it needs the whole batch \(got 2") as error:
        assemble(compose(*SMALL, *two, f"objective={objective}"))
    assert "\n" not in str(error.value)
    assemble(compose(*SMALL, *two, "objective=relativistic", "penalty=[r1,dragan,consistency,lecam]"))


def test_flags_of_torch(compose: Compose) -> None:
    flags = ("trainer.deterministic=warn", "+trainer.benchmark=true", "+trainer.detect_anomaly=true")
    spy = "+callbacks.spy._target_=test_trainer_arguments.Spy"
    try:
        train(compose(*EXACT, *flags, spy))
        assert Spy.seen == {"deterministic": 1, "benchmark": True, "detect_anomaly": True}
    finally:
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("value, iterations", [("true", 1), ("7", 7)])
def test_fast_dev_run_is_a_short_run(compose: Compose, value: str, iterations: int) -> None:
    cfg = compose(*SMALL, f"trainer.fast_dev_run={value}")
    train(cfg)
    assert (record(cfg)["status"], record(cfg)["iterations"]) == ("completed", iterations)
    assert record(cfg)["val/w2"] > 0


@pytest.mark.parametrize("least, iterations", [("min_epochs=2", 20), ("min_steps=15", 16)])
def test_a_run_has_its_minimum_length_unless_a_signal_comes(compose: Compose, least: str, iterations: int) -> None:
    stop = ("+callbacks.stop._target_=test_trainer_arguments.Stop", f"+trainer.{least}")
    cfg = compose(*EXACT, *stop)
    train(cfg)
    assert (record(cfg)["status"], record(cfg)["iterations"]) == ("completed", iterations)
    killed = compose(*EXACT, *stop, f"+callbacks.stop.signum={signal.SIGTERM:d}", name="killed")
    with pytest.raises(SystemExit):
        train(killed)
    assert (record(killed)["status"], record(killed)["iterations"]) == ("interrupted", 2)


def test_max_time_ends_a_run_that_is_then_resumed_with_more(compose: Compose) -> None:
    soon = compose(*EXACT, "+trainer.max_time={microseconds: 1}", name="soon")
    train(soon)
    assert (record(soon)["status"], record(soon)["iterations"]) == ("completed", 1)
    assert record(soon)["val/w2"] > 0
    resumed = (*EXACT, f"ckpt_path={soon.run_dir}/checkpoints/last.ckpt")
    with pytest.raises(ConfigError, match=r"last.ckpt has used all of its trainer.max_time; give a longer time"):
        assemble(compose(*resumed, "+trainer.max_time={microseconds: 1}"))
    later = compose(*resumed, "+trainer.max_time=00:01:00:00", name="later")
    train(later)
    assert record(later)["iterations"] == 30


def test_losses_and_rates_are_logged_every_n_steps(compose: Compose) -> None:
    rates = "+callbacks.rates._target_=gaussgan.callbacks.LearningRateMonitor"
    coarse = compose(*SMALL, name="coarse")
    train(coarse)
    cfg = compose(*SMALL, "trainer.log_every_n_steps=6", rates, "schedule=linear")
    train(cfg)
    events = EventAccumulator(cfg.run_dir).Reload()
    assert [point.step for point in events.Scalars("train/loss_d_step")] == [6, 12, 18, 24, 30]
    assert [point.step for point in events.Scalars("train/loss_d")] == [10, 20, 30]
    assert [point.step for point in events.Scalars("lr/generator")] == [0, 6, 10, 12, 18, 20, 24, 30]
    for point in events.Scalars("lr/discriminator"):
        assert point.value == pytest.approx(0.05 * (1 - point.step / 30), abs=1e-8)
    # The epoch's mean covers iterations 1 to 10. Iterations 7 to 10 are in no other mean.
    one_by_one = compose(*SMALL, "trainer.log_every_n_steps=1", "schedule=linear", name="one")
    train(one_by_one)
    each = [point.value for point in EventAccumulator(one_by_one.run_dir).Reload().Scalars("train/loss_g_step")]
    six = [point.value for point in events.Scalars("train/loss_g_step")]
    assert len(each) == 30
    assert six[0] == pytest.approx(sum(each[:6]) / 6, rel=1e-5)
    assert six[1] == pytest.approx(sum(each[10:12]) / 2, rel=1e-5)  # since the epoch began
    assert six[2] == pytest.approx(sum(each[12:18]) / 6, rel=1e-5)
    assert record(cfg)["train/loss_g"] == pytest.approx(sum(each[20:]) / 10, rel=1e-5)


def test_the_learning_rates_of_replicas_are_logged(compose: Compose) -> None:
    own = ("replicas=3", "optimizer_d.lr=[0.02,0.05,0.1]", "schedule=linear")
    cfg = compose(*SMALL, *own, "callbacks=[default,lr_monitor]")
    train(cfg)
    events = EventAccumulator(cfg.run_dir).Reload()
    start, *_, end = events.Scalars("lr/discriminator_median")
    assert (start.step, start.value, end.step, end.value) == (0, pytest.approx(0.05), 30, 0)
    assert events.Scalars("lr/generator")[0].value == pytest.approx(0.005)


@pytest.mark.every_second
@pytest.mark.parametrize("devices, fit", [
    ("1", True), ("[0]", True), ("auto", True), ("-1", True), ("'0,'", True),
    ("2", False), ("[1]", False), ("[0,1]", False), ("'2'", False), ("'0,1'", False),
])  # fmt: skip
def test_devices_must_fit_a_machine_with_one_gpu(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, devices: str, fit: bool
) -> None:
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(CUDAAccelerator, "auto_device_count", staticmethod(lambda: 1))
    for accelerator in ("gpu", "cuda", "auto"):
        trainer = compose(f"trainer.accelerator={accelerator}", f"trainer.devices={devices}").trainer
        if fit:
            check_machine(trainer)
        else:
            with pytest.raises(
                ConfigError, match=r"^trainer.devices must fit the GPUs of this machine, .* \[0\] \(got "
            ):
                check_machine(trainer)
    check_machine(compose(f"trainer.devices={devices}").trainer)  # any number of processes on the CPU


def test_the_summary_is_shown(compose: Compose, capsys: pytest.CaptureFixture) -> None:
    train(compose(*EXACT, "trainer.enable_model_summary=true"))
    assert "discriminator" in capsys.readouterr().out


def test_the_profiler_reports(compose: Compose, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    train(compose(*EXACT, "trainer.profiler=simple"))
    assert "run_training_epoch" in caplog.text
