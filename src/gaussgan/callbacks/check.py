"""Which callbacks of Lightning cannot work here, and what to use instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning import callbacks as lightning

from gaussgan.callbacks.checkpoints import Checkpoints
from gaussgan.callbacks.evaluation import Evaluation
from gaussgan.callbacks.learning_rates import LearningRateMonitor
from gaussgan.callbacks.record import Record
from gaussgan.config.errors import ConfigError
from gaussgan.data.intervals import setting

ONE_VECTOR = "the parameters of a player are one vector"
AVERAGE = "it would also swap the discriminator's weights; ema_half_life keeps an average of the generator"
BAR = "its bar counts blocks; the bar of trainer.enable_progress_bar counts iterations"
RATES = "a sweep compares them: -m optimizer_d.lr=0.01,0.05"
REFUSED: dict[type[Callback], str] = {
    lightning.BaseFinetuning: f"it freezes single parameters, and {ONE_VECTOR}",
    lightning.BasePredictionWriter: "there is no prediction loop; load_run gives the trained generator",
    lightning.BatchSizeFinder: "a sweep compares them: -m data.batch_size=8,64",
    lightning.GradientAccumulationScheduler: "for greater batches there is data.batch_size",
    lightning.LearningRateFinder: RATES,
    lightning.LearningRateMonitor: "callbacks=[default,lr_monitor] logs the learning rates by player",
    lightning.ModelPruning: f"it replaces single parameters, and {ONE_VECTOR}",
    lightning.OnExceptionCheckpoint: "Lightning would resume from its file by itself; a failure leaves last.ckpt",
    lightning.RichProgressBar: BAR,
    lightning.SpikeDetection: "a loss that is not finite ends a run as diverged without it",
    lightning.StochasticWeightAveraging: AVERAGE,
    lightning.ThroughputMonitor: "perf/examples_per_second is logged after every epoch",
    lightning.TQDMProgressBar: BAR,
    lightning.WeightAveraging: AVERAGE,
}
OURS: dict[str, type[Callback]] = {"evaluation": Evaluation, "checkpoints": Checkpoints, "record": Record}
SETTINGS: tuple[tuple[type[Callback], str, Callable[[Any], bool], str], ...] = (
    (lightning.EarlyStopping, "check_on_train_epoch_end", lambda v: v is False, "true: there is no validation loop"),
    (lightning.ModelCheckpoint, "save_on_train_epoch_end", lambda v: v is False, "true: there is no validation loop"),
    (
        lightning.ModelCheckpoint,
        "train_time_interval",
        lambda v: v is not None,
        "null: Lightning ignores it under manual optimization; every_n_train_steps counts iterations",
    ),
    (
        lightning.ModelCheckpoint,
        "save_weights_only",
        lambda v: v is True,
        "false: runs are loaded and resumed from whole checkpoints",
    ),
    (lightning.EarlyStopping, "monitor", lambda v: not isinstance(v, str), "the name of a metric"),
    (lightning.EarlyStopping, "patience", lambda v: type(v) is not int or v < 0, "a whole number of at least 0"),
    (lightning.EarlyStopping, "min_delta", lambda v: not isinstance(v, int | float), "a number"),
)
NEED_LOGGERS = (lightning.DeviceStatsMonitor, LearningRateMonitor)
UNCALLED = ("_validation_", "_test_", "_predict_", "_sanity_check_", "_optimizer_step", "_zero_grad", "_backward")


def check_callbacks(callbacks: Mapping[str, Callback], logs: bool) -> None:
    """Check callbacks by their names in the configuration.

    Args:
        logs: whether the run has a logger.

    Raises:
        ConfigError: when one of them, or one of its arguments, would not do what its name says.
    """
    for name, callback in callbacks.items():
        kind = OURS.get(name, Callback)
        if not isinstance(callback, kind):
            what = "Lightning callback" if kind is Callback else f"gaussgan.callbacks.{kind.__name__}"
            raise ConfigError(f"callbacks.{name} must be a {what} (got {type(callback).__name__})")
        for refused, why in REFUSED.items():
            if isinstance(callback, refused):
                raise ConfigError(f"callbacks.{name}: {type(callback).__name__} does not work here: {why}")
        for kind, argument, fails, why in SETTINGS:
            if isinstance(callback, kind) and fails(value := setting(callback, argument)):
                raise ConfigError(f"callbacks.{name}.{argument} must be {why} (got {value})")
        if isinstance(callback, NEED_LOGGERS) and not logs:
            raise ConfigError(f"callbacks.{name}: {type(callback).__name__} needs a logger, such as logger=csv")
        if isinstance(callback, lightning.DeviceStatsMonitor) and find_spec("psutil") is None:
            raise ConfigError(f"callbacks.{name}: DeviceStatsMonitor needs a package: pip install psutil")
        if isinstance(callback, lightning.Timer) and callback.time_remaining() == 0:
            raise ConfigError(f"callbacks.{name}.duration must be above 0 (got 0)")
        if setting(callback, "monitor") is not None and setting(callback, "every_n_train_steps"):
            raise ConfigError(
                f"callbacks.{name} must have monitor or every_n_train_steps, not both: metrics are measured after every"
                " epoch"
            )


def check_monitors(callbacks: Mapping[str, Callback], metrics: Callable[[], Sequence[str]]) -> None:
    """Check that the metrics that callbacks monitor are logged.

    Nothing is known of what a callback of the user's own logs: beside one, a monitor may have any name.

    Args:
        metrics: returns the names of the metrics that the run logs; called only where something is monitored.

    Raises:
        ConfigError: naming the metrics there are.
    """
    monitors = {f"callbacks.{name}.monitor": [setting(each, "monitor")] for name, each in callbacks.items()}
    for name, each in callbacks.items():
        if isinstance(each, lightning.ModelCheckpoint):
            monitors[f"callbacks.{name}.filename"] = re.findall(r"{([^}:]+)", setting(each, "filename") or "")
    wanted = [(key, tag) for key, tags in monitors.items() for tag in tags if tag not in (None, "epoch", "step")]
    if wanted and not any(_is_own(callback) for callback in callbacks.values()):
        names = metrics()
        for key, tag in wanted:
            if tag not in names:
                raise ConfigError(f"{key} must name one of {', '.join(names)} (got {tag})")


def uncalled(callbacks: Iterable[Callback]) -> list[str]:
    """Return the hooks of the user's own callbacks that a run never calls, as it has no validation loop and players
    step their own optimizers."""
    return [
        f"{type(callback).__name__}.{hook}"
        for callback in callbacks
        if _is_own(callback)
        for hook in dir(Callback)
        if hook.startswith("on_") and any(part in hook for part in UNCALLED)
        if getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
    ]


def _is_own(callback: Callback) -> bool:
    own = not type(callback).__module__.startswith(("gaussgan.", "pytorch_lightning."))
    return own or isinstance(callback, lightning.LambdaCallback)
