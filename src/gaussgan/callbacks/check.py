"""Refuse the callbacks that cannot work in a run of gaussgan. Each error message gives the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec

from pytorch_lightning import Callback
from pytorch_lightning import callbacks as lightning

from gaussgan.callbacks.animation import Animation
from gaussgan.callbacks.checkpoints import Checkpoints
from gaussgan.callbacks.epochs import monitored
from gaussgan.callbacks.evaluation import Evaluation
from gaussgan.callbacks.frames import Frames
from gaussgan.callbacks.learning_rates import LearningRateMonitor
from gaussgan.callbacks.record import Record
from gaussgan.config.errors import ConfigError
from gaussgan.config.schema import FINITE, Rule, only, whole
from gaussgan.data.intervals import setting

ONE_VECTOR = "the parameters of a player are one vector"
AVERAGE = "it would also average the discriminator's weights; ema_half_life averages only the generator"
BAR = "it counts blocks of iterations; trainer.enable_progress_bar=true shows a bar that counts iterations"
SWEEP_RATES = "a sweep compares learning rates: -m optimizer_d.lr=0.01,0.05"
REFUSED: dict[type[Callback], str] = {
    lightning.BaseFinetuning: f"it freezes single parameters, and {ONE_VECTOR}",
    lightning.BasePredictionWriter: "there is no prediction loop; load_run returns the trained generator",
    lightning.BatchSizeFinder: "a sweep compares batch sizes: -m data.batch_size=8,64",
    lightning.GradientAccumulationScheduler: "data.batch_size=N sets a larger batch",
    lightning.LearningRateFinder: SWEEP_RATES,
    lightning.LearningRateMonitor: "callbacks=[default,lr_monitor] logs the learning rates of both players",
    lightning.ModelPruning: f"it replaces single parameters, and {ONE_VECTOR}",
    lightning.OnExceptionCheckpoint: "Lightning would always resume from its file; last.ckpt exists after a failure",
    lightning.RichProgressBar: BAR,
    lightning.SpikeDetection: "a run already ends as diverged when a loss is not finite",
    lightning.StochasticWeightAveraging: AVERAGE,
    lightning.ThroughputMonitor: "each run already logs perf/examples_per_second after every epoch",
    lightning.TQDMProgressBar: BAR,
    lightning.WeightAveraging: AVERAGE,
}
REQUIRED_CLASSES: dict[str, type[Callback]] = {"evaluation": Evaluation, "checkpoints": Checkpoints, "record": Record}
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
        "save_weights_only": only(False, "loading and resuming need the whole checkpoint"),
    },
}
NEED_LOGGERS = (lightning.DeviceStatsMonitor, LearningRateMonitor)
UNCALLED_HOOKS = ("_validation_", "_test_", "_predict_", "_sanity_check_", "_optimizer_step", "_zero_grad", "_backward")


def check_callbacks(callbacks: Mapping[str, Callback], has_logger: bool) -> None:
    """Check that callbacks work in a run of gaussgan.

    Args:
        callbacks: maps the name of each callback in the configuration to the callback.
        has_logger: true if the run has a logger.

    Raises:
        ConfigError: when a callback cannot work, or when an argument of a callback is not valid or would be ignored.
    """
    for name, callback in callbacks.items():
        if not isinstance(callback, required := REQUIRED_CLASSES.get(name, Callback)):
            what = "Lightning callback" if required is Callback else f"gaussgan.callbacks.{required.__name__}"
            raise ConfigError(f"callbacks.{name} must be a {what} (got {type(callback).__name__})")
        for refused, why in REFUSED.items():
            if isinstance(callback, refused):
                raise ConfigError(f"callbacks.{name}: {type(callback).__name__} does not work here: {why}")
        for owner, rules in SETTINGS.items():
            for key, (text, holds) in rules.items() if isinstance(callback, owner) else ():
                if not holds(value := setting(callback, key)):
                    raise ConfigError(f"callbacks.{name}.{key} must be {text} (got {value})")
        if isinstance(callback, Animation) and not any(isinstance(each, Frames) for each in callbacks.values()):
            raise ConfigError(f"callbacks.{name}: Animation needs the frames that callbacks.frames records")
        if isinstance(callback, NEED_LOGGERS) and not has_logger:
            raise ConfigError(f"callbacks.{name}: {type(callback).__name__} needs a logger, such as logger=csv")
        if isinstance(callback, lightning.DeviceStatsMonitor) and find_spec("psutil") is None:
            raise ConfigError(f"callbacks.{name}: DeviceStatsMonitor needs a package: pip install psutil")
        if isinstance(callback, lightning.Timer) and callback.time_remaining() == 0:
            raise ConfigError(f"callbacks.{name}.duration must be above 0 (got 0)")
        if setting(callback, "monitor") is not None and setting(callback, "every_n_train_steps"):
            raise ConfigError(
                f"callbacks.{name} must have monitor or every_n_train_steps, not both: metrics are measured after each"
                " epoch"
            )


def check_monitors(
    callbacks: Mapping[str, Callback], metrics: Callable[[], Sequence[str]], evaluate_every: int | None = None
) -> None:
    """Check that the run logs each metric that a callback monitors or uses in the file name of a checkpoint.

    A callback that the user wrote may log metrics of any name. If there is such a callback, the names are not checked.

    Args:
        callbacks: maps the name of each callback in the configuration to the callback.
        metrics: a function of no arguments that returns the names of the metrics that the run logs. It is called only
            if a callback uses a metric.
        evaluate_every: the setting of this name. Callbacks read metrics after every epoch, so only None and 1 are valid
            if a callback uses a metric.

    Raises:
        ConfigError: when a callback uses a metric that the run does not log, or does not measure after every epoch.
    """
    uses = [
        (f"callbacks.{name}.{argument}", tag) for name, each in callbacks.items() for argument, tag in monitored(each)
    ]
    for key, tag in uses if evaluate_every not in (None, 1) else ():
        raise ConfigError(
            f"evaluate_every must be null or 1, because {key} uses {tag} after every epoch (got {evaluate_every})"
        )
    if uses and not any(_is_own(callback) for callback in callbacks.values()):
        names = metrics()
        for key, tag in uses:
            if tag not in names:
                raise ConfigError(f"{key} must name one of {', '.join(names)} (got {tag})")


def uncalled(callbacks: Iterable[Callback]) -> list[str]:
    """Return the hooks that the user's own callbacks define but that a run never calls, each as "CLASS.HOOK".

    A run never calls the hooks around validation, because it has no validation loop. It never calls the hooks around an
    optimizer's step, because gaussgan steps the optimizers without Lightning.
    """
    return [
        f"{type(callback).__name__}.{hook}"
        for callback in callbacks
        if _is_own(callback)
        for hook in dir(Callback)
        if hook.startswith("on_") and any(name in hook for name in UNCALLED_HOOKS)
        if getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
    ]


def _is_own(callback: Callback) -> bool:
    """Return whether a callback runs the user's own code. Lightning's `LambdaCallback` also runs the user's code."""
    package = type(callback).__module__.partition(".")[0]
    return package not in ("gaussgan", "pytorch_lightning") or isinstance(callback, lightning.LambdaCallback)
