"""How many iterations a run has, and after which of them something happens."""

from __future__ import annotations

from omegaconf import DictConfig
from pytorch_lightning import Trainer

from gaussgan.data.datamodule import GaussianDataModule


def data_of(trainer: Trainer) -> GaussianDataModule:
    """The data module that a trainer runs on (None in a parent that leaves the running to spawned processes)."""
    return trainer.datamodule  # type: ignore[attr-defined]


def iteration_limits(trainer: Trainer | DictConfig, data: GaussianDataModule) -> dict[str, int]:
    """The iterations after which each of the limits of a trainer, or of its configuration, ends a run on these data."""
    limits = {"max_epochs": (trainer.max_epochs or 0) * data.iterations, "max_steps": trainer.max_steps}
    return {name: limit for name, limit in limits.items() if limit > 0}


def planned_iterations(trainer: Trainer) -> int:
    """The iterations after which a trainer's run is complete."""
    return min(iteration_limits(trainer, data_of(trainer)).values())
