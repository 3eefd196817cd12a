"""Record the state of a run at log-spaced iterations, so that its training can be watched afterwards."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from gaussgan.callbacks.camera import Camera
from gaussgan.data.datamodule import DataModule
from gaussgan.data.intervals import PER_OCTAVE, log_spaced
from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.module import GAN
from gaussgan.runs.frames import FIXED, PER_FRAME, check_frames

FEWER = 2  # with large frames, every second one of them
LARGE = 20_000  # numbers in a large frame


class Frames(Callback):
    """Record frames of a run; see `Camera`. Each checkpoint holds those before it, as checkpoint["frames"].

    Frames are taken before the first iteration, after the iterations round(2^(j/6)) for j = 0, 1, 2, …, where blocks of
    iterations always end, and at the current end of the run. Frames of more than 20,000 numbers are only taken after
    the iterations round(2^(j/3)). These iterations do not depend on the length of the run. If a run goes on, the frame
    at its earlier end is dropped, unless it is at one of these iterations. So a run that was stopped and resumed
    records the same as one that was not.
    """

    def __init__(self) -> None:
        self.camera: Camera | None = None
        self.iterations: list[int] = []
        self.taken: list[dict[str, Tensor]] = []
        self.fixed: dict[str, Tensor] | None = None
        self.per_octave = PER_OCTAVE

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            self.camera = Camera(gan, data_of(trainer), self.fixed)
            self.fixed = self.camera.fixed
            if not self.iterations:
                self._record(gan, trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if trainer.is_global_zero and self._is_mark(trainer.global_step):
            self._record(gan, trainer.global_step)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            self._record(gan, trainer.global_step)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        if isinstance(exception, Diverged) and trainer.is_global_zero:
            self._record(gan, exception.iteration)

    def on_save_checkpoint(self, trainer: Trainer, gan: GAN, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        if self.camera is None:  # not rank 0
            return
        if trainer.should_stop or trainer.global_step >= planned_iterations(trainer):
            self._record(gan, trainer.global_step)
        checkpoint["frames"] = self.packed()

    def on_load_checkpoint(self, trainer: Trainer, gan: GAN, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        if (frames := checkpoint.get("frames")) is None:
            return
        self.iterations = frames["iterations"].tolist()
        self.taken = [dict(zip(PER_FRAME, rows, strict=True)) for rows in zip(*map(frames.get, PER_FRAME), strict=True)]
        self.fixed = {key: frames[key] for key in FIXED}
        self.per_octave = self._octave()

    def packed(self) -> dict[str, Tensor]:
        """Return the T frames so far: "iterations", [T], what frames share, and stacks with a row for each frame."""
        if not self.taken:
            return {}
        stacks = {key: torch.stack([frame[key] for frame in self.taken]) for key in PER_FRAME}
        return {"iterations": torch.tensor(self.iterations, dtype=torch.int64), **(self.fixed or {}), **stacks}

    def check(self, frames: dict[str, Tensor], done: int, gan: GAN, data: DataModule) -> None:
        """Check that frames of a checkpoint have the form of those that this run records.

        Args:
            frames: the entry "frames" of the checkpoint.
            done: the number of finished iterations.
            gan: networks like those of this run, with players.
            data: the data of this run.

        Raises:
            ValueError: for the first entry that does not fit.
        """
        camera = Camera(gan, data)
        frame = {key: value.unsqueeze(0) for key, value in camera.take(gan).items()}
        check_frames(frames, done, {"iterations": torch.zeros(1, dtype=torch.int64), **camera.fixed, **frame})

    def _record(self, gan: GAN, iteration: int) -> None:
        """Take a frame. Drop an earlier end of the run."""
        assert self.camera is not None
        if self.iterations and self.iterations[-1] >= iteration:
            return
        if len(self.iterations) > 1 and not self._is_mark(self.iterations[-1]):
            self.iterations.pop()
            self.taken.pop()
        self.iterations.append(iteration)
        self.taken.append(self.camera.take(gan))
        self.per_octave = self._octave()

    def _octave(self) -> int:
        large = bool(self.taken) and sum(value.numel() for value in self.taken[0].values()) > LARGE
        return PER_OCTAVE // FEWER if large else PER_OCTAVE

    def _is_mark(self, iteration: int) -> bool:
        return iteration == 0 or bool(log_spaced(iteration, iteration, self.per_octave))


def frames_of(trainer: Trainer) -> Frames | None:
    """Return the `Frames` callback of a trainer; None if there is none."""
    return next((each for each in trainer.callbacks if isinstance(each, Frames)), None)  # type: ignore[attr-defined]
