"""Loggers, made from the configuration and closed."""

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

IDS = "loggers.json"  # a file of a run's directory: the ids that W&B and MLflow gave the run

# For a class of loggers: its argument for where a resumed run goes on, and the extra that installs it. The argument is
# a step or, for a service, the id that it gave the run.
KINDS: dict[type[Logger], tuple[str, str | None]] = {
    CSVLogger: ("purge_step", None),
    TensorBoardLogger: ("purge_step", None),
    WandbLogger: ("id", "wandb"),
    MLFlowLogger: ("run_id", "mlflow"),
}
SERVICES = tuple(kind for kind, (_, extra) in KINDS.items() if extra)


def make_loggers(config: Mapping[str, Any], step: int | None = None) -> list[Logger]:
    """Make the loggers of a configuration.

    A resumed run goes on in its logs. What they hold of later iterations, as after a kill, is dropped where the logger
    can do that.

    Args:
        step: the iteration from which the run is resumed; None where it starts.

    Raises:
        ConfigError: when a logger cannot be made, cannot reach its service, or cannot write.
    """
    directory = Path(config["run_dir"])
    ids = json.loads((directory / IDS).read_text()) if step is not None and (directory / IDS).exists() else {}
    loggers = []
    for name, node in (config.get("logger") or {}).items():
        loggers.append(logger := _make(name, node, ids.get(name), step + 1 if step else 0))
        if logger.save_dir and Path(logger.save_dir) != directory:  # the run has claimed its directory
            with writing(f"logger.{name}"):
                Path(logger.save_dir).mkdir(parents=True, exist_ok=True)
                TemporaryFile(dir=logger.save_dir).close()
    return loggers


def _make(name: str, node: Mapping[str, Any], identity: str | None, purge_step: int) -> Logger:
    kind: type[Logger] | None = None
    try:
        make = instantiate(node, _partial_=True, _convert_="all")
        kind = next((each for each in KINDS if isinstance(make.func, type) and issubclass(make.func, each)), None)
        if kind and make.keywords.get(argument := KINDS[kind][0]) is None:
            make.keywords[argument] = identity if kind in SERVICES else purge_step
        logger: Logger = make()
        if kind is WandbLogger and not (make.keywords.get("offline") or "mode" in make.keywords):
            import wandb

            wandb.login()  # now rather than when the run begins
    except ModuleNotFoundError as error:
        extra = kind and KINDS[kind][1]
        what = f"pip install -c constraints.txt -e '.[{extra}]'" if extra else one_line(error)
        raise ConfigError(f"logger.{name} needs a package that is not installed: {what}") from error
    except Exception as error:  # a service may raise anything
        hint = f" Without it: logger.{name}.offline=true" if kind is WandbLogger else ""
        raise ConfigError(f"logger.{name}: {one_line(error)}{hint}") from error
    return logger


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """End W&B's run afterwards. Lightning leaves it open, and the next run of the process would be logged into it."""
    failed = True
    try:
        yield
        failed = False
    finally:
        if any(isinstance(logger, WandbLogger) for logger in loggers):
            import wandb

            wandb.finish(exit_code=int(failed))
