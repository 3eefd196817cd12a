"""Keep checkpoints of a run with replicas. After training, they are split into the checkpoints of single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint

from gaussgan.callbacks.evaluation import current_row, evaluation_of
from gaussgan.data.iterations import data_of
from gaussgan.evaluation.scores import score
from gaussgan.gan.module import GAN
from gaussgan.runs.directory import LAST
from gaussgan.runs.files import copy_whole


def best_iterations(history: Sequence[Mapping[str, Any]], epoch: int) -> dict[int, int]:
    """Return the iteration of the best checkpoint of each replica, as a dict from replica numbers to iterations.

    It is the end of the epoch with the replica's lowest score; of equal scores the first counts. A row that was
    measured within an epoch counts only if the replica has no finite score before it. A replica without a finite score
    is left out.

    Args:
        history: one row of measures for each evaluated epoch, with tensors [R].
        epoch: the number of iterations in an epoch.
    """
    best: dict[int, int] = {}
    smallest = torch.tensor(torch.inf, dtype=torch.float64)
    for row in history:
        values = row[score(row)]
        improved = values < smallest
        if row["iteration"] % epoch:
            improved &= smallest.isinf()
        smallest = torch.where(improved, values, smallest)
        best |= dict.fromkeys(improved.nonzero().flatten().tolist(), int(row["iteration"]))
    return best


class KeptEpochs(Checkpoint):
    """Keep the checkpoints that are needed to split a run with replicas into single runs.

    For each replica, the checkpoint of the evaluated epoch with the replica's lowest score is kept. For each replica
    that diverged, the last checkpoint before it diverged is also kept. Each kept checkpoint is a copy of last.ckpt,
    named ITERATION.ckpt. The callback `Checkpoints` saves last.ckpt after each evaluated epoch, and must therefore have
    seconds=0 and be called before this callback.

    Which files are kept follows from the history and the diverged replicas, which are in last.ckpt. So a run that was
    killed at any time goes on with the right files.

    Args:
        directory: the directory of the run with replicas.
    """

    def __init__(self, directory: str) -> None:
        self.file = Path(directory) / LAST
        self.best: dict[int, Path] = {}  # replica number → file
        self.last: dict[int, Path] = {}  # replica number → file, for the replicas that diverged

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self._keep(trainer, gan)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if current_row(trainer) is not None:  # then `Checkpoints` has saved last.ckpt
            self._keep(trainer, gan)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        self._note_diverged(trainer, gan)

    def _keep(self, trainer: Trainer, gan: GAN) -> None:
        newest = copy_whole(self.file, self._path(trainer.global_step))
        best = best_iterations(evaluation_of(trainer).history, data_of(trainer).iterations)
        self.best = {i: self._path(step) for i, step in best.items()}
        self._note_diverged(trainer, gan)
        latest = self._path(max(self._epoch_ends(trainer)))
        for path in {*self._files()} - {newest, latest, *self.best.values(), *self.last.values()}:
            path.unlink()

    def _note_diverged(self, trainer: Trainer, gan: GAN) -> None:
        ends = self._epoch_ends(trainer)
        before = {i: max(step for step in ends if step < error.iteration) for i, error in gan.diverged.items()}
        self.last = {i: self._path(step) for i, step in before.items()}

    def _epoch_ends(self, trainer: Trainer) -> list[int]:
        """Return the iterations of the kept checkpoints that were saved at the end of an epoch, or before training."""
        steps = [int(path.stem) for path in self._files()]
        return [step for step in steps if step % data_of(trainer).iterations == 0]

    def _files(self) -> list[Path]:
        return [*self.file.parent.glob("[0-9]*.ckpt")]

    def _path(self, step: int) -> Path:
        return self.file.with_name(f"{step}.ckpt")
