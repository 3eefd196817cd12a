"""Log the configuration and the numbers of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from gaussgan.config.dotted import to_yaml
from gaussgan.config.recipe import hyperparameters
from gaussgan.evaluation.scores import score
from gaussgan.evaluation.summary import aggregate
from gaussgan.loggers.make import IDS_FILE, SERVICES, closing
from gaussgan.runs.directory import SWEEP


@rank_zero_only
def log_configuration(
    loggers: Sequence[Logger],
    config: Mapping[str, Any],
    distances: Mapping[str, Any],
    step: int,
    first_keys: Sequence[str],
) -> None:
    """Log the hyperparameters of a run. Save the ids that W&B and MLflow gave the run in the run's directory.

    Args:
        loggers: the loggers of the run.
        config: the configuration of the run.
        distances: maps tags, such as "val/w2", to the generator's distances from the true distribution at iteration
            `step`. TensorBoard shows one of these distances next to the hyperparameters.
        step: the iteration from which this process trains: 0 for a new run.
        first_keys: the dotted keys of the hyperparameters to list first, such as those set on the command line.
    """
    numbers, start = hyperparameters(config, first_keys), aggregate(distances)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _log_configuration_to_tensorboard(logger, config, numbers, start, step)
        elif isinstance(logger, MLFlowLogger):
            known = logger.experiment.get_run(logger.run_id).data.params  # MLflow refuses to log these again
            logger.experiment.update_run(logger.run_id, status="RUNNING")
            logger.log_hyperparams({key: value for key, value in numbers.items() if key not in known})
        else:
            logger.log_hyperparams(numbers)
    named = zip(config.get("logger") or (), loggers, strict=False)  # a fast_dev_run has no loggers
    if ids := {name: logger.version for name, logger in named if isinstance(logger, SERVICES)}:
        (Path(config["run_dir"]) / IDS_FILE).write_text(json.dumps(ids) + "\n")


def _log_configuration_to_tensorboard(
    logger: TensorBoardLogger, config: Mapping[str, Any], numbers: dict[str, Any], start: Mapping[str, float], step: int
) -> None:
    if step and len([*Path(logger.log_dir).glob("events.out.tfevents.*")]) > 1:
        return  # an earlier event file has the same text and the same score
    tag = score(start)
    shown = f"{tag}_median" if f"{tag}_median" in start else tag
    logger.log_hyperparams(numbers, {shown: start[shown]}, step=step)  # the HPARAMS page then shows this score
    hparams = Path(logger.log_dir, logger.NAME_HPARAMS_FILE)
    if not hparams.exists():  # otherwise Lightning writes the file at the end, with every value twice
        hparams.write_text(to_yaml(numbers))
    logger.experiment.add_text("config", f"```yaml\n{to_yaml(config)}```")
    if shown != tag:
        tags = (tag, "train/loss_d", "train/loss_g")
        bands = {tag: ["Margin", [f"{tag}_{name}" for name in ("median", "p10", "p90")]] for tag in tags}
        logger.experiment.add_custom_scalars({"replicas: median, 10th to 90th percentile": bands})


def log_numbers(loggers: Sequence[Logger], numbers: Mapping[str, float], step: int) -> None:
    """Log the numbers of one iteration to all loggers.

    Args:
        numbers: maps tags, such as "val/w2", to numbers. If it is empty, nothing is logged.
        step: the iteration to which the numbers belong.
    """
    for logger in loggers if numbers else ():
        logger.log_metrics(dict(numbers), step=step)


def log_finished_run(
    loggers: Sequence[Logger],
    config: Mapping[str, Any],
    distances: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    first_keys: Sequence[str],
) -> None:
    """Log a run without replicas that has ended, and close its loggers.

    The configuration and the numbers are logged as during training. Pictures are not logged.

    Args:
        loggers: the loggers of the run.
        config: the configuration of the run.
        distances: maps tags, such as "val/w2", to the generator's distances from the true distribution at iteration 0.
        history: one row for each evaluated epoch. A row maps tags to the numbers measured after the epoch, and the key
            "iteration" to the number of iterations so far.
        first_keys: the dotted keys of the hyperparameters to list first.
    """
    with closing(loggers):
        log_configuration(loggers, config, distances, 0, first_keys)
        for logger, node in zip(loggers, (config.get("logger") or {}).values(), strict=True):
            for row in history:
                numbers = {tag: value for tag, value in row.items() if tag not in ("iteration", "epoch")}
                if type(logger) is TensorBoardLogger and not node.get("prefix"):
                    _log_to_tensorboard(logger, numbers, int(row["iteration"]))
                else:
                    log_numbers([logger], numbers, int(row["iteration"]))
            logger.finalize("success")


def _log_to_tensorboard(logger: TensorBoardLogger, numbers: Mapping[str, float], step: int) -> None:
    """Write the numbers of an iteration as one event. Lightning writes an event for each, in four times the time."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

    values = [Summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
    logger.experiment.file_writer.add_summary(Summary(value=values), step)


def typed() -> list[str]:
    """Return the keys and config groups that the user set on the command line. Those that a sweep varies come first."""
    if not HydraConfig.initialized():
        return []
    hydra, parse = HydraConfig.get(), OverridesParser.create().parse_overrides
    varied = {*(hydra.sweeper.get("params") or ())}
    sweep = Path(hydra.sweep.dir) / SWEEP
    if hydra.mode == RunMode.MULTIRUN and sweep.exists():
        lines = OmegaConf.select(OmegaConf.load(sweep), "hydra.overrides.task", default=[])
        varied |= {each.key_or_group for each in parse([*lines]) if each.is_sweep_override()}
    overrides = sorted(parse([*hydra.overrides.task]), key=lambda each: each.key_or_group not in varied)
    return [each.package or each.key_or_group for each in overrides]
