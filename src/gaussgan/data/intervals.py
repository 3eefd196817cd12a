"""The iterations at which a callback acts or the trainer logs."""

from __future__ import annotations

import math
from typing import Any

from pytorch_lightning import Callback, Trainer

PER_OCTAVE = 6  # log-spaced iterations while the number of iterations doubles


def log_spaced(first: int, last: int, per_octave: int = PER_OCTAVE) -> list[int]:
    """Return the iterations from `first` to `last` that are round(2^(j / per_octave)) for a whole number j ≥ 0.

    They do not depend on the length of a run, so a run that is made longer goes on with the same iterations.
    """
    if last < max(first, 1):
        return []
    js = range(max(0, _nearest(max(first, 1), per_octave) - per_octave), _nearest(last, per_octave) + per_octave)
    return sorted({i for i in (round(2 ** (j / per_octave)) for j in js) if first <= i <= last})


def _nearest(iteration: int, per_octave: int) -> int:
    return round(per_octave * math.log2(iteration))


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
