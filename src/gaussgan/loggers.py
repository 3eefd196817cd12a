"""Loggers: made from the configuration, told the numbers and pictures of a run, and closed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import singledispatch
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from gaussgan.config.dotted import to_yaml
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.recipe import hyperparameters
from gaussgan.csv_logger import CSVLogger
from gaussgan.evaluation.evaluator import score
from gaussgan.evaluation.summary import aggregate
from gaussgan.runs.directory import SWEEP, writing

IDS = "loggers.json"  # in a run's directory: the ids that W&B and MLflow gave the run
SERVICES: dict[type[Logger], str] = {WandbLogger: "id", MLFlowLogger: "run_id"}  # the argument that takes an id
EXTRAS: dict[type[Logger], str] = {WandbLogger: "wandb", MLFlowLogger: "mlflow"}


KINDS: tuple[type[Logger], ...] = (CSVLogger, TensorBoardLogger, *SERVICES)


def make_loggers(config: Mapping[str, Any], step: int | None = None) -> list[Logger]:
    """Make the loggers of a configuration. A resumed run goes on in its logs: what they hold of later iterations, as
    after a kill, is dropped where that can be done.

    Args:
        step: the iteration from which the run is resumed; None where it starts.

    Raises:
        ConfigError: when one of them cannot be made, or cannot reach its service.
    """
    path = Path(config["run_dir"]) / IDS
    ids = json.loads(path.read_text()) if step is not None and path.exists() else {}
    purge_step = step + 1 if step else 0
    loggers = []
    for name, node in (config.get("logger") or {}).items():
        loggers.append(logger := _make(name, node, ids.get(name), purge_step))
        if logger.save_dir and Path(logger.save_dir) != path.parent:  # which is claimed by the run
            with writing(f"logger.{name}"):
                Path(logger.save_dir).mkdir(parents=True, exist_ok=True)
                TemporaryFile(dir=logger.save_dir).close()
    return loggers


def _make(name: str, node: Mapping[str, Any], identity: str | None, purge_step: int) -> Logger:
    kind: type[Logger] | None = None
    try:
        make = instantiate(node, _partial_=True, _convert_="all")
        kind = next((known for known in KINDS if isinstance(make.func, type) and issubclass(make.func, known)), None)
        if kind in SERVICES and make.keywords.get(SERVICES[kind]) is None:
            make.keywords[SERVICES[kind]] = identity
        elif kind in (CSVLogger, TensorBoardLogger):
            make.keywords.setdefault("purge_step", purge_step)
        logger = make()
        if kind is WandbLogger and not (make.keywords.get("offline") or "mode" in make.keywords):
            import wandb

            wandb.login()  # now rather than when the run begins
    except ModuleNotFoundError as error:
        extra = f"pip install -c constraints.txt -e '.[{EXTRAS[kind]}]'" if kind in EXTRAS else one_line(error)
        raise ConfigError(f"logger.{name} needs a package that is not installed: {extra}") from error
    except Exception as error:  # whatever a service says
        hint = f" Without it: logger.{name}.offline=true" if kind is WandbLogger else ""
        raise ConfigError(f"logger.{name}: {one_line(error)}{hint}") from error
    return logger


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """End W&B's run afterwards, which Lightning leaves open: the next run of the process would be logged into it."""
    failed = True
    try:
        yield
        failed = False
    finally:
        if any(isinstance(logger, WandbLogger) for logger in loggers):
            import wandb

            wandb.finish(exit_code=int(failed))


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
