"""Keep the parameters of a small game during training, so that the path of the parameters can be drawn."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from gaussgan.gan.module import GAN


class Trajectory(Callback):
    """Keep the parameters of both networks over time, in the list `points`.

    One vector is appended at the start of training, and one after each call of Lightning's `on_train_batch_end`. Each
    vector holds all parameters of the generator, followed by all parameters of the discriminator.
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
    """Return the parameter vectors that a trainer's `Trajectory` callback has kept, or [] without such a callback."""
    callbacks = [each for each in trainer.callbacks if isinstance(each, Trajectory)]  # type: ignore[attr-defined]
    return callbacks[0].points if callbacks else []
