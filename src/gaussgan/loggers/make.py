"""Make loggers from the configuration, and close them."""

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
from gaussgan.runs.files import writing

IDS_FILE = "loggers.json"  # a file in the run's directory with the ids that W&B and MLflow gave the run

# Maps a logger class to (argument, extra). `argument` is the argument of the class that lets a resumed run continue its
# log. The argument's value is an iteration, or the id that W&B or MLflow gave the run. `extra` is the pip extra that
# installs the package of the logger, or None if the package is always installed.
SUPPORTED: dict[type[Logger], tuple[str, str | None]] = {
    CSVLogger: ("purge_step", None),
    TensorBoardLogger: ("purge_step", None),
    WandbLogger: ("id", "wandb"),
    MLFlowLogger: ("run_id", "mlflow"),
}
SERVICES = tuple(logger for logger, (_, extra) in SUPPORTED.items() if extra)


def make_loggers(config: Mapping[str, Any], step: int | None = None) -> list[Logger]:
    """Make the loggers of a configuration.

    If the run is resumed, the loggers continue its existing logs. If the run had been killed, a log may contain entries
    that are newer than the checkpoint. The CSV logger and TensorBoard hide or delete these entries; W&B and MLflow
    cannot.

    Args:
        config: the configuration of the run.
        step: the iteration from which the run is resumed, or None for a new run.

    Raises:
        ConfigError: when a logger cannot be made, cannot log in to its service, or cannot write to its directory.
    """
    directory = Path(config["run_dir"])
    ids = json.loads((directory / IDS_FILE).read_text()) if step is not None and (directory / IDS_FILE).exists() else {}
    loggers = []
    for name, node in (config.get("logger") or {}).items():
        loggers.append(logger := _make(name, node, ids.get(name), step + 1 if step else 0))
        if logger.save_dir and Path(logger.save_dir) != directory:  # `claim` checks the directory of the run
            with writing(f"logger.{name}"):
                Path(logger.save_dir).mkdir(parents=True, exist_ok=True)
                TemporaryFile(dir=logger.save_dir).close()
    return loggers


def _make(name: str, node: Mapping[str, Any], run_id: str | None, purge_step: int) -> Logger:
    base: type[Logger] | None = None
    try:
        make = instantiate(node, _partial_=True, _convert_="all")
        base = next((each for each in SUPPORTED if isinstance(make.func, type) and issubclass(make.func, each)), None)
        if base and make.keywords.get(argument := SUPPORTED[base][0]) is None:
            make.keywords[argument] = run_id if base in SERVICES else purge_step
        logger: Logger = make()
        if base is WandbLogger and not (make.keywords.get("offline") or "mode" in make.keywords):
            import wandb

            wandb.login()  # so that a wrong login is an error now, not when the run begins
    except ModuleNotFoundError as error:
        extra = base and SUPPORTED[base][1]
        what = f"pip install -c constraints.txt -e '.[{extra}]'" if extra else one_line(error)
        raise ConfigError(f"logger.{name} needs a package that is not installed: {what}") from error
    except Exception as error:  # a service may raise anything
        hint = f" To log without W&B: logger.{name}.offline=true" if base is WandbLogger else ""
        raise ConfigError(f"logger.{name}: {one_line(error)}{hint}") from error
    return logger


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """At the end of a with block, end the run on W&B if one of the loggers uses W&B.

    Lightning does not end it. A second run in the same process would then log to the first run's page on W&B.
    """
    failed = True
    try:
        yield
        failed = False
    finally:
        if any(isinstance(logger, WandbLogger) for logger in loggers):
            import wandb

            wandb.finish(exit_code=int(failed))
