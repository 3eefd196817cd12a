"""Train the run that a configuration describes, and write the files of the run."""

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
from gaussgan.config.per_replica import pairing_seeds
from gaussgan.data.datamodule import DataModule
from gaussgan.data.distributions import name_of
from gaussgan.data.examples import Examples
from gaussgan.data.iterations import iteration_limits
from gaussgan.evaluation.scores import final_score
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.module import GAN
from gaussgan.loggers.make import closing
from gaussgan.networks.moments import has_closed_form
from gaussgan.runs.directory import claim, holds_a_run, is_first_process, record_end, record_running
from gaussgan.runs.record import read_record
from gaussgan.runs.signals import exit_code, noting
from gaussgan.runs.table import print_run
from gaussgan.setup.assemble import assemble

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float:
    """Train the run that a configuration describes, write its files, and return its score.

    The function `final_score` defines the score. In a distributed run, every rank except rank 0 returns NaN.

    Raises:
        ConfigError: when the configuration is wrong, or when the run's directory cannot be used.
        SystemExit: when a signal ended the run. The exit code is 128 + the signal's number.
    """
    freeze_once()
    torch.set_num_threads(cfg.threads or 1)
    directory = Path(cfg.run_dir)
    config: Mapping[str, Any] | DictConfig = cfg
    with noting(), claim(directory, cfg.ckpt_path) if is_first_process() else nullcontext():
        try:
            check(cfg)
            if is_first_process() and not holds_a_run(directory):
                record_running(directory, cfg)
            gan, data, trainer = assemble(cfg)
            config = gan.config  # which says whether the run is compiled
            if is_first_process():
                record_running(directory, config)
            fit(gan, data, trainer, cfg.ckpt_path)
            return conclude(gan, data, trainer, directory) if trainer.is_global_zero else math.nan
        except BaseException as error:
            if is_first_process():
                with suppress(ConfigError):  # the user should see the first error, not this one
                    record_end(directory, error, config)
            raise


def fit(gan: GAN, data: DataModule, trainer: Trainer, ckpt_path: str | None = None) -> None:
    """Train a run. The trainer's callbacks write the run's files, even if the run fails.

    If the run diverges, training ends, but no error is raised.

    Args:
        gan: the networks and optimizers of the run.
        data: the data of the run.
        trainer: the trainer, with the callbacks and the loggers of the run.
        ckpt_path: the checkpoint from which the run is resumed; None for a new run.

    Raises:
        ConfigError: when a callback or a logger is configured wrongly.
    """
    if gan.config.get("compile") == "on" and is_first_process():
        log.info("this run is compiled %s", gan.train_block.backend)
    if is_first_process():
        log.info("data ~ %s", name_of(data.distribution))
        if note := getattr(data.distribution, "note", ""):
            log.info(note)
        if isinstance(data.distribution, Examples):
            n = min(data.validation_samples, len(data.distribution.report), data.num_examples)
            log.info("measures compare %s generated rows with as many rows that are held out", f"{n:,}")
        if hooks := uncalled(trainer.callbacks):  # type: ignore[attr-defined]
            log.warning("these hooks are never called in this template: %s", ", ".join(hooks))
        if paired := pairing_seeds(gan.config):
            log.info(
                "settings and seeds are confounded, because each replica has its own seed; to compare settings with the"
                " same seeds: 'seed=%s'",
                f"[{','.join(map(str, paired[:12]))}{',…' if len(paired) > 12 else ''}]",
            )
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

    Without this, each full garbage collection would pause a run for 1/3 s. Call this function before the networks of a
    run are made, so that they can still be freed. A second call does nothing.
    """
    if not gc.get_freeze_count():
        gc.freeze()


def conclude(gan: GAN, data: DataModule, trainer: Trainer, directory: Path) -> float:
    """Print a table with the results of a run that has ended, and return the score of the run.

    The function `final_score` defines the score.

    Args:
        gan: the trained networks.
        data: the data of the run.
        trainer: the trainer of the run.
        directory: the run's directory, which contains metrics.json.

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
