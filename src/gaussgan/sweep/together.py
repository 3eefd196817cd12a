"""Train single runs that differ only in numbers as the replicas of one run. Write each run to its own directory."""

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
from pytorch_lightning.loggers import Logger

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.callbacks.record import Ending, record_run
from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import together
from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.evaluation.baseline import mle_w2
from gaussgan.evaluation.evaluator import score
from gaussgan.gan.module import GAN
from gaussgan.loggers.log import log_finished_run, typed
from gaussgan.loggers.make import make_loggers
from gaussgan.runs.checkpoint import read_checkpoint, save_checkpoint
from gaussgan.runs.directory import BEST, LAST, claim, record_end
from gaussgan.runs.files import writing
from gaussgan.runs.history import of_replica, pack, unpack
from gaussgan.runs.record import read_record
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.runs.signals import exit_code, noting
from gaussgan.setup.assemble import assemble
from gaussgan.sweep.kept_epochs import KeptEpochs
from gaussgan.train import final_score, fit, freeze_once, train

log = logging.getLogger(__name__)


def train_together(configs: Sequence[dict[str, Any]]) -> list[float | Exception]:
    """Train single runs that differ only in numbers as the replicas of one run.

    Afterwards the directory of each run contains the same files as if `gaussgan.train.train` had trained the run alone,
    except figures. Figures are not drawn, because drawing them would take most of the time.

    Args:
        configs: the configurations of the runs as plain dicts and lists, with interpolations resolved. They may differ
            only in the runs' directories and in numbers that may differ between replicas.

    Returns:
        For each run, its score, or an error if the directory of the run cannot be used or the run cannot be written.

    Raises:
        SystemExit: when a signal ended the training. The exit code is 128 + the signal's number. In this case, the
            directories contain the same files as after a signal to `gaussgan.train.train`. If the training ended
            immediately, such as after a second Ctrl-C, the last checkpoint of the run whose replicas are the given runs
            stays in the subdirectory .together of the first run's directory.
        Exception: when the runs cannot be trained together. No directory then holds a run, and each run can still be
            trained alone.
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
    directory, keep = Path(configs[0]["run_dir"]) / ".together", False
    if directory.exists():
        raise ConfigError(
            f"hydra.sweep.dir: {directory} holds stopped runs, as the replicas of one run; load them with load_run"
        )
    directory.mkdir()
    freeze_once()
    log.info("until the end of training, the runs are the replicas of the run in %s", directory)
    try:
        gan, data, trainer = assemble(_joint_config(configs, directory))
        loggers = [make_loggers(config) for config in configs]  # made before training, so that an error comes early
        with noting():
            fit(gan, data, trainer)
        values = _write_runs(configs, loggers, directory, gan, data, trainer)
        interrupted = read_record(directory)["status"] == "interrupted"
    except (SystemExit, KeyboardInterrupt) as error:  # the training ended immediately, such as by a second Ctrl-C
        keep = (directory / LAST).exists()
        for i, config in enumerate(configs):
            record_end(Path(config["run_dir"]), error, config, f", as replica {i} of {directory}" if keep else "")
        raise
    finally:
        if not keep:
            shutil.rmtree(directory)
    if interrupted:
        raise SystemExit(exit_code())
    return values


def _joint_config(configs: Sequence[dict[str, Any]], directory: Path) -> DictConfig:
    """Return the configuration of a run with replicas. Each replica corresponds to one of several single runs.

    The run with replicas draws no figures and has no loggers.

    Args:
        configs: the configurations of the single runs.
        directory: the directory of the run with replicas.
    """
    targets = {
        "checkpoints": "gaussgan.callbacks.Checkpoints",
        "record": "gaussgan.callbacks.Record",
        "kept": "gaussgan.sweep.kept_epochs.KeptEpochs",
    }
    joint = together(configs)
    callbacks = {"evaluation": joint["callbacks"]["evaluation"]}
    callbacks |= {name: {"_target_": target, "directory": str(directory)} for name, target in targets.items()}
    return OmegaConf.create({**joint, "callbacks": callbacks, "logger": None, "run_dir": str(directory)})


def _write_runs(
    configs: Sequence[dict[str, Any]],
    loggers: Sequence[Sequence[Logger]],
    directory: Path,
    gan: GAN,
    data: GaussianDataModule,
    trainer: Trainer,
) -> list[float | Exception]:
    """Split a run with replicas into single runs, and write the files of each single run to its own directory.

    Return, for each single run, its score, or the error that was raised when its files were written.

    Args:
        configs: the configurations of the single runs.
        loggers: for each single run, its loggers.
        directory: the directory of the run with replicas.
        gan: the networks of all replicas.
        data: the data of all replicas.
        trainer: the trainer of the run with replicas.
    """
    kept = next(callback for callback in trainer.callbacks if isinstance(callback, KeptEpochs))  # type: ignore[attr-defined]
    read, baselines = lru_cache(maxsize=2)(read_checkpoint), cache(partial(mle_w2, data))
    group, rows, first = read_record(directory), pack(evaluation_of(trainer).history), typed()
    seconds, start = group["seconds"] / len(configs), evaluation_of(trainer).distances

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
        log_finished_run(loggers[i], config, {tag: value[i].item() for tag, value in start.items()}, history, first)
        baseline = baselines(end.iterations)
        table = config["callbacks"]["record"].get("history", True)
        record = record_run(run_dir, config, data, end, history, {}, None if baseline is None else baseline[i], table)
        return final_score(record)

    values: list[float | Exception] = [math.inf] * len(configs)
    # Runs with the same best checkpoint follow each other, so each file is read once.
    for i in sorted(range(len(configs)), key=lambda i: str(kept.best.get(i))):
        try:
            values[i] = write_run(i)
        except Exception as error:  # the other runs can still be written
            values[i] = error
            with suppress(ConfigError):
                record_end(Path(configs[i]["run_dir"]), error, configs[i])
    return values
