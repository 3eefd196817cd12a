"""Runs that differ in numbers alone, trained together, each with the directory that it would have left alone."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer

from gaussgan.callbacks import Checkpoints, Record
from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.callbacks.record import last_row, record_of
from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import together
from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.data.distributions import name_of
from gaussgan.evaluation.baseline import mle_w2
from gaussgan.evaluation.evaluator import score
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.history import of_replica, pack, unpack
from gaussgan.gan.module import GAN
from gaussgan.loggers.log import log_configuration, log_numbers, typed
from gaussgan.loggers.make import closing, make_loggers
from gaussgan.runs.checkpoint import read_checkpoint, save_checkpoint
from gaussgan.runs.directory import BEST, LAST, claim, ending, identity, read_record, record_end, write_record, writing
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.runs.signals import exit_code, noting
from gaussgan.setup.assemble import assemble
from gaussgan.sweep.kept_epochs import KeptEpochs
from gaussgan.train import returned, train

log = logging.getLogger(__name__)


def train_together(configs: Sequence[dict[str, Any]]) -> list[float | Exception]:
    """Train single runs of one `structure` as replicas of one run, and leave in each `run_dir` what `train` would: but
    for the pictures, which would take longer than all else.

    Args:
        configs: theirs, resolved and in plain containers.

    Returns:
        What `train` would return for each; or the error where its directory cannot be used.

    Raises:
        SystemExit: with 128 + the signal's number, when a signal ended the run; all directories are then as `train`
            would have left them.
        Exception: whatever keeps the runs from being trained together; all directories are then as they were.
    """
    with ExitStack() as claims:
        errors: dict[int, Exception] = {}
        for i, config in enumerate(configs):
            try:
                claims.enter_context(claim(Path(config["run_dir"]), None))
            except ConfigError as error:
                errors[i] = error
        jobs = [config for i, config in enumerate(configs) if i not in errors]
        values = iter(_train(jobs) if len(jobs) > 1 else [train(OmegaConf.create(config)) for config in jobs])
        return [errors[i] if i in errors else next(values) for i in range(len(configs))]


def _train(configs: Sequence[dict[str, Any]]) -> list[float | Exception]:
    directory = Path(configs[0]["run_dir"]) / ".together"
    if directory.exists():
        raise ConfigError(f"hydra.sweep.dir: {directory} holds runs that were stopped, as replicas: see load_run there")
    directory.mkdir()
    log.info("until they are done, they are the replicas of %s", directory)
    try:
        gan, data, trainer = assemble(_joint(configs, directory))
        make_loggers(configs[0])  # so that what keeps them from being made is told before the runs
        log.info("data ~ %s", name_of(data.distribution))
        with noting(), suppress(Diverged):  # all of them may, and each says so
            trainer.fit(gan, data)
        values = _write_jobs(configs, directory, gan, data, trainer)
        status = read_record(directory)["status"]
    except Exception:
        shutil.rmtree(directory)
        raise
    except BaseException as error:  # at once, as by a second Ctrl-C
        told = ending(error)
        begun = (directory / LAST).exists()
        for i, config in enumerate(configs):
            of = f", as replica {i} of {directory}" if begun else ""
            write_record(Path(config["run_dir"]), {**told, "error": f"{told['error']}{of}", **identity(config)})
        if not begun:
            shutil.rmtree(directory)
        raise
    shutil.rmtree(directory)
    if status == "interrupted":
        raise SystemExit(exit_code())
    return values


def _joint(configs: Sequence[dict[str, Any]], directory: Path) -> DictConfig:
    """The configuration of the run whose replicas are these: in a directory of its own, and without pictures."""
    joint = together(configs)
    callbacks = {"checkpoints": Checkpoints, "record": Record, "kept": KeptEpochs}
    joint["callbacks"] = {
        "evaluation": joint["callbacks"]["evaluation"],
        **{
            key: {"_target_": f"{kind.__module__}.{kind.__name__}", "directory": str(directory)}
            for key, kind in callbacks.items()
        },
    }
    return OmegaConf.create({**joint, "logger": None, "run_dir": str(directory)})


def _write_jobs(
    configs: Sequence[dict[str, Any]], directory: Path, gan: GAN, data: GaussianDataModule, trainer: Trainer
) -> list[float | Exception]:
    """What the runs of the replicas would have left, and returned; or what kept one from it."""
    kept = next(callback for callback in trainer.callbacks if isinstance(callback, KeptEpochs))  # type: ignore[attr-defined]
    read, baseline = lru_cache(maxsize=2)(read_checkpoint), cache(partial(mle_w2, data))
    group, rows = read_record(directory), pack(gan.history)
    seconds, first = group["seconds"] / len(configs), typed()

    def write(i: int) -> float:
        config, diverged = configs[i], gan.diverged.get(i)
        job = Path(config["run_dir"])
        last = single_checkpoint(read(kept.last.get(i, directory / LAST)), i, config)
        # A checkpoint within an epoch has no row of it, which a run that goes on would not have.
        history = unpack(last["history"] if diverged is not None else of_replica(rows, i))
        iterations = group["iterations"] if diverged is None else diverged.iteration
        row = last_row(history, iterations)
        if (mle := baseline(iterations)) is not None:
            row = {**row, "mle/w2": mle[i].item()}
        status = (group["status"], group["error"]) if diverged is None else ("diverged", str(diverged))
        if diverged is not None:
            log.error(diverged, extra={"run_dir": config["run_dir"]})  # of this job's log alone
        _save(last, seconds, job / LAST)
        if i in kept.best:
            _save(single_checkpoint(read(kept.best[i]), i, config), seconds, job / BEST)
        _log(config, history, {tag: value[i].item() for tag, value in evaluation_of(trainer).distances.items()}, first)
        examples = data.examples_seen(iterations)
        done = (group["examples_per_second"] or 0) * seconds
        record = record_of(config, row, status[0], status[1], iterations, examples, seconds, done)
        write_record(job, record)
        return returned(record)

    values: list[float | Exception] = [math.inf] * len(configs)
    for i in sorted(range(len(configs)), key=lambda i: str(kept.best.get(i))):  # so that each file is read once
        try:
            values[i] = write(i)
        except Exception as error:  # of this job's directory, and no other's
            values[i] = error
            with suppress(ConfigError):
                record_end(Path(configs[i]["run_dir"]), error, configs[i])
    return values


def _save(checkpoint: dict[str, Any], seconds: float, path: Path) -> None:
    errors = [row[score(row)] for row in unpack(checkpoint["history"])]
    least = min((error for error in errors if not math.isnan(error)), default=math.inf)
    checkpoint["callbacks"] = {"Evaluation": {"seconds": seconds}, "Checkpoints": {"least": least}}
    with writing("hydra.run.dir"):
        path.parent.mkdir(exist_ok=True)
    save_checkpoint(checkpoint, path)


def _log(config: dict[str, Any], history: list[dict[str, Any]], start: dict[str, float], first: list[str]) -> None:
    """To the run's loggers what they would have been told as it went on."""
    with closing(loggers := make_loggers(config)):
        log_configuration(loggers, config, start, 0, first)
        for row in history:
            numbers = {tag: value for tag, value in row.items() if tag not in ("iteration", "epoch")}
            log_numbers(loggers, numbers, int(row["iteration"]))
        for logger in loggers:
            logger.finalize("success")
