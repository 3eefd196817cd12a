"""What became of a run, in its metrics.json."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any, TypeVar

from pytorch_lightning import Callback, Trainer

from gaussgan.callbacks.evaluation import Evaluation
from gaussgan.config import one_line
from gaussgan.data import data_of, planned_iterations
from gaussgan.gan import GAN, Diverged
from gaussgan.metrics import gaussian_w2
from gaussgan.runs import write_record

C = TypeVar("C", bound=Callback)


class Record(Callback):
    """metrics.json, however the run ends; and Ctrl-C or SIGTERM, which end it after the block that is under way.

    A second Ctrl-C ends it at once.
    """

    def __init__(self, directory: str, seed: int) -> None:
        self.directory = Path(directory)
        self.seed = seed
        self.signum: int | None = None

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        def stop(signum: int, _: Any) -> None:
            self.signum = signum
            trainer.should_stop = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):  # the trainer restores its predecessors
                signal.signal(signum, stop)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.world_size > 1:  # all ranks stop after the same block
            trainer.should_stop = trainer.strategy.reduce_boolean_decision(trainer.should_stop, all=False)

    def on_fit_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if self.signum is None or trainer.global_step == planned_iterations(trainer):
            self._write(trainer, gan, "completed", None, trainer.global_step)
        else:
            stopped_by = f"stopped by {signal.Signals(self.signum).name}"
            self._write(trainer, gan, "interrupted", stopped_by, trainer.global_step)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        if isinstance(exception, Diverged):
            self._write(trainer, gan, "diverged", str(exception), exception.iteration)
        else:
            status = "interrupted" if isinstance(exception, KeyboardInterrupt) else "failed"
            self._write(trainer, gan, status, one_line(exception), trainer.global_step)

    def _write(self, trainer: Trainer, gan: GAN, status: str, error: str | None, iterations: int) -> None:
        if not trainer.is_global_zero:
            return
        data = data_of(trainer)
        truth, examples = data.distribution, data.examples_seen(iterations)
        seconds = find(trainer, Evaluation).total_seconds()
        # What was measured elsewhere than at the end is not the end's: an exception leaves no result.
        row = gan.history[-1] if gan.history and gan.history[-1]["iteration"] == iterations else {}
        record = {
            **row,
            "status": status,
            "error": error,
            "seed": self.seed,
            "replicas": 1,
            "iterations": iterations,
            "examples": examples,
            "seconds": round(seconds, 3),
            "examples_per_second": round(examples / seconds, 1) if seconds else None,
            "mle/w2": gaussian_w2(truth.mean, truth.cov, *data.moments(iterations)).item(),
        }
        write_record(self.directory, record)


def find(trainer: Trainer, kind: type[C]) -> C:
    """The trainer's callback of a kind."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, kind))  # type: ignore[attr-defined]
