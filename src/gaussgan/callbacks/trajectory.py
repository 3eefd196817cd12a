"""Keep the path of a small game through its parameters."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from gaussgan.gan.module import GAN


class Trajectory(Callback):
    """Append the parameters of G and then of D to `gan.trajectory` after each block of iterations."""

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not gan.trajectory:
            self._keep(gan)

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        self._keep(gan)

    def on_save_checkpoint(self, trainer: Trainer, gan: GAN, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        checkpoint["trajectory"] = torch.stack(gan.trajectory) if gan.trajectory else torch.empty(0)

    def on_load_checkpoint(self, trainer: Trainer, gan: GAN, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        gan.trajectory = [*checkpoint.get("trajectory", ())]

    def _keep(self, gan: GAN) -> None:
        thetas = [gan.generator_player.theta, gan.discriminator_player.theta]
        gan.trajectory.append(torch.cat(thetas, -1).double().cpu())
