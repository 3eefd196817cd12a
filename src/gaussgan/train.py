"""One run, from a composed configuration to its record."""

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
from gaussgan.runs.table import print_replicas, print_summary
from gaussgan.setup.assemble import assemble

log = logging.getLogger(__name__)

gc.freeze()  # what was imported stays; searching it for garbage would stop a run for a third of a second


def train(cfg: DictConfig) -> float:
    """Train as the configuration says, leave a run directory behind, and return the run's `score`: `val/w2` for a
    Gaussian law, infinite if it diverged.

    Raises:
        ConfigError: when something in the configuration cannot be.
        SystemExit: with 128 + the signal's number, when a signal ended the run.
    """
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    directory = Path(cfg.run_dir)
    with noting(), claim(directory, cfg.ckpt_path) if is_first_process() else nullcontext():
        try:
            check(cfg)
            gan, data, trainer = fit(cfg)
            return conclude(gan, data, trainer, directory) if trainer.is_global_zero else math.nan
        except BaseException as error:
            if is_first_process():
                with suppress(ConfigError):  # the error is what a person should see
                    record_end(directory, error, cfg)
            raise


def fit(cfg: DictConfig) -> tuple[GAN, GaussianDataModule, Trainer]:
    """Train as the configuration says, and leave what it should leave in its directory."""
    gan, data, trainer = assemble(cfg)
    if is_first_process():
        Path(cfg.run_dir, RECORD).unlink(missing_ok=True)  # what it says is about to be untrue
        _say_what_to_expect(data, trainer)
    try:
        with closing(trainer.loggers):
            trainer.fit(gan, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    except Diverged as error:
        log.error(error)
    except MisconfigurationException as error:  # by a callback or a logger, before it trains
        raise ConfigError(one_line(error)) from error
    return gan, data, trainer


def _say_what_to_expect(data: GaussianDataModule, trainer: Trainer) -> None:
    log.info("data ~ %s%s", name_of(data.distribution), f", {data.replicas:,} replicas" if data.replicas > 1 else "")
    if hooks := uncalled(trainer.callbacks):  # type: ignore[attr-defined]
        log.warning("never called here: %s", ", ".join(hooks))
    limits = iteration_limits(trainer, data)
    if limits.get("max_epochs", math.inf) < limits.get("max_steps", 0):
        log.info(
            "trainer.max_epochs=%d ends the run at iteration %d, before trainer.max_steps=%d",
            *(trainer.max_epochs, limits["max_epochs"], limits["max_steps"]),
        )


def conclude(gan: GAN, data: GaussianDataModule, trainer: Trainer, directory: Path) -> float:
    """Say how the run ended, and answer for it to the caller."""
    record = read_record(directory)
    exact = has_closed_form(gan.generator)
    if gan.replicas > 1:
        print_replicas(record, data.distribution, directory, exact)
    else:
        with gan.evaluating():
            learned = evaluation_of(trainer).evaluator(data).moments(gan.generator)
        print_summary(record, data.distribution, learned, directory, exact)
    if record["status"] == "interrupted":
        raise SystemExit(exit_code())
    return returned(record)


def returned(record: Mapping[str, Any]) -> float:
    """The distance by which a run is judged, of replicas their median, in which those that diverged count as infinite;
    infinite where it diverged, or is beyond all numbers."""
    tag = score(record)
    distance = record.get(f"{tag}_median", record.get(tag))
    return math.inf if distance is None or math.isnan(distance) else distance
