"""Train single runs that differ only in numbers as the replicas of one run. Write each run to its own directory."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger
from torch import Tensor

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.callbacks.record import Ending, record_run
from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import together
from gaussgan.data.datamodule import DataModule
from gaussgan.evaluation.baseline import baselines_of
from gaussgan.evaluation.scores import final_score, score
from gaussgan.gan.module import GAN
from gaussgan.loggers.log import log_finished_run, typed
from gaussgan.loggers.make import make_loggers
from gaussgan.runs.checkpoint import read_checkpoint, save_checkpoint
from gaussgan.runs.directory import BEST, LAST, claim, record_failure, record_running
from gaussgan.runs.files import writing
from gaussgan.runs.history import of_replica, pack, unpack
from gaussgan.runs.record import STARTED_FROM, ending, identity, read_record, write_record
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.runs.signals import Exited, by_signal, exit_code, noting
from gaussgan.setup.assemble import assemble
from gaussgan.setup.init_from import check_single_start
from gaussgan.sweep.kept_epochs import KeptEpochs
from gaussgan.train import fit, freeze_once

log = logging.getLogger(__name__)


def train_together(
    configs: Sequence[dict[str, Any]], directory: Path, written: Collection[int] = ()
) -> list[float | Exception | None]:
    """Train single runs that differ only in numbers as the replicas of one run.

    Afterwards the directory of each run contains the same files as if `gaussgan.train.train` had trained the run alone,
    except figures, and frames in the checkpoints. To draw and record them would take most of the time.

    The run with replicas has a directory of its own while it trains. If this process is stopped or killed, the
    directory stays, and the next call with the same arguments goes on from its last checkpoint, to the same numbers.

    Args:
        configs: the configurations of the runs as plain dicts and lists, with interpolations resolved. They may differ
            only in the runs' directories and in numbers that may differ between replicas.
        directory: the directory of the run with replicas.
        written: the indices of the runs whose directories are already complete. They are not written again.

    Returns:
        For each run, its score, or the error that was raised when its files were written; None for a run in `written`.

    Raises:
        SystemExit: when a signal ended the training. The exit code is 128 + the signal's number. The record of each run
            is "interrupted".
        Exception: when the runs cannot be trained together.
    """
    freeze_once()
    todo = [i for i in range(len(configs)) if i not in written]
    checkpoint = str(directory / LAST) if (directory / LAST).exists() else None
    with claim(directory, checkpoint):
        for run_dir, config in [(Path(configs[i]["run_dir"]), configs[i]) for i in todo]:
            with writing("hydra.sweep.dir"):
                run_dir.mkdir(parents=True, exist_ok=True)
            record_running(run_dir, config)
        try:
            if checkpoint is None:
                check_single_start(configs[0])
            gan, data, trainer = assemble(_joint_config(configs, directory, checkpoint))
            known = {key: gan.config[key] for key in ("compile", "init_from", STARTED_FROM) if key in gan.config}
            configs = [{**config, **known} for config in configs]
            loggers = {i: make_loggers(configs[i]) for i in todo}  # made before training, so that an error comes early
            with gan.evaluating():
                start = evaluation_of(trainer).evaluator(data).distances(gan.generator) if checkpoint else None
            if start and configs[0]["init_from"] is not None:  # the run from which they started may have changed
                start = {tag: torch.full_like(value, math.nan) for tag, value in start.items()}
            with noting():
                fit(gan, data, trainer, checkpoint)
            if read_record(directory)["status"] == "interrupted":
                raise SystemExit(exit_code())
        except (SystemExit, KeyboardInterrupt) as error:
            if isinstance(error, SystemExit) and not by_signal(error):
                raise Exited(error) from error
            for i in todo:
                status, text = ending(error)
                record = {"status": status, "error": f"{text}, as replica {i} of {directory}", **identity(configs[i])}
                write_record(Path(configs[i]["run_dir"]), record)
            raise
        start = start or evaluation_of(trainer).distances
        values = _write_runs(configs, loggers, directory, gan, data, trainer, start)
    if not any(isinstance(value, Exception) for value in values):
        shutil.rmtree(directory)
    return values


def _joint_config(configs: Sequence[dict[str, Any]], directory: Path, checkpoint: str | None) -> DictConfig:
    """Return the configuration of a run with replicas. Each replica corresponds to one of several single runs.

    The run with replicas draws no figures and has no loggers. It measures what single runs measure, after each
    evaluated epoch.

    Args:
        configs: the configurations of the single runs.
        directory: the directory of the run with replicas.
        checkpoint: the checkpoint from which the run goes on; None for a new run.
    """
    targets = {
        "checkpoints": "gaussgan.callbacks.Checkpoints",
        "record": "gaussgan.callbacks.Record",
        "kept": "gaussgan.sweep.kept_epochs.KeptEpochs",
    }
    joint = together(configs)
    callbacks = {"evaluation": {**joint["callbacks"]["evaluation"], "all_densities": True}}
    callbacks |= {name: {"_target_": target, "directory": str(directory)} for name, target in targets.items()}
    callbacks["checkpoints"]["seconds"] = 0  # `KeptEpochs` needs the checkpoint of each evaluated epoch
    own: dict[str, Any] = {"callbacks": callbacks, "logger": None, "run_dir": str(directory)}
    if joint["init_from"] is not None and joint["init_replica"] is None:
        own["init_replica"] = 0  # each single run starts from the same single run
    return OmegaConf.create({**joint, **own, "ckpt_path": checkpoint})


def _write_runs(
    configs: Sequence[dict[str, Any]],
    loggers: Mapping[int, Sequence[Logger]],
    directory: Path,
    gan: GAN,
    data: DataModule,
    trainer: Trainer,
    start: Mapping[str, Tensor],
) -> list[float | Exception | None]:
    """Split a run with replicas into single runs, and write the files of each single run to its own directory.

    Return, for each single run, its score, or the error that was raised when its files were written, or None if it has
    no loggers here, because it was written before.

    Args:
        configs: the configurations of the single runs.
        loggers: maps the index of each single run that must be written to its loggers.
        directory: the directory of the run with replicas.
        gan: the networks of all replicas.
        data: the data of all replicas.
        trainer: the trainer of the run with replicas.
        start: maps tags to the distances before the first iteration, each [R].
    """
    kept = next(callback for callback in trainer.callbacks if isinstance(callback, KeptEpochs))  # type: ignore[attr-defined]
    read, evaluation = lru_cache(maxsize=2)(read_checkpoint), evaluation_of(trainer)
    baselines = cache(partial(baselines_of, data, evaluator=evaluation.evaluator(data)))
    final = evaluation.final(gan, data)
    group, rows, first = read_record(directory), pack(evaluation_of(trainer).history), typed()
    seconds = group["seconds"] / len(configs)

    def write_run(i: int) -> float:
        config, diverged, run_dir = configs[i], gan.diverged.get(i), Path(configs[i]["run_dir"])
        checkpoints = {LAST: single_checkpoint(read(kept.last.get(i, directory / LAST)), i, config)}
        if i in kept.best and config["callbacks"]["checkpoints"].get("best", True):
            checkpoints[BEST] = single_checkpoint(read(kept.best[i]), i, config)
        end = Ending(group["status"], group["error"], group["iterations"], trainer.global_step, seconds)
        packed = of_replica(rows, i)
        if diverged is not None:
            log.error(diverged, extra={"run_dir": config["run_dir"]})  # goes to the log of this job only
            end = end._replace(status="diverged", error=str(diverged), iterations=diverged.iteration)
            packed = checkpoints[LAST]["history"]
        for name, checkpoint in checkpoints.items():
            errors = [row[score(row)] for row in unpack(checkpoint["history"])]
            smallest = min((error for error in errors if not math.isnan(error)), default=math.inf)
            checkpoint["callbacks"] = {"Evaluation": {"seconds": seconds}, "Checkpoints": {"least": smallest}}
            with writing("hydra.run.dir"):
                (run_dir / name).parent.mkdir(exist_ok=True)
            save_checkpoint(checkpoint, run_dir / name)
        history = unpack(packed)
        for stale in run_dir.glob("events.out.tfevents.*"):  # of a process that was killed here
            stale.unlink()
        log_finished_run(loggers[i], config, {tag: value[i].item() for tag, value in start.items()}, history, first)
        further = {**baselines(end.iterations), **({} if diverged is not None else final)}
        further = {tag: value[i] if value.ndim else value for tag, value in further.items()}
        table = config["callbacks"]["record"].get("history", True)
        record = record_run(run_dir, config, data, end, history, {}, further, table)
        return final_score(record)

    values: list[float | Exception | None] = [None] * len(configs)
    # Runs with the same best checkpoint follow each other, so each file is read once.
    for i in sorted(loggers, key=lambda i: str(kept.best.get(i))):
        try:
            values[i] = write_run(i)
        except Exception as error:  # the other runs can still be written
            values[i] = error
            with suppress(ConfigError):
                record_failure(Path(configs[i]["run_dir"]), error, configs[i])
    return values
