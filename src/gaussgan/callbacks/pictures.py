"""Draw a picture of a run several times during training and at the end of training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer

from gaussgan.callbacks.drawing import Picture
from gaussgan.callbacks.epochs import passes
from gaussgan.callbacks.evaluation import current_row, evaluation_of
from gaussgan.callbacks.frames import frames_of
from gaussgan.callbacks.snapshot import Snapshot
from gaussgan.callbacks.trajectory import trajectory_of
from gaussgan.config.errors import shortage
from gaussgan.data.iterations import data_of
from gaussgan.figures import render, save
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.module import GAN
from gaussgan.loggers.log import log_numbers
from gaussgan.loggers.pictures import log_picture

log = logging.getLogger(__name__)


class Pictures(Callback):
    """Draw a picture after epochs 1, 10, 100, … and at the end of a run. Log each picture, and save the last picture.

    If such an epoch is not evaluated, the picture is drawn after the next evaluated epoch.

    If drawing a picture raises an error, the error is logged and the run goes on.

    Args:
        draw: a function that maps a `Snapshot`, the state of a run, to a `Picture`, or to None if there is nothing to
            draw.
        tag: the name of the picture in the loggers.
        path: the path of the file to which the last picture is saved.
    """

    def __init__(self, draw: Callable[[Snapshot], Picture | None], tag: str, path: str) -> None:
        self.draw, self.tag, self.path = draw, tag, Path(path)
        self.image: Any = None
        self.drawn_at: int | None = None

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        history = evaluation_of(trainer).history
        if not trainer.loggers or current_row(trainer) is None:  # nobody would see the picture, or it has no last point
            return
        if passes(history, lambda epoch: len(str(epoch)) if epoch else 0):
            self._try(self._draw, trainer, gan, trainer.global_step)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._try(self._save, trainer, gan, trainer.global_step)

    def on_fit_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not self.path.exists():  # the resumed run was already complete
            self._try(self._save, trainer, gan, trainer.global_step)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        if isinstance(exception, Diverged):
            self._try(self._save, trainer, gan, exception.iteration)

    def _try(self, action: Callable[[Trainer, GAN, int], None], trainer: Trainer, gan: GAN, step: int) -> None:
        if trainer.is_global_zero:
            with logging_errors(f"the picture {self.tag} at iteration {step}"):
                action(trainer, gan, step)

    def _draw(self, trainer: Trainer, gan: GAN, step: int) -> None:
        self.drawn_at = step
        with gan.evaluating():
            picture = self.draw(snapshot_of(trainer, gan, step))
        self.image = None if picture is None else render(picture.figure)
        if picture is None:
            return
        log_numbers(trainer.loggers, picture.scalars, step)
        for logger in trainer.loggers:
            log_picture(logger, self.tag, self.image, step)

    def _save(self, trainer: Trainer, gan: GAN, step: int) -> None:
        if self.drawn_at != step:
            self._draw(trainer, gan, step)
        if self.image is not None:
            save(self.image, self.path)


def snapshot_of(trainer: Trainer, gan: GAN, step: int) -> Snapshot:
    """Return the state of a trainer's run after `step` iterations."""
    data, evaluation, recorder = data_of(trainer), evaluation_of(trainer), frames_of(trainer)
    frames = {} if recorder is None else recorder.packed()
    evaluator = evaluation.evaluator(data)
    return Snapshot(gan, data, evaluator, step, evaluation.history, trajectory_of(trainer), frames)


@contextmanager
def logging_errors(what: str) -> Iterator[None]:
    """Log an error of a block that draws, so that the run goes on. `what` says what is drawn."""
    try:
        yield
    except Exception as error:
        line = shortage(error)
        log.error("%s could not be drawn%s", what, f": {line}" if line else "", exc_info=line is None)
