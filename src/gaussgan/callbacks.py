"""What happens around the training loop: evaluation, pictures, checkpoints and the run's record."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import TensorBoardLogger

from gaussgan import runs
from gaussgan.config import one_line, recipe
from gaussgan.data import GaussianDataModule
from gaussgan.figures import Cloud, game_figure, render
from gaussgan.gan import GAN, Diverged
from gaussgan.metrics import distances, gaussian_w2, generator_moments
from gaussgan.streams import normal, stream

VALIDATION_SAMPLES = 10_000  # of a generator whose law has no closed form
PICTURED = 100  # examples of either kind in a picture


class Evaluation(Callback):
    """After each epoch: the distance to the law, the epoch's means and the speed, to the loggers and `gan.history`.

    It also keeps the time that training took, in seconds, over interruptions; and starts TensorBoard's HPARAMS.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        data = trainer.datamodule
        self.latents = validation_latents(data, gan)
        self.started = self.epoch_started = perf_counter()
        self.epoch_start = trainer.global_step
        error = {"val/w2": distances(data.distribution, gan.generator, self.latents)["val/w2"].item()}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(recipe(gan.config), error, step=trainer.global_step)
                logger.experiment.add_text("config", f"```yaml\n{OmegaConf.to_yaml(gan.config)}```")
            else:
                logger.log_hyperparams(recipe(gan.config))

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        data, step, now = trainer.datamodule, trainer.global_step, perf_counter()
        metrics = {**gan.epoch_means(), **distances(data.distribution, gan.generator, self.latents)}
        for name in ("val/w2", "val/kl"):  # for callbacks that monitor, such as EarlyStopping
            gan.log(name, metrics[name], logger=False)
        seen = data.examples_seen(step) - data.examples_seen(self.epoch_start)
        row = {name: value.item() for name, value in metrics.items()}
        row["perf/examples_per_second"] = seen / (now - self.epoch_started)
        for logger in trainer.loggers:
            logger.log_metrics(row, step=step)
        gan.history.append({"iteration": step, "epoch": trainer.current_epoch + 1, **row})
        self.epoch_started, self.epoch_start = now, step

    def total_seconds(self) -> float:
        """The time that training took up to now."""
        return self.seconds + (perf_counter() - self.started if hasattr(self, "started") else 0.0)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.seconds = self.total_seconds()
        del self.started

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.total_seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds = state["seconds"]


class Pictures(Callback):
    """The game's figure: to TensorBoard after epochs 1, 10, 100, … and at the end; the last also as figures/final.png."""

    def __init__(self, directory: str) -> None:
        self.path = Path(directory) / "figures" / "final.png"
        self.drawn_at: int | None = None

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if math.log10(trainer.current_epoch + 1).is_integer() and trainer.is_global_zero:
            self._draw(trainer, gan)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.is_global_zero:
            self._save(trainer, gan)

    def on_fit_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if trainer.is_global_zero and not self.path.exists():  # a resumed run that had nothing left to do
            self._save(trainer, gan)

    def on_exception(self, trainer: Trainer, gan: GAN, exception: BaseException) -> None:  # type: ignore[override]
        if trainer.is_global_zero and isinstance(exception, Diverged):
            self._save(trainer, gan)

    def _draw(self, trainer: Trainer, gan: GAN) -> None:
        self.image, self.drawn_at = picture(gan, trainer.datamodule), trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("game", self.image, self.drawn_at, dataformats="HWC")

    def _save(self, trainer: Trainer, gan: GAN) -> None:
        if self.drawn_at != trainer.global_step:
            self._draw(trainer, gan)
        self.path.parent.mkdir(exist_ok=True)
        Image.fromarray(self.image).save(self.path)


class Checkpoints(Checkpoint):
    """`checkpoints/last.ckpt` at the start, after each epoch, and wherever training stops within one;
    `checkpoints/best.ckpt` after the epoch with the least `val/w2`. Either is replaced whole or not at all."""

    def __init__(self, directory: str) -> None:
        self.last, self.best = Path(directory) / runs.LAST, Path(directory) / runs.BEST
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
        loader = trainer.train_dataloader
        stopping = trainer.should_stop or trainer.global_step == trainer.max_steps
        if stopping and loader.position < loader.iterations:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        loader = trainer.train_dataloader
        if loader.position < loader.iterations:
            return
        error = gan.history[-1]["val/w2"]
        improved = error < self.least
        self.least = min(error, self.least)
        self._save(trainer)
        if improved and trainer.is_global_zero:
            _copy(self.last, self.best)

    def _save(self, trainer: Trainer) -> None:
        temporary = self.last.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            os.replace(temporary, self.last)

    def state_dict(self) -> dict[str, Any]:
        return {"least": self.least}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.least = state["least"]


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
        if self.signum is None:
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
        data: GaussianDataModule = trainer.datamodule
        truth, examples = data.distribution, data.examples_seen(iterations)
        seconds = next(c for c in trainer.callbacks if isinstance(c, Evaluation)).total_seconds()
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
        runs.write_record(self.directory, record)


def picture(gan: GAN, data: GaussianDataModule) -> np.ndarray:
    """The game's figure of a run as it stands, as an image."""
    law, device, dtype = data.distribution, gan.device, next(gan.parameters()).dtype
    latents = normal(PICTURED, data.latent_dim, generator=stream(data.seed, "picture")).to(device, dtype)
    mean, cov = (moment.cpu() for moment in generator_moments(gan.generator, validation_latents(data, gan)))
    iterations = gan.history[-1]["iteration"] if gan.history else 0
    floor = gaussian_w2(law.mean, law.cov, *data.moments(int(iterations))).item()
    with torch.no_grad():
        figure = game_figure(
            real=Cloud(data.examples()[:PICTURED], law.mean, law.cov),
            fake=Cloud(gan.generator(latents).float().cpu(), mean, cov),
            probability=lambda x: gan.discriminator(x.to(device, dtype)).sigmoid().float().cpu(),
            history=gan.history,
            floor=floor,
            title=f"iteration {iterations:,}: W₂ = {gaussian_w2(law.mean, law.cov, mean, cov):.3f}",
        )
    return render(figure)


def validation_latents(data: GaussianDataModule, gan: GAN) -> torch.Tensor:
    """The latents on which a generator without a closed form is evaluated, the same after every epoch."""
    latents = normal(VALIDATION_SAMPLES, data.latent_dim, generator=stream(data.seed, "validation"))
    return latents.to(gan.device, next(gan.parameters()).dtype)


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_suffix(".tmp")
    shutil.copyfile(source, temporary)
    os.replace(temporary, target)
