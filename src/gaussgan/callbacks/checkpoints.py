"""Save the checkpoints from which a run resumes."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from gaussgan.callbacks.evaluation import current_row
from gaussgan.config.errors import ConfigError
from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.evaluation.scores import score
from gaussgan.evaluation.summary import middle
from gaussgan.gan.lightning_loop import begin_next_epoch
from gaussgan.gan.module import GAN
from gaussgan.runs.checkpoint import checkpoint_bytes, save_checkpoint
from gaussgan.runs.directory import BEST, LAST
from gaussgan.runs.files import copy_whole, write_whole, writing

LARGE = 1_000_000  # the checkpoint of a run with more parameters is not kept in memory but saved at once


class Checkpoints(Checkpoint):
    """Save `checkpoints/last.ckpt` and `checkpoints/best.ckpt`. A file is never left half-written.

    last.ckpt is saved at the start of training, every `seconds` seconds, and when training stops. best.ckpt is the
    checkpoint of the evaluated epoch with the lowest score. The score is the distance of the generator's distribution
    from the true distribution. A run that is stopped elsewhere, by a signal or by its time, is evaluated there too;
    this score counts only if there is no other.

    Between two saves, the checkpoint of the last evaluated epoch and the best checkpoint are kept in memory. They are
    saved together, best.ckpt first, also if the run diverges or fails. If the process is killed, the run resumes from
    the older last.ckpt, repeats the lost epochs, and finds the same best checkpoint again.

    Args:
        directory: the run's directory.
        best: false to save no best.ckpt.
        seconds: the time between two saves. 0 saves after each evaluated epoch.
    """

    def __init__(self, directory: str, best: bool = True, seconds: float = 10.0) -> None:
        self.last, self.best = Path(directory) / LAST, Path(directory) / BEST
        self.saves_best, self.seconds = best, seconds
        self.least = math.inf
        self.kept: dict[Path, bytes] = {}  # the contents of files that are not saved yet
        self.saved_at, self.saved_step = -math.inf, -1

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
            self.saved_at, self.saved_step = perf_counter(), trainer.global_step
        else:
            self._save(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        late = self._is_late(trainer)  # all ranks must ask
        stopping = trainer.should_stop or trainer.global_step == trainer.max_steps
        if data_of(trainer).loader.within_epoch and (stopping or late):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if data_of(trainer).loader.within_epoch:  # on_train_batch_end has saved last.ckpt
            return
        late = self._is_late(trainer)
        stopping = trainer.should_stop or trainer.global_step >= planned_iterations(trainer)
        error = self._error(trainer, gan)
        if error is None:
            if stopping or late:
                self._save(trainer)
            return
        improved = self.saves_best and error < self.least
        first = improved and math.isinf(self.least)  # once best.ckpt exists, other callbacks do not choose its name
        self.least = min(error, self.least)
        if first or stopping or late or self.seconds == 0 or self._is_large(gan):
            self._save(trainer, improved)
        else:
            self._keep(trainer, improved)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if self.saved_step != trainer.global_step:  # another callback ended the run after on_train_epoch_end
            self._save(trainer)
        error = self._error(trainer, gan)
        if self.saves_best and trainer.is_global_zero and error is not None and error < self.least == math.inf:
            copy_whole(self.last, self.best)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        with suppress(ConfigError):  # a second error must not hide the first
            self._write()

    def _error(self, trainer: Trainer, gan: GAN) -> float | None:
        """Return the score at the current iteration; None if the run was not evaluated there."""
        row = current_row(trainer)
        return None if row is None else middle(row, score(row), gan.diverged)

    def _is_late(self, trainer: Trainer) -> bool:
        """Return whether it is time to save. All ranks of a distributed run get the same answer."""
        late = 0 < self.seconds < perf_counter() - self.saved_at
        return trainer.strategy.reduce_boolean_decision(late, all=False)

    def _is_large(self, gan: GAN) -> bool:
        return gan.generator_player.theta.numel() + gan.discriminator_player.theta.numel() > LARGE

    def _keep(self, trainer: Trainer, improved: bool) -> None:
        """Keep the current checkpoint in memory, as the content of last.ckpt, and of best.ckpt if it is the best."""

        def keep(content: bytes) -> None:
            self.kept |= {self.last: content, **({self.best: content} if improved else {})}

        trainer.save_checkpoint(self.last, storage_options=keep)

    def _save(self, trainer: Trainer, improved: bool = False) -> None:
        """Save the current checkpoint as last.ckpt, and also as best.ckpt if it is the best."""
        if trainer.is_global_zero:
            with writing("hydra.run.dir"):
                self.last.parent.mkdir(exist_ok=True)  # raises an error if the run's directory was deleted
        # Save best.ckpt before last.ckpt. A run that is killed between the two resumes from the old last.ckpt, repeats
        # the lost epochs, and saves best.ckpt again.
        for path in (self.last, *([self.best] if improved else [])):
            self.kept.pop(path, None)
        self._write()
        trainer.save_checkpoint(self.best if improved else self.last)
        if improved and trainer.is_global_zero:
            copy_whole(self.best, self.last)
        self.saved_at, self.saved_step = perf_counter(), trainer.global_step

    def _write(self) -> None:
        """Write the files whose contents are kept in memory, best.ckpt first."""
        for path in [path for path in (self.best, self.last) if path in self.kept]:
            write_whole(path, self.kept.pop(path))

    def state_dict(self) -> dict[str, Any]:
        return {"least": self.least}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.least = float(state["least"])


class AtomicCheckpointIO(TorchCheckpointIO):
    """A Lightning plugin that writes every checkpoint file. A local file is never left half-written.

    The plugin is used for the checkpoints of all callbacks, including Lightning's own callbacks. Each checkpoint is
    first written to a temporary file in the same directory. The temporary file is then renamed. A checkpoint whose path
    is a URL is left to Lightning. If `storage_options` is a function, it gets the content of the file, and nothing is
    written.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if callable(storage_options):
            storage_options(checkpoint_bytes(checkpoint))
        elif storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            with writing("hydra.run.dir"):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            save_checkpoint(checkpoint, Path(path))
