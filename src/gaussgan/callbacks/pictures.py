"""What the game looks like, while it is played and at its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import TensorBoardLogger

from gaussgan.data import GaussianDataModule, data_of
from gaussgan.figures import Cloud, game_figure, render
from gaussgan.gan import GAN, Diverged
from gaussgan.metrics import gaussian_w2, generator_moments
from gaussgan.streams import normal, stream

log = logging.getLogger(__name__)

PICTURED = 100  # examples of either kind


class Pictures(Callback):
    """The game's figure: to TensorBoard after epochs 1, 10, 100, … and at the end, then also as figures/final.png.

    A figure that cannot be drawn costs a line in the log, and not the run.
    """

    def __init__(self, directory: str) -> None:
        self.path = Path(directory) / "figures" / "final.png"
        self.drawn_at: int | None = None

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if math.log10(trainer.current_epoch + 1).is_integer() and trainer.is_global_zero:
            self._try(self._draw, trainer, gan)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            self._try(self._save, trainer, gan)

    def on_fit_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.is_global_zero and not self.path.exists():  # a resumed run that had nothing left to do
            self._try(self._save, trainer, gan)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        if trainer.is_global_zero and isinstance(exception, Diverged):
            self._try(self._save, trainer, gan)

    def _try(self, draw: Callable[[Trainer, GAN], None], trainer: Trainer, gan: GAN) -> None:
        try:
            draw(trainer, gan)
        except Exception:
            log.exception("the figure at iteration %d could not be drawn", trainer.global_step)

    def _draw(self, trainer: Trainer, gan: GAN) -> None:
        self.image, self.drawn_at = picture(gan, data_of(trainer), trainer.global_step), trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("game", self.image, self.drawn_at, dataformats="HWC")

    def _save(self, trainer: Trainer, gan: GAN) -> None:
        if self.drawn_at != trainer.global_step:
            self._draw(trainer, gan)
        self.path.parent.mkdir(exist_ok=True)
        Image.fromarray(self.image).save(self.path)


def picture(gan: GAN, data: GaussianDataModule, iterations: int) -> np.ndarray:
    """The game's figure of a run as it stands, as an image."""
    law, device, dtype = data.distribution, gan.device, next(gan.parameters()).dtype
    latents = normal(PICTURED, data.latent_dim, generator=stream(data.seed, "picture")).to(device, dtype)
    mean, cov = (moment.cpu() for moment in generator_moments(gan.generator, data.validation_latents(gan.generator)))
    mle = gaussian_w2(law.mean, law.cov, *data.moments(iterations)).item()
    with torch.no_grad():
        figure = game_figure(
            real=Cloud(data.examples()[:PICTURED], law.mean, law.cov),
            fake=Cloud(gan.generator(latents).float().cpu(), mean, cov),
            probability=lambda x: gan.discriminator(x.to(device, dtype)).sigmoid().float().cpu(),
            history=gan.history,
            mle=mle,
            title=f"iteration {iterations:,}: W₂ = {gaussian_w2(law.mean, law.cov, mean, cov):.3f}",
        )
    return render(figure)
