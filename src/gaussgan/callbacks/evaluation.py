"""How far the generator is from the law, after each epoch."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.data.distributions import Law
from gaussgan.data.intervals import logs_at_this_step
from gaussgan.data.iterations import data_of
from gaussgan.evaluation.evaluator import distances_with_average
from gaussgan.evaluation.summary import aggregate
from gaussgan.gan.module import GAN
from gaussgan.gan.state import TAGS
from gaussgan.loggers.log import log_configuration, log_numbers, typed
from gaussgan.networks.moments import has_closed_form


class Evaluation(Callback):
    """After each epoch: the distance to the law, the epoch's means and the speed, to the loggers and `gan.history`.

    With `trainer.log_every_n_steps` = n it also logs train/loss_d_step, …, every n iterations: the means since the last
    time.
    It also keeps over interruptions the time that training took, in seconds, and the distances at the start; and it
    starts TensorBoard's HPARAMS.

    Args:
        exact: refuse a run whose distance would be measured on samples.
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.seconds = 0.0
        self.start: dict[str, Tensor] = {}

    def check(self, generator: nn.Module, law: Law) -> None:
        """
        Raises:
            ValueError: when the distance is to be exact, and cannot be.
        """
        if self.exact and not (law.gaussian and has_closed_form(generator)):
            what = f"generator {type(generator).__name__}" if law.gaussian else f"law {type(law).__name__}"
            raise ValueError(f"exact must be false for the {what}, whose distance is measured on samples (got true)")

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.validation, self.logged = data_of(trainer).validation, gan.state.epoch
        self.started = self.epoch_started = perf_counter()
        self.epoch_start = trainer.global_step
        with gan.evaluating():
            self.distances = self.validation.distances(gan.generator)  # where this process begins
        if trainer.global_step == 0:
            self.start = self.distances
        log_configuration(trainer.loggers, gan.config, self.distances, trainer.global_step, typed())

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if logs_at_this_step(trainer):
            means = {f"{tag}_step": mean for tag, mean in gan.epoch_means(since=self.logged).items()}
            self.logged = gan.state.epoch
            log_numbers(trainer.loggers, aggregate(means, gan.diverged), trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        data, step, now = data_of(trainer), trainer.global_step, perf_counter()
        row: dict[str, Any] = {**gan.epoch_means(), **self._measure(gan)}
        if gan.replicas > 1:
            for value in row.values():
                value[[*gan.diverged]] = torch.nan
        else:
            row = {name: value.item() for name, value in row.items()}
        seen = data.examples_seen(step) - data.examples_seen(self.epoch_start)
        row["perf/examples_per_second"] = gan.replicas * seen / (now - self.epoch_started)
        numbers = aggregate(row, gan.diverged)
        # For callbacks that monitor, such as EarlyStopping; `log` takes milliseconds to do the same.
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in numbers.items()})
        log_numbers(trainer.loggers, numbers, step)
        gan.history.append({"iteration": step, "epoch": trainer.current_epoch + 1, **row})
        self.epoch_started, self.epoch_start = now, step

    def names(self, gan: GAN, data: GaussianDataModule) -> list[str]:
        """Return the names in the rows of `gan.history`."""
        return ["iteration", "epoch", *self._example(gan, data)]

    def metrics(self, gan: GAN, data: GaussianDataModule) -> list[str]:
        """Return the names of what a run logs after every epoch."""
        return [*aggregate(self._example(gan, data))]

    def _example(self, gan: GAN, data: GaussianDataModule) -> dict[str, Any]:
        self.validation = data.validation
        means = dict.fromkeys(TAGS, torch.zeros(gan.replicas).squeeze())
        return {**means, **self._measure(gan), "perf/examples_per_second": 0.0}

    def _measure(self, gan: GAN) -> dict[str, Tensor]:
        with gan.evaluating():
            average = None if gan.generator_ema is None else gan.generator_ema
            values = distances_with_average(self.validation, gan.generator, average)
            logistic = gan.logistic
            return values | self.validation.optimality(gan.generator, gan.discriminator, logistic)

    def total_seconds(self) -> float:
        """The time that training took up to now."""
        return self.seconds + (perf_counter() - self.started if hasattr(self, "started") else 0.0)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.seconds = self.total_seconds()
        del self.started

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.total_seconds(), "start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds, self.start = float(state["seconds"]), state.get("start", {})  # of a sweep's job, nobody asks


def evaluation_of(trainer: Trainer) -> Evaluation:
    """The one among a trainer's callbacks."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, Evaluation))  # type: ignore[attr-defined]
