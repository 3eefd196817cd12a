"""What a run can go on from, whatever becomes of its process."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint

from gaussgan.aggregate import middle
from gaussgan.data import data_of
from gaussgan.directory import BEST, LAST
from gaussgan.gan import GAN
from gaussgan.validation import score


class Checkpoints(Checkpoint):
    """`checkpoints/last.ckpt` at the start, after each epoch, and wherever training stops within one;
    `checkpoints/best.ckpt` where `val/w2` (or what stands for it, by `score`) was least after an epoch, or where a run
    ends within its first. Either is replaced whole or not at all."""

    def __init__(self, directory: str) -> None:
        self.last, self.best = Path(directory) / LAST, Path(directory) / BEST
        self.least = math.inf

    def on_fit_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        """A run that goes on in another directory takes its checkpoints along."""
        if trainer.ckpt_path and trainer.is_global_zero:
            source = Path(trainer.ckpt_path)
            for path, target in ((source, self.last), (source.with_name(self.best.name), self.best)):
                if path.exists() and not target.exists():
                    target.parent.mkdir(exist_ok=True)
                    _copy(path, target)

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not trainer.ckpt_path:
            self._save(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        stopping = trainer.should_stop or trainer.global_step == trainer.max_steps
        if stopping and data_of(trainer).loader.within_epoch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        row = gan.history[-1]
        error = middle(row, score(row), gan.diverged)
        improved = error < self.least
        if data_of(trainer).loader.within_epoch:  # it is saved, as what a run that never stopped would go on from
            if improved and math.isinf(self.least) and trainer.is_global_zero:  # it is the first
                _copy(self.last, self.best)
            return
        self.least = min(error, self.least)
        self._save(trainer, improved)

    def _save(self, trainer: Trainer, improved: bool = False) -> None:
        temporary = self.last.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            if improved:  # first: a run that dies in between resumes from before this epoch, and improves again
                _copy(temporary, self.best)
            temporary.replace(self.last)

    def state_dict(self) -> dict[str, Any]:
        return {"least": self.least}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.least = float(state["least"])


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(f"{target.name}.tmp")
    shutil.copyfile(source, temporary)
    temporary.replace(target)
