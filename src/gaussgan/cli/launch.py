"""Hydra's command line for a task: what a person typed wrong costs one line, and leaves nothing behind."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from gaussgan.cli.hints import explain
from gaussgan.config.check import check, check_hydra, reading
from gaussgan.config.errors import ConfigError, shortage
from gaussgan.runs.directory import abandon_sweep, claim, claim_sweep, is_first_process, record_end, refuse_if_taken
from gaussgan.runs.job_errors import FULL, report, was_reported
from gaussgan.runs.signals import exit_code, noting, received

_sweeps: list[Path] = []


class Preflight(Callback):
    """Refuses a run before Hydra writes its configuration and its log, where Hydra would only warn of an exception.

    What can be told without torch is told first. A sweep's jobs are checked one by one, as they come.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        if not is_first_process():
            return
        with _refusing():
            directory = _directory(config, "hydra.run.dir")
            check(config)
            check_hydra(config)
            refuse_if_taken(directory, config.ckpt_path)
            self._assemble(config, directory)
            self.claim = claim(directory, config.ckpt_path)
            self.claim.__enter__()  # until the process ends

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        with _refusing():
            directory = _directory(config, "hydra.sweep.dir")
            check_hydra(config)
            claim_sweep(directory)
            _sweeps.append(directory)

    @staticmethod
    def _assemble(config: DictConfig, directory: Path) -> None:
        from gaussgan.config.per_replica import some_replicas
        from gaussgan.setup.assemble import assemble
        from gaussgan.setup.memory import check_memory

        with flag_override(config, ["struct", "readonly"], False):
            task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        task.run_dir = str(directory)
        run: dict[str, Any] = OmegaConf.to_container(task, resolve=True)  # type: ignore[assignment]
        check_memory(run)
        # Two of many replicas show what fits; to make thousands takes seconds.
        few = task.replicas > 2 and task.ckpt_path is None
        assemble(OmegaConf.create(some_replicas(run, slice(2))) if few else task)


def launch(task: Callable[[DictConfig], float], config_path: str, config_name: str) -> None:
    """Run a task under Hydra's command line.

    What a person typed wrong costs one line, a defect its traceback, and either a non-zero exit; in a sweep the other
    jobs go on, and the job's directory says that it failed. With HYDRA_FULL_ERROR=1 everything comes with its
    traceback.
    """
    sys.path.append(str(Path.cwd()))  # where a reader's own classes are, which python SCRIPT leaves out
    threading.excepthook = _thread_ended
    for unknown in get_args_parser().parse_known_args()[1]:
        dashed = "keys are given as key=value, without dashes; --help lists them"
        apart = "keys must stand together, before or after options such as -m"
        sys.exit(f"{unknown} cannot be here: {dashed if unknown.startswith('-') else apart}")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra lets errors through instead of printing them

    @hydra.main(version_base="1.3", config_path=config_path, config_name=config_name)
    def main(cfg: DictConfig) -> float:
        sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            if sweeping:
                _check_job(cfg)
            with noting(), reading():
                value = task(cfg)
            if sweeping and received():  # in a job's last block, which it completed
                raise SystemExit(exit_code())
            return value
        except Exception as error:
            report(error)
            if sweeping:
                raise
            raise SystemExit(1) from None

    try:
        try:
            main()
        finally:
            if sys.exc_info()[0] is not None:
                while _sweeps:
                    abandon_sweep(_sweeps.pop())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if was_reported(error):
            sys.exit(1)  # the first of a sweep's failures
        if FULL:
            raise
        typed = get_args_parser().parse_args()
        told = shortage(error)
        sys.exit(told or explain(error, typed.overrides, config_path, config_name, typed.config_dir, typed.multirun))


@contextmanager
def _refusing() -> Iterator[None]:
    """End the process before Hydra writes: by one line where a person is at fault, by a traceback where the code is."""
    try:
        with reading():
            yield
    except ConfigError as error:
        sys.exit(str(error))
    except Exception as error:
        if line := shortage(error):
            sys.exit(line)
        traceback.print_exc()
        sys.exit(1)


def _directory(config: DictConfig, key: str) -> Path:
    """Where a run or a sweep is to be, which Hydra's own keys say."""
    typed: list[str] = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)  # type: ignore[assignment]
    swept = any(line.startswith("run_dir=") for line in typed)
    if swept or not OmegaConf.is_interpolation(config, "run_dir"):
        raise ConfigError(f"run_dir must be left as it is: it follows {key}, which may be given")
    directory = OmegaConf.select(config, key)
    if not isinstance(directory, str) or not directory.strip():
        raise ConfigError(f"{key} must be the name of a directory (got {directory!r})")
    return Path(directory)


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Keep quiet about a full disk: TensorBoard's thread hands the error on to the run."""
    if ended.exc_value is None or not shortage(ended.exc_value):
        threading.__excepthook__(ended)


def _check_job(cfg: DictConfig) -> None:
    try:
        check(cfg)
    except ConfigError as error:
        record_end(Path(cfg.run_dir), error, cfg)
        raise
