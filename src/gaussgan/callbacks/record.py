"""What became of a run, in its metrics.json."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.config.errors import ConfigError
from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.evaluation.baseline import mle_w2
from gaussgan.evaluation.summary import replica_rows, summary
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.module import GAN
from gaussgan.runs import signals
from gaussgan.runs.directory import ending, identity, write_record, write_replicas

log = logging.getLogger(__name__)


class Record(Callback):
    """metrics.json, and replicas.csv where there are several, however the run ends; and the signals that end it,
    after the block that is under way.

    A signal is only noted when it comes, and acted upon after a block, before `Checkpoints` looks: so whatever is
    recorded as interrupted can be resumed. Ranks of a distributed run stop together. A second Ctrl-C ends it at once.
    """

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        self.signum: int | None = None

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        signals.install()  # over Lightning's own handler, which stops by an exception
        if trainer.world_size > 1:  # a rank that ended at once would leave the others waiting
            signals.wait()

    def on_train_batch_start(self, *_: Any) -> None:
        signals.wait()

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        self.signum, stop = signals.received(), trainer.should_stop
        if trainer.world_size > 1:
            wishes = torch.tensor([self.signum or 0, int(stop)], device=gan.device)
            signum, stop = trainer.strategy.reduce(wishes, reduce_op="max").tolist()
            self.signum = signum or None
        trainer.should_stop = bool(stop) or self.signum is not None
        if self.signum is not None:  # a person's wish goes over trainer.min_epochs and trainer.min_steps
            trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None

    def on_fit_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        planned = planned_iterations(trainer)
        if self.signum is None or trainer.global_step == planned:
            if trainer.global_step < planned and trainer.is_global_zero:
                log.info(
                    "a callback or trainer.max_time ended the run, at iteration %s of %s",
                    *(f"{n:,}" for n in (trainer.global_step, planned)),
                )
            self._write(trainer, gan, "completed", None, trainer.global_step)
        else:
            stopped_by = f"stopped by {signal.Signals(self.signum).name}"
            self._write(trainer, gan, "interrupted", stopped_by, trainer.global_step)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        if isinstance(exception, Diverged):
            self._write(trainer, gan, "diverged", str(exception), exception.iteration)
        else:
            with suppress(ConfigError):  # the error is what a person should see
                self._write(trainer, gan, **ending(exception), iterations=trainer.global_step)

    def _write(self, trainer: Trainer, gan: GAN, status: str, error: str | None, iterations: int) -> None:
        if not trainer.is_global_zero:
            return
        data = data_of(trainer)
        if data is None:  # the parent of spawned processes, the first of which has written what it knows
            return
        seconds = evaluation_of(trainer).total_seconds()
        # What was measured elsewhere than at the end is not the end's: an exception leaves no result.
        row = last_row(gan.history, iterations)
        measured = iterations and status != "failed"  # what failed might be memory
        if measured and (mle := mle_w2(data, iterations)) is not None:
            row = {**row, "mle/w2": mle}
        if gan.replicas > 1 and iterations:
            write_replicas(self.directory, replica_rows(row, status, gan.diverged, gan.config))
        numbers = summary(row, gan.diverged)
        examples = gan.replicas * data.examples_seen(iterations)
        done = gan.replicas * data.examples_seen(trainer.global_step)
        write_record(self.directory, record_of(gan.config, numbers, status, error, iterations, examples, seconds, done))


def last_row(history: Sequence[dict[str, Any]], iterations: int) -> dict[str, Any]:
    """The last row of a run that came so far, if it is of its end."""
    return history[-1] if history and history[-1]["iteration"] == iterations else {}


def record_of(
    config: Mapping[str, Any],
    numbers: Mapping[str, float],
    status: str,
    error: str | None,
    iterations: int,
    examples: int,
    seconds: float,
    done: float,
) -> dict[str, Any]:
    """What metrics.json says of a run.

    Args:
        done: the examples that the seconds were spent on: of a run that diverged, all those of its last block.
    """
    return {
        **numbers,
        "status": status,
        "error": error,
        **identity(config),
        "replicas": config["replicas"],
        "iterations": iterations,
        "examples": examples,
        "seconds": round(seconds, 3),
        "examples_per_second": round(done / seconds, 1) if seconds else None,
    }
