"""Measure a run after some of its epochs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from gaussgan.callbacks.epochs import is_evaluated, monitored, passes, series
from gaussgan.data.datamodule import DataModule
from gaussgan.data.distributions import Distribution
from gaussgan.data.intervals import logs_at_this_step
from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.evaluation.chunked import (
    ChunkedEvaluator,
    distances_with_average,
    evaluator_of,
    reported_with_average,
)
from gaussgan.evaluation.evaluator import Evaluator
from gaussgan.evaluation.held_out import Features
from gaussgan.evaluation.summary import aggregate
from gaussgan.gan.module import GAN
from gaussgan.gan.state import TAGS
from gaussgan.loggers.log import log_configuration, log_numbers, typed
from gaussgan.networks.moments import has_closed_form
from gaussgan.runs.history import Row, pack, unpack

Measure = Callable[[Distribution, nn.Module, nn.Module], dict[str, Tensor]]


class Evaluation(Callback):
    """Measure the distances of the generator's distribution from the true distribution, at evaluated epochs.

    A run is evaluated after the epochs that the setting `evaluate_every` chooses (see `is_evaluated`), and at its end.
    If another callback reads metrics after every epoch, such as `EarlyStopping`, the run is evaluated after every
    epoch.

    An evaluation logs the distances, the other measures, the examples per second since the evaluation before, and means
    over the epoch, such as the mean loss train/loss_d. It appends all these numbers to `history` as one row. Callbacks
    find them in `trainer.callback_metrics`, where they stay until the next evaluation. If
    `trainer.log_every_n_steps` is n > 0, the callback also logs means every n iterations, such as train/loss_d_step.
    These means are taken over those iterations of the current epoch that come after the previous log of such means. The
    callback also logs the configuration, and measures the time of training.

    Args:
        exact: if true, the method `check` refuses a run whose distances can only be estimated from samples.
        measures: functions that measure more numbers, such as `gaussgan.evaluation.dirac.equilibrium_distance`. Each
            function maps (distribution, generator, discriminator) to a dict, and the dict maps names to tensors. Each
            tensor has the shape [], or the shape [R] for a run with R replicas.
        all_densities: the measures of `Evaluator.quality` take most of the time of an evaluation, and in a run with
            replicas those of `Evaluator.optimality` do. If false, they are measured after epochs 1, 2, 5, 10, 20, … and
            at the end, and are NaN in the other rows of `history`. If true, they are measured in every evaluation. In a
            single run, those of `optimality` always are.
        quality: whether the measures of `Quality`, such as coverage, are wanted. None: only for data
            without a known distribution.
        features: maps examples to features, in which the measures of samples are computed; None for none.
    """

    def __init__(
        self,
        exact: bool = False,
        measures: Sequence[Measure] = (),
        all_densities: bool = False,
        quality: bool | None = None,
        features: Features | None = None,
    ) -> None:
        self.exact, self.measures, self.all_densities = exact, measures, all_densities
        self.quality, self.features = quality, features or None
        self.seconds = 0.0
        self.history: list[Row] = []  # one row for each evaluated epoch
        self.skipped: list[str] = []  # the measures that are NaN in the last row of `history` because of the epoch
        self._evaluator: Evaluator | ChunkedEvaluator | None = None
        self._final: tuple[int, dict[str, Tensor]] | None = None  # an iteration, and what was measured there

    def evaluator(self, data: DataModule) -> Evaluator | ChunkedEvaluator:
        """Return the object that measures the distances. The first call creates it; later calls return the same one."""
        if self._evaluator is None:
            self._evaluator = evaluator_of(data, self.quality, self.features)
        return self._evaluator

    def check(self, generator: nn.Module, distribution: Distribution) -> None:
        """Check that the callback's arguments fit the generator and the true distribution of a run.

        Raises:
            ValueError: when `exact` is true and the distances can only be estimated from samples, or when `quality` or
                `features` ask for measures of samples of Gaussian data, for which there are none.
        """
        for key, given in (("quality", self.quality), ("features", self.features)):
            if distribution.gaussian and given:
                got = "true" if given is True else type(given).__name__
                raise ValueError(f"{key} must be null for Gaussian data, whose distance is known (got {got})")
        if self.exact and not (distribution.gaussian and has_closed_form(generator)):
            name, value = ("generator", generator) if distribution.gaussian else ("distribution", distribution)
            raise ValueError(
                f"exact must be false for the {name} {type(value).__name__}: its distance is measured on samples (got"
                " true)"
            )

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.metrics_are_read = any(map(monitored, trainer.callbacks))  # type: ignore[attr-defined]
        self.logged = gan.state.epoch
        self.started = self.epoch_started = perf_counter()
        self.epoch_start = trainer.global_step
        with gan.evaluating():  # the distances before the first iteration of this process
            self.distances = self.evaluator(data_of(trainer)).distances(gan.generator)
        log_configuration(trainer.loggers, gan.config, self.distances, trainer.global_step, typed())

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if logs_at_this_step(trainer):
            means = {f"{tag}_step": mean for tag, mean in gan.epoch_means(since=self.logged).items()}
            self.logged = gan.state.epoch
            log_numbers(trainer.loggers, aggregate(means, gan.diverged), trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        is_end = trainer.global_step >= planned_iterations(trainer)
        every = 1 if self.metrics_are_read else gan.config.get("evaluate_every")
        if is_end or is_evaluated(data_of(trainer).loader.epoch + 1, every):
            self._evaluate(trainer, gan, all_densities=is_end or self.metrics_are_read)

    def _evaluate(self, trainer: Trainer, gan: GAN, all_densities: bool) -> None:
        """Measure the networks. Log the numbers, and append them to `history` as one row."""
        data, step, now = data_of(trainer), trainer.global_step, perf_counter()
        seen = data.examples_seen(step) - data.examples_seen(self.epoch_start)
        speed = gan.replicas * seen / (now - self.epoch_started)
        self.history.append({"iteration": step, "epoch": data.loader.epoch + 1})
        wanted = all_densities or self.all_densities or passes(self.history, series)
        measured = {**gan.epoch_means(), **self._measure(gan, data, wanted)}
        self.skipped = [] if wanted else self._slow_names(gan, data)
        self._add(trainer, gan, {**measured, "perf/examples_per_second": torch.tensor(speed)})
        self.epoch_started, self.epoch_start = now, step

    def _add(self, trainer: Trainer, gan: GAN, measured: dict[str, Tensor]) -> None:
        """Add measures to the last row of `history`, and log them."""
        for value in measured.values():
            if value.ndim:
                value[[*gan.diverged]] = torch.nan
        row = {name: value if value.ndim else value.item() for name, value in measured.items()}
        self.history[-1] |= row
        numbers = aggregate({name: value for name, value in row.items() if name not in self.skipped}, gan.diverged)
        # Callbacks such as EarlyStopping read these metrics. Lightning's `log` would take milliseconds.
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in numbers.items()})
        log_numbers(trainer.loggers, numbers, trainer.global_step)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.seconds = self.total_seconds()
        del self.started
        if trainer.global_step > self.epoch_start:  # a signal, trainer.max_time or another callback ended the run
            self._evaluate(trainer, gan, all_densities=True)
        elif self.skipped:
            self.skipped = []
            with gan.evaluating():
                self._add(trainer, gan, self._slow_measures(gan, data_of(trainer)))
        self._log_final(trainer, gan)

    def _log_final(self, trainer: Trainer, gan: GAN) -> None:
        """Log the measures of `final`, unless the run has diverged."""
        if trainer.is_global_zero and (values := self.final(gan, data_of(trainer))):
            log_numbers(trainer.loggers, aggregate(values, gan.diverged), trainer.global_step)

    def final(self, gan: GAN, data: DataModule) -> dict[str, Tensor]:
        """Return what is measured when a run has ended, against the examples to report by. Tags are like test/coverage.

        The dict is empty for a known distribution. Diverged replicas have NaN.
        """
        step = gan.trainer.global_step
        if self._final is None or self._final[0] != step:
            with gan.evaluating():
                measured = reported_with_average(self.evaluator(data), gan.generator, gan.generator_ema)
            values = {tag: value.cpu() for tag, value in measured.items()}
            for value in values.values():
                if value.ndim:
                    value[[*gan.diverged]] = torch.nan
            self._final = step, values
        return self._final[1]

    def names(self, gan: GAN, data: DataModule) -> list[str]:
        """Return the keys of a row of `history`. The keys are known before training."""
        return ["iteration", "epoch", *self._example_row(gan, data)]

    def metrics(self, gan: GAN, data: DataModule) -> list[str]:
        """Return the names of the numbers that this callback logs after each epoch.

        For a run with replicas, each measure is logged as a mean over the replicas, and as quantiles with names such as
        val/w2_median.
        """
        return [*aggregate(self._example_row(gan, data))]

    def _example_row(self, gan: GAN, data: DataModule) -> dict[str, Any]:
        means = dict.fromkeys(TAGS, torch.zeros(gan.replicas).squeeze())
        return {**means, **self._measure(gan, data), "perf/examples_per_second": 0.0}

    def _slow_measures(self, gan: GAN, data: DataModule) -> dict[str, Tensor]:
        """Return the measures that take most of the time of an evaluation."""
        evaluator = self.evaluator(data)
        densities = evaluator.optimality(gan.generator, gan.discriminator, gan.logistic, gan.game.packing)
        return densities | evaluator.quality(gan.generator)

    def _slow_names(self, gan: GAN, data: DataModule) -> list[str]:
        """Return the tags of those slow measures that are not measured in each evaluation."""
        evaluator = self.evaluator(data)
        densities = evaluator.optimality_names(gan.generator, gan.logistic) if gan.replicas > 1 else []
        return [*densities, *evaluator.quality_names()]

    def _measure(self, gan: GAN, data: DataModule, slow: bool = True) -> dict[str, Tensor]:
        evaluator = self.evaluator(data)
        with gan.evaluating():
            values = distances_with_average(evaluator, gan.generator, gan.generator_ema)
            if slow:
                values |= self._slow_measures(gan, data)
            else:
                if gan.replicas == 1:
                    values |= evaluator.optimality(gan.generator, gan.discriminator, gan.logistic, gan.game.packing)
                unknown = torch.full((gan.replicas,), torch.nan, dtype=torch.float64).squeeze()
                values |= {name: unknown.clone() for name in self._slow_names(gan, data)}
            for measure in self.measures:
                values |= measure(data.distribution, gan.generator, gan.discriminator)
        return {name: value.cpu() for name, value in values.items()}

    def total_seconds(self) -> float:
        """Return the seconds of training so far. For a resumed run, this includes the time before the interruption."""
        return self.seconds + (perf_counter() - self.started if hasattr(self, "started") else 0.0)

    def on_save_checkpoint(self, trainer: Trainer, gan: GAN, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        checkpoint["history"] = pack(self.history)

    def on_load_checkpoint(self, trainer: Trainer, gan: GAN, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        self.history = unpack(checkpoint["history"])

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.total_seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds = float(state["seconds"])


def evaluation_of(trainer: Trainer) -> Evaluation:
    """Return the `Evaluation` callback of a trainer."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, Evaluation))  # type: ignore[attr-defined]


def current_row(trainer: Trainer) -> Row | None:
    """Return the row of `Evaluation.history` that was measured at the current iteration; None if there is none."""
    return next((row for row in evaluation_of(trainer).history[-1:] if row["iteration"] == trainer.global_step), None)
