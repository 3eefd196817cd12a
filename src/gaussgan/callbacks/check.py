"""Refuse the callbacks of Lightning that cannot work here, and say what to use instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec

from pytorch_lightning import Callback
from pytorch_lightning import callbacks as lightning

from gaussgan.callbacks.checkpoints import Checkpoints
from gaussgan.callbacks.evaluation import Evaluation
from gaussgan.callbacks.learning_rates import LearningRateMonitor
from gaussgan.callbacks.record import Record
from gaussgan.config.errors import ConfigError
from gaussgan.config.schema import FINITE, Rule, only, whole
from gaussgan.data.intervals import setting

ONE_VECTOR = "the parameters of a player are one vector"
AVERAGE = "it would also swap the discriminator's weights; ema_half_life keeps an average of the generator"
BAR = "its bar counts blocks; the bar of trainer.enable_progress_bar counts iterations"
RATES = "a sweep compares them: -m optimizer_d.lr=0.01,0.05"
REFUSED: dict[type[Callback], str] = {
    lightning.BaseFinetuning: f"it freezes single parameters, and {ONE_VECTOR}",
    lightning.BasePredictionWriter: "there is no prediction loop; load_run gives the trained generator",
    lightning.BatchSizeFinder: "a sweep compares them: -m data.batch_size=8,64",
    lightning.GradientAccumulationScheduler: "a larger batch is data.batch_size",
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
NO_VALIDATION: Rule = ("true: there is no validation loop", lambda v: v is not False)
SETTINGS: dict[type[Callback], dict[str, Rule]] = {
    lightning.EarlyStopping: {
        "check_on_train_epoch_end": NO_VALIDATION,
        "monitor": ("the name of a metric", lambda v: isinstance(v, str)),
        "patience": whole(0),
        "min_delta": FINITE,
    },
    lightning.ModelCheckpoint: {
        "save_on_train_epoch_end": NO_VALIDATION,
        "train_time_interval": only(None, "Lightning ignores it in manual optimization; use every_n_train_steps"),
        "save_weights_only": only(False, "runs are loaded and resumed from whole checkpoints"),
    },
}
NEED_LOGGERS = (lightning.DeviceStatsMonitor, LearningRateMonitor)
UNCALLED = ("_validation_", "_test_", "_predict_", "_sanity_check_", "_optimizer_step", "_zero_grad", "_backward")


def check_callbacks(callbacks: Mapping[str, Callback], logs: bool) -> None:
    """Check that callbacks can work here.

    Args:
        callbacks: by their names in the configuration.
        logs: whether the run has a logger.

    Raises:
        ConfigError: for the first callback or argument that would not do what its name says.
    """
    for name, callback in callbacks.items():
        if not isinstance(callback, own := OURS.get(name, Callback)):
            what = "Lightning callback" if own is Callback else f"gaussgan.callbacks.{own.__name__}"
            raise ConfigError(f"callbacks.{name} must be a {what} (got {type(callback).__name__})")
        for refused, why in REFUSED.items():
            if isinstance(callback, refused):
                raise ConfigError(f"callbacks.{name}: {type(callback).__name__} does not work here: {why}")
        for kind, rules in SETTINGS.items():
            for key, (text, holds) in rules.items() if isinstance(callback, kind) else ():
                if not holds(value := setting(callback, key)):
                    raise ConfigError(f"callbacks.{name}.{key} must be {text} (got {value})")
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
    """Check that the run logs the metrics that callbacks monitor.

    A callback of the user's own may log any metric. If there is one, any name is accepted.

    Args:
        metrics: returns the names of the metrics that the run logs. It is called only if a callback monitors one.

    Raises:
        ConfigError: for the first unknown metric; the message lists the known ones.
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
    """Return the hooks of the user's own callbacks that a run never calls.

    A run has no validation loop, and each player steps its own optimizer.
    """
    return [
        f"{type(callback).__name__}.{hook}"
        for callback in callbacks
        if _is_own(callback)
        for hook in dir(Callback)
        if hook.startswith("on_") and any(part in hook for part in UNCALLED)
        if getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
    ]


def _is_own(callback: Callback) -> bool:
    """Return whether the user wrote a callback."""
    package = type(callback).__module__.partition(".")[0]
    return package not in ("gaussgan", "pytorch_lightning") or isinstance(callback, lightning.LambdaCallback)
