"""Save the training of a run as a film, when the run ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytorch_lightning import Callback, Trainer

from gaussgan.callbacks.filming import film
from gaussgan.callbacks.pictures import logging_errors, snapshot_of
from gaussgan.figures.film import chosen_frames, first_of
from gaussgan.figures.film_files import save_gif, save_mp4
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.module import GAN
from gaussgan.loggers.pictures import log_picture

LOGGED = 12  # frames of the film that loggers get; TensorBoard shows few of more


class Animation(Callback):
    """Save the frames of a run as figures/training.gif, and as training.mp4 if the program ffmpeg is installed.

    The film has at most 72 frames. They were recorded by the callback `Frames`, which the run must have. Loggers get 12
    of the pictures, each at its iteration. A resumed run logs those after the iteration at which it was resumed.

    If drawing raises an error, the error is logged, and the run ends as without this callback.

    Args:
        path: the path of the gif.
        tag: the name of the pictures in the loggers.
    """

    def __init__(self, path: str, tag: str = "training") -> None:
        self.path, self.tag = Path(path), tag
        self.start = -1

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.start = trainer.global_step if trainer.ckpt_path else -1

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._make(trainer, gan, trainer.global_step)

    def on_fit_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not self.path.exists():  # the resumed run was already complete
            self._make(trainer, gan, trainer.global_step)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        if isinstance(exception, Diverged):
            self._make(trainer, gan, exception.iteration)

    def _make(self, trainer: Trainer, gan: GAN, step: int) -> None:
        if not trainer.is_global_zero:
            return
        with logging_errors(f"the film {self.path.name}"), gan.evaluating():
            run = snapshot_of(trainer, gan, step)
            if (made := film(run)) is None:
                return
            chosen = chosen_frames(made.iterations, first_of(run.history, made.iterations))
            images = [*made.images(chosen)]
            self.path.parent.mkdir(exist_ok=True)
            save_gif(images, self.path)
            save_mp4(images, self.path.with_suffix(".mp4"))
            for i in sorted({*np.linspace(0, len(images) - 1, LOGGED).round().astype(int).tolist()}):
                if (at := made.iterations[chosen[i]]) > self.start:
                    for logger in trainer.loggers:
                        log_picture(logger, self.tag, images[i], at)
