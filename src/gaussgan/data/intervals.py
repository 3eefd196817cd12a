"""After which iterations a callback acts or the trainer logs."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, Trainer


def steps_to_end_at(trainer: Trainer) -> list[int]:
    """Return the numbers of iterations at whose multiples a callback acts or the trainer logs."""
    wanted = [setting(callback, "every_n_train_steps") for callback in trainer.callbacks]  # type: ignore[attr-defined]
    return [n for n in {*wanted, log_interval(trainer)} if n]


def logs_at_this_step(trainer: Trainer) -> bool:
    """Return whether the trainer's global step is a multiple of the configured `trainer.log_every_n_steps`."""
    n = log_interval(trainer)
    return n > 0 and trainer.global_step % n == 0


def log_interval(trainer: Trainer) -> int:
    """Return the configured `trainer.log_every_n_steps`, in iterations; 0 for none.

    The Trainer itself has 1 in the place of 0, so that what other callbacks log in a block is logged at its end.
    """
    config: dict[str, Any] = trainer.lightning_module.config  # type: ignore[assignment]
    configured = config.get("trainer", {}).get("log_every_n_steps", 0)
    return trainer.log_every_n_steps if configured is None else configured  # type: ignore[attr-defined]


def setting(callback: Callback, name: str) -> Any:
    """Return what a callback was given as an argument, which Lightning keeps under a private name; None if nothing."""
    return getattr(callback, name, getattr(callback, f"_{name}", None))
