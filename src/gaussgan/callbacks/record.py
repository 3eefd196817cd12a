"""Write the record and the tables of a run when it ends, and end the run after a signal such as Ctrl-C."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.config.errors import ConfigError
from gaussgan.data.datamodule import DataModule
from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.evaluation.baseline import baselines_of
from gaussgan.evaluation.summary import group_rows, replica_rows, summary
from gaussgan.gan.divergence import PRUNED, Diverged
from gaussgan.gan.module import GAN
from gaussgan.runs import signals
from gaussgan.runs.history import write_history
from gaussgan.runs.record import GROUPS, REPLICAS, ending, identity, write_record, write_table

log = logging.getLogger(__name__)


class Ending(NamedTuple):
    """How a run ended.

    Args:
        status: "completed", "interrupted", "diverged" or "failed".
        error: the message of the error, or None.
        iterations: the number of iterations until the run ended. For a diverged run, the iteration at which the run
            diverged.
        trained: the number of iterations that were computed. For a diverged run, `trained` can be larger than
            `iterations`, because several iterations are computed in one call, and divergence is noticed after the call.
        seconds: the time that these `trained` iterations took, in seconds. If R runs were trained together as
            replicas, each gets 1 / R of the time.
    """

    status: str
    error: str | None
    iterations: int
    trained: int
    seconds: float


def record_run(
    directory: Path,
    config: Mapping[str, Any],
    data: DataModule,
    ending: Ending,
    history: Sequence[dict[str, Any]],
    diverged: Mapping[int, Diverged],
    further: Mapping[str, Tensor],
    history_file: bool = True,
) -> dict[str, Any]:
    """Write metrics.json, history.csv and, for several replicas, replicas.csv and groups.csv. Return the record.

    The returned record has NaN or infinity where metrics.json has null.

    Args:
        directory: the run's directory.
        config: the run's configuration.
        ending: how the run ended.
        data: the data of the run. If the run was trained as one of several replicas, the data of all these replicas.
        history: one row of measures for each evaluated epoch. The last row is written to metrics.json if it was
            measured at iteration `ending.iterations`.
        diverged: maps the number of each diverged replica to the error of that replica.
        further: further measures at the end of the run, such as baselines, as a dict from tags to values.
        history_file: false to write no history.csv.
    """
    iterations, replicas = ending.iterations, config["replicas"]
    row = next((row for row in history[-1:] if row["iteration"] == iterations), {})
    row = {**row, **further}
    if replicas > 1 and iterations:
        write_table(directory / REPLICAS, replica_rows(row, ending.status, diverged, config))
        write_table(directory / GROUPS, group_rows(row, diverged, config))
    if history_file:
        write_history(directory, history, {i: error.iteration for i, error in diverged.items()})
    speed = replicas * data.examples_seen(ending.trained) / ending.seconds if ending.seconds else None
    record = {
        **summary(row, diverged, [i for i, error in diverged.items() if error.status == PRUNED]),
        "status": ending.status,
        "error": ending.error,
        **identity(config),
        "replicas": replicas,
        "iterations": iterations,
        "examples": replicas * data.examples_seen(iterations),
        "seconds": round(ending.seconds, 3),
        "examples_per_second": None if speed is None else round(speed, 1),
    }
    write_record(directory, record)
    return record


class Record(Callback):
    """Write the record and the tables of a run when it ends for any reason, and stop it after a signal such as Ctrl-C.

    Iterations are computed in blocks, each in one call. After a signal, the run stops at the end of the current block.
    The callback `Checkpoints`, which Lightning calls after this callback, then saves a checkpoint from which the run
    can be resumed. All ranks of a distributed run stop at the same iteration. A second Ctrl-C ends the run immediately,
    without a new checkpoint.

    Args:
        directory: the run's directory.
        history: false to write no history.csv. The same numbers are in the checkpoints.
    """

    def __init__(self, directory: str, history: bool = True) -> None:
        self.directory, self.history_file = Path(directory), history
        self.signum: int | None = None

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        signals.install()  # replaces Lightning's signal handler, which raises an exception
        if trainer.world_size > 1:  # if one rank ended immediately, the others would wait forever
            signals.wait()

    def on_train_batch_start(self, *_: Any) -> None:
        signals.wait()

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        self.signum, stop = signals.received(), trainer.should_stop
        if trainer.world_size > 1:
            requests = torch.tensor([self.signum or 0, int(stop)], device=gan.device)
            signum, stop = trainer.strategy.reduce(requests, reduce_op="max").tolist()
            self.signum = signum or None
        trainer.should_stop = bool(stop) or self.signum is not None
        if self.signum is not None:  # a signal overrides trainer.min_epochs and trainer.min_steps
            trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None

    def on_fit_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        planned = planned_iterations(trainer)
        if self.signum is not None and trainer.global_step != planned:
            self._record(trainer, gan, "interrupted", signals.stopped_by(self.signum))
            return
        if trainer.global_step < planned and trainer.is_global_zero:
            log.info(
                "a callback or trainer.max_time ended the run, at iteration %s of %s",
                *(f"{n:,}" for n in (trainer.global_step, planned)),
            )
        self._record(trainer, gan, "completed", None)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        if isinstance(exception, Diverged):
            self._record(trainer, gan, "diverged", str(exception), exception.iteration)
        else:
            with suppress(ConfigError):  # a second error must not hide the first
                status, error = ending(exception)
                self._record(trainer, gan, status, error)

    def _record(
        self, trainer: Trainer, gan: GAN, status: str, error: str | None, iterations: int | None = None
    ) -> None:
        data, step = data_of(trainer), trainer.global_step
        if not trainer.is_global_zero or data is None:  # the parent of spawned ranks has no data
            return
        end = Ending(
            status, error, step if iterations is None else iterations, step, evaluation_of(trainer).total_seconds()
        )
        measured = end.iterations and status != "failed"  # after a failure, memory may be full
        evaluation = evaluation_of(trainer)
        further = baselines_of(data, end.iterations, evaluation.evaluator(data)) if measured else {}
        if measured and status != "diverged":
            further |= evaluation.final(gan, data)
        history = evaluation.history
        record_run(self.directory, gan.config, data, end, history, gan.diverged, further, self.history_file)
