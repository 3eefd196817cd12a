"""The number of iterations of a run."""

from __future__ import annotations

from omegaconf import DictConfig
from pytorch_lightning import Trainer

from gaussgan.data.datamodule import DataModule


def data_of(trainer: Trainer) -> DataModule:
    """Return the data module of a trainer; None in a process that only starts other processes."""
    return trainer.datamodule  # type: ignore[attr-defined]


def iteration_limits(trainer: Trainer | DictConfig, data: DataModule) -> dict[str, int]:
    """Return the number of iterations after which each of the settings "max_epochs" and "max_steps" ends a run.

    The result maps the name of a setting to this number. A setting that sets no limit has no entry.

    Args:
        trainer: a Trainer, or the section `trainer` of a configuration.
        data: the data module of the run.
    """
    limits = {"max_epochs": (trainer.max_epochs or 0) * data.iterations, "max_steps": trainer.max_steps}
    return {name: limit for name, limit in limits.items() if limit > 0}


def planned_iterations(trainer: Trainer) -> int:
    """Return the number of iterations after which the run of a trainer is complete."""
    return min(iteration_limits(trainer, data_of(trainer)).values())
