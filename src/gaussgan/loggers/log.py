"""Loggers: made from the configuration, told the numbers and pictures of a run, and closed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import singledispatch
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
from gaussgan.evaluation.evaluator import score
from gaussgan.evaluation.summary import aggregate
from gaussgan.loggers.make import IDS, SERVICES
from gaussgan.runs.directory import SWEEP


@rank_zero_only
def log_configuration(
    loggers: Sequence[Logger],
    config: Mapping[str, Any],
    distances: Mapping[str, Any],
    step: int,
    first: Sequence[str],
) -> None:
    """Tell the loggers what a run is, and keep the ids under which services know it.

    Args:
        distances: those at the start.
        first: the keys of the hyperparameters that are shown first, see `typed`.
    """
    for logger in loggers:
        _log_configuration(logger, config, hyperparameters(config, first), aggregate(distances), step)
    named = zip(config.get("logger") or (), loggers, strict=False)  # there are none in a fast_dev_run
    if ids := {name: logger.version for name, logger in named if isinstance(logger, tuple(SERVICES))}:
        (Path(config["run_dir"]) / IDS).write_text(json.dumps(ids) + "\n")


@singledispatch
def _log_configuration(
    logger: Logger, config: Mapping[str, Any], numbers: dict[str, Any], start: Mapping[str, float], step: int
) -> None:
    logger.log_hyperparams(numbers)


@_log_configuration.register
def _(
    logger: TensorBoardLogger, config: Mapping[str, Any], numbers: dict[str, Any], start: Mapping[str, float], step: int
) -> None:
    if step and len([*Path(logger.log_dir).glob("events.out.tfevents.*")]) > 1:
        return  # an earlier file has all of it, and the score of this step
    tag = f"{score(start)}_median" if f"{score(start)}_median" in start else score(start)
    logger.log_hyperparams(numbers, {tag: start[tag]}, step=step)  # HPARAMS then follows this tag
    hparams = Path(logger.log_dir, logger.NAME_HPARAMS_FILE)
    if not hparams.exists():  # else Lightning writes it in the end, and dumps every value twice
        hparams.write_text(to_yaml(numbers))
    logger.experiment.add_text("config", f"```yaml\n{to_yaml(config)}```")
    if tag.endswith("_median"):
        logger.experiment.add_custom_scalars({"replicas: median, 10th to 90th percentile": bands(start)})


@_log_configuration.register
def _(
    logger: MLFlowLogger, config: Mapping[str, Any], numbers: dict[str, Any], start: Mapping[str, float], step: int
) -> None:
    run = logger.experiment.get_run(logger.run_id)
    logger.experiment.update_run(logger.run_id, status="RUNNING")
    logger.log_hyperparams({key: value for key, value in numbers.items() if key not in run.data.params})  # immutable


def bands(row: Mapping[str, Any]) -> dict[str, Any]:
    """Charts for TensorBoard's Custom Scalars: the score and both losses of replicas."""
    tags = (score(row), "train/loss_d", "train/loss_g")
    return {tag: ["Margin", [f"{tag}_{name}" for name in ("median", "p10", "p90")]] for tag in tags}


def log_numbers(loggers: Sequence[Logger], numbers: Mapping[str, float], step: int) -> None:
    """Log numbers at an iteration; nothing where there are none."""
    for logger in loggers if numbers else ():
        logger.log_metrics(dict(numbers), step=step)


@singledispatch
def log_picture(logger: Logger, tag: str, image: Any, step: int) -> None:
    """Log a rendered figure, [height, width, RGB], to a logger that can show it."""
    if log_image := getattr(logger, "log_image", None):
        log_image(tag, [image], step=step)


@log_picture.register
def _(logger: TensorBoardLogger, tag: str, image: Any, step: int) -> None:
    logger.experiment.add_image(tag, image, step, dataformats="HWC")


@log_picture.register
def _(logger: MLFlowLogger, tag: str, image: Any, step: int) -> None:
    logger.experiment.log_image(logger.run_id, image, key=tag, step=step)


def typed() -> list[str]:
    """Return the keys that a person typed on the command line: first those that a sweep varies."""
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
