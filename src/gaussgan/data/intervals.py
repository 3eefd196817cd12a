"""The iterations at which a callback acts or the trainer logs."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, Trainer


def steps_to_end_at(trainer: Trainer) -> list[int]:
    """Return the intervals, in iterations, at which callbacks act or the trainer logs.

    A run trains in blocks of iterations. A block must end at each multiple of each of these intervals.
    """
    wanted = [setting(callback, "every_n_train_steps") for callback in trainer.callbacks]  # type: ignore[attr-defined]
    return [n for n in {*wanted, log_interval(trainer)} if n]


def logs_at_this_step(trainer: Trainer) -> bool:
    """Check whether the trainer logs after its current iteration."""
    n = log_interval(trainer)
    return n > 0 and trainer.global_step % n == 0


def log_interval(trainer: Trainer) -> int:
    """Return the interval, in iterations, at which the trainer logs; 0 means never.

    The interval is the setting `trainer.log_every_n_steps` of the run's configuration. If the setting is missing, the
    interval is 0. If the setting is null, the interval is Lightning's default. If the setting is 0, Lightning's own
    interval is 1, so that the values that other callbacks log are still logged after each block.
    """
    config: dict[str, Any] = trainer.lightning_module.config  # type: ignore[assignment]
    configured = config.get("trainer", {}).get("log_every_n_steps", 0)
    return trainer.log_every_n_steps if configured is None else configured  # type: ignore[attr-defined]


def setting(callback: Callback, name: str) -> Any:
    """Return the value of the argument of `callback` that is called `name`; None if there is no such argument.

    Lightning stores the values of some arguments in attributes that begin with an underscore.
    """
    return getattr(callback, name, getattr(callback, f"_{name}", None))
