"""Loggers made from the configuration, and closed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.utils import instantiate
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.loggers.csv_logger import CSVLogger
from gaussgan.runs.directory import writing

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
