"""Keep the parameters of a small game during training, so that their path can be drawn."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from gaussgan.gan.module import GAN


class Trajectory(Callback):
    """Append one vector of all parameters to `points` at the start of training and after each block of iterations.

    In each vector, the generator's parameters come before the discriminator's parameters.
    """

    def __init__(self) -> None:
        self.points: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not self.points:
            self._keep(gan)

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        self._keep(gan)

    def on_save_checkpoint(self, trainer: Trainer, gan: GAN, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        checkpoint["trajectory"] = torch.stack(self.points) if self.points else torch.empty(0)

    def on_load_checkpoint(self, trainer: Trainer, gan: GAN, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        self.points = [*checkpoint.get("trajectory", ())]

    def _keep(self, gan: GAN) -> None:
        thetas = [gan.generator_player.theta, gan.discriminator_player.theta]
        self.points.append(torch.cat(thetas, -1).double().cpu())


def trajectory_of(trainer: Trainer) -> list[Tensor]:
    """Return the parameter vectors that a trainer's `Trajectory` callback kept; [] if there is no such callback."""
    callbacks = [each for each in trainer.callbacks if isinstance(each, Trajectory)]  # type: ignore[attr-defined]
    return callbacks[0].points if callbacks else []
