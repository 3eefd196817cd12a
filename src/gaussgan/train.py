"""Train one run from its composed configuration, and write its files."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from gaussgan.callbacks.check import uncalled
from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.data.distributions import name_of
from gaussgan.data.iterations import iteration_limits
from gaussgan.evaluation.evaluator import score
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.module import GAN
from gaussgan.loggers.make import closing
from gaussgan.networks.moments import has_closed_form
from gaussgan.runs.directory import RECORD, claim, is_first_process, read_record, record_end
from gaussgan.runs.signals import exit_code, noting
from gaussgan.runs.table import print_run
from gaussgan.setup.assemble import assemble

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float:
    """Train the run that a configuration describes, write its files, and return its score; see `final_score`.

    In a distributed run, every rank except rank 0 returns NaN.

    Raises:
        ConfigError: when the configuration is wrong, or when the run's directory cannot be used.
        SystemExit: when a signal ended the run. The exit code is 128 + the signal's number.
    """
    freeze_once()
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    directory = Path(cfg.run_dir)
    with noting(), claim(directory, cfg.ckpt_path) if is_first_process() else nullcontext():
        try:
            check(cfg)
            gan, data, trainer = assemble(cfg)
            fit(gan, data, trainer, cfg.ckpt_path)
            return conclude(gan, data, trainer, directory) if trainer.is_global_zero else math.nan
        except BaseException as error:
            if is_first_process():
                with suppress(ConfigError):  # the user should see the first error, not this one
                    record_end(directory, error, cfg)
            raise


def fit(gan: GAN, data: GaussianDataModule, trainer: Trainer, ckpt_path: str | None = None) -> None:
    """Train an assembled run. If the run diverges, no error is raised. In every case the callbacks write its files.

    Args:
        ckpt_path: the checkpoint from which the run is resumed; None for a new run.

    Raises:
        ConfigError: when a callback or a logger is configured wrongly.
    """
    if is_first_process():
        Path(gan.config["run_dir"], RECORD).unlink(missing_ok=True)  # an earlier record is out of date from here on
        log.info("data ~ %s", name_of(data.distribution))
        if hooks := uncalled(trainer.callbacks):  # type: ignore[attr-defined]
            log.warning("these hooks are never called in this template: %s", ", ".join(hooks))
        limits = iteration_limits(trainer, data)
        if limits.get("max_epochs", math.inf) < limits.get("max_steps", 0):
            log.info(
                "trainer.max_epochs=%d ends the run at iteration %d, before trainer.max_steps=%d",
                *(trainer.max_epochs, limits["max_epochs"], limits["max_steps"]),
            )
    try:
        with suppress(Diverged), closing(trainer.loggers):
            trainer.fit(gan, data, ckpt_path=ckpt_path, weights_only=True)
    except MisconfigurationException as error:  # from a callback or a logger, before training
        raise ConfigError(one_line(error)) from error


def freeze_once() -> None:
    """Exclude all objects that exist now from garbage collection. Most of these objects belong to imported modules.

    Otherwise each full garbage collection would pause a run for 1/3 s. Call this function before a run is assembled. A
    second call does nothing.
    """
    if not gc.get_freeze_count():
        gc.freeze()


def conclude(gan: GAN, data: GaussianDataModule, trainer: Trainer, directory: Path) -> float:
    """Print the table of a run that has ended, and return the run's score; see `final_score`.

    Raises:
        SystemExit: when a signal ended the run. The exit code is 128 + the signal's number.
    """
    record = read_record(directory)
    if record["status"] == "diverged":
        log.error(record["error"])
    with gan.evaluating():
        learned = None if gan.replicas > 1 else evaluation_of(trainer).evaluator(data).moments(gan.generator)
    print_run(record, data.distribution, directory, has_closed_form(gan.generator), learned)
    if record["status"] == "interrupted":
        raise SystemExit(exit_code())
    return final_score(record)


def final_score(record: Mapping[str, Any]) -> float:
    """Return the score of a run, the distance by which runs are compared. The smaller, the better.

    The distance is val/w2 if the data are Gaussian, otherwise val/sliced_w2. For replicas the score is the median of
    the replicas' distances; a diverged replica counts as infinity. If the record has no distance, or NaN, the score is
    infinity.

    Args:
        record: the content of the run's metrics.json.
    """
    tag = score(record)
    distance = record.get(f"{tag}_median", record.get(tag))
    return math.inf if distance is None or math.isnan(distance) else distance
