"""Keep checkpoints of a run with replicas. After training, they are split into the checkpoints of single runs."""

from __future__ import annotations

from pathlib import Path

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.data.iterations import data_of
from gaussgan.evaluation.evaluator import score
from gaussgan.gan.module import GAN
from gaussgan.runs.directory import LAST
from gaussgan.runs.files import copy_whole


class KeptEpochs(Checkpoint):
    """Keep the checkpoints that are needed to split a run with replicas into single runs.

    For each replica, the checkpoint of the epoch with the replica's lowest score is kept. For each replica that
    diverged, the last checkpoint before it diverged is also kept. Each kept checkpoint is a copy of last.ckpt, named
    ITERATION.ckpt. The callback `Checkpoints` saves last.ckpt, and must therefore be called before this callback.

    Args:
        directory: the directory of the run with replicas.
    """

    def __init__(self, directory: str) -> None:
        self.file = Path(directory) / LAST
        self.best: dict[int, Path] = {}  # replica number → file
        self.last: dict[int, Path] = {}  # replica number → file, for the replicas that diverged

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.smallest = torch.full((gan.replicas,), torch.inf, dtype=torch.float64)
        self.newest = self._copy(trainer)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._note_diverged(gan)
        self.newest = self._copy(trainer)
        row = evaluation_of(trainer).history[-1]
        values = row[score(row)]
        improved = values < self.smallest
        if data_of(trainer).loader.within_epoch:
            improved &= self.smallest.isinf()
        self.smallest = torch.where(improved, values, self.smallest)
        self.best |= dict.fromkeys(improved.nonzero().flatten().tolist(), self.newest)
        for path in {*self.file.parent.glob("[0-9]*.ckpt")} - {self.newest, *self.best.values(), *self.last.values()}:
            path.unlink()

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        self._note_diverged(gan)

    def _note_diverged(self, gan: GAN) -> None:
        self.last |= dict.fromkeys(gan.diverged.keys() - self.last.keys(), self.newest)

    def _copy(self, trainer: Trainer) -> Path:
        return copy_whole(self.file, self.file.with_name(f"{trainer.global_step}.ckpt"))
