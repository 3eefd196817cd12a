"""Log the learning rates of both players."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, Trainer

from gaussgan.data.intervals import logs_at_this_step
from gaussgan.evaluation.summary import aggregate
from gaussgan.gan.module import GAN
from gaussgan.loggers.log import log_numbers


class LearningRateMonitor(Callback):
    """Log the players' learning rates, as lr/discriminator and lr/generator.

    The learning rates are logged before the first iteration, after each epoch, and every `trainer.log_every_n_steps`
    iterations. The logged values are those that the next iteration uses. If a player's learning rate differs between
    replicas, the mean over the replicas is logged, such as lr/generator, and quantiles, such as lr/generator_median.
    """

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._log(trainer, gan)

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if logs_at_this_step(trainer):
            self._log(trainer, gan)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.global_step != self.logged_at:
            self._log(trainer, gan)

    def _log(self, trainer: Trainer, gan: GAN) -> None:
        self.logged_at = trainer.global_step
        players = {"lr/discriminator": gan.discriminator_player, "lr/generator": gan.generator_player}
        rates = aggregate({tag: player.learning_rate for tag, player in players.items()})
        log_numbers(trainer.loggers, rates, trainer.global_step)
