"""Save the checkpoints from which a run resumes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.data.iterations import data_of
from gaussgan.evaluation.scores import score
from gaussgan.evaluation.summary import middle
from gaussgan.gan.lightning_loop import begin_next_epoch
from gaussgan.gan.module import GAN
from gaussgan.runs.checkpoint import save_checkpoint
from gaussgan.runs.directory import BEST, LAST
from gaussgan.runs.files import copy_whole, writing


class Checkpoints(Checkpoint):
    """Save `checkpoints/last.ckpt` and `checkpoints/best.ckpt`. A file is never left half-written.

    last.ckpt is saved at the start of training, after each epoch, and when training stops within an epoch. best.ckpt is
    the checkpoint saved after the epoch with the lowest score. The score is the distance of the generator's
    distribution from the true distribution. If training stops within the first epoch, best.ckpt is a copy of last.ckpt.

    Args:
        directory: the run's directory.
        best: false to save no best.ckpt.
    """

    def __init__(self, directory: str, best: bool = True) -> None:
        self.last, self.best = Path(directory) / LAST, Path(directory) / BEST
        self.saves_best = best
        self.least = math.inf

    def on_fit_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not trainer.is_global_zero:
            return
        with writing("hydra.run.dir"):
            self.last.parent.mkdir(parents=True, exist_ok=True)
        if trainer.ckpt_path:  # a run that is resumed in another directory copies the old checkpoints to it
            source = Path(trainer.ckpt_path)
            # Copy best.ckpt before last.ckpt. If the process is killed in between, the same command works again.
            for path, target in ((source.with_name(self.best.name), self.best), (source, self.last)):
                if path.exists() and not target.exists() and (self.saves_best or target == self.last):
                    copy_whole(path, target)

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.ckpt_path:
            begin_next_epoch(trainer)
        else:
            self._save(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        stopping = trainer.should_stop or trainer.global_step == trainer.max_steps
        if stopping and data_of(trainer).loader.within_epoch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        row = evaluation_of(trainer).history[-1]
        error = middle(row, score(row), gan.diverged)
        improved = self.saves_best and error < self.least
        if data_of(trainer).loader.within_epoch:  # on_train_batch_end has saved last.ckpt
            if improved and math.isinf(self.least) and trainer.is_global_zero:  # no epoch is complete
                copy_whole(self.last, self.best)
            return
        self.least = min(error, self.least)
        self._save(trainer, improved)

    def _save(self, trainer: Trainer, improved: bool = False) -> None:
        if trainer.is_global_zero:
            with writing("hydra.run.dir"):
                self.last.parent.mkdir(exist_ok=True)  # raises an error if the run's directory was deleted
        # Save best.ckpt before last.ckpt. A run that is killed between the two resumes from the old last.ckpt, repeats
        # this epoch, and saves best.ckpt again.
        trainer.save_checkpoint(self.best if improved else self.last)
        if improved and trainer.is_global_zero:
            copy_whole(self.best, self.last)

    def state_dict(self) -> dict[str, Any]:
        return {"least": self.least}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.least = float(state["least"])


class AtomicCheckpointIO(TorchCheckpointIO):
    """A Lightning plugin that writes every checkpoint file. A local file is never left half-written.

    The plugin is used for the checkpoints of all callbacks, including Lightning's own callbacks. Each checkpoint is
    first written to a temporary file in the same directory. The temporary file is then renamed. A checkpoint whose path
    is a URL is left to Lightning.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            with writing("hydra.run.dir"):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            save_checkpoint(checkpoint, Path(path))
