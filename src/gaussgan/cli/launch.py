"""Run a task from Hydra's command line. After a typing mistake, a single run prints one line and leaves no files."""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import env_override
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from gaussgan.cli.hints import explain
from gaussgan.cli.hydra_private import parse_command_line
from gaussgan.config.check import check, check_hydra, translating_omegaconf_errors
from gaussgan.config.compile_mode import typed_mode
from gaussgan.config.errors import ConfigError, one_line, shortage
from gaussgan.runs.directory import claim, is_first_process, is_running, record_end, refuse_if_taken
from gaussgan.runs.job_errors import FULL, report, was_reported
from gaussgan.runs.signals import exit_code, noting, received
from gaussgan.sweep.directory import ClaimedSweep, claim_sweep

_claims: list[ClaimedSweep] = []  # at most one: the directory of the sweep that this process runs


class Preflight(Callback):
    """A callback of Hydra that checks a run before Hydra writes any file.

    If a check fails, the callback prints the error and ends the process; see `_exiting_on_error`. The checks that do
    not import torch come first. Before a sweep, the callback checks only the section `hydra` and the directory of the
    sweep. Each job of a sweep is checked later, when the job begins.

    The callback also turns garbage collection on, which `launch` turns off.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        if is_first_process():
            self._prepare(config)
        gc.enable()

    def _prepare(self, config: DictConfig) -> None:
        with _exiting_on_error():
            directory = _output_directory(config, "hydra.run.dir")
            check(config)
            check_hydra(config)
            if typed_mode(config.compile) == "explain":
                _explain_mode(config)
            refuse_if_taken(directory, config.ckpt_path)
            if is_running(directory.absolute().parent):
                raise ConfigError(f"hydra.run.dir: {directory} belongs to a sweep that is under way")
            _assemble(config, directory)
            self.claim = claim(directory, config.ckpt_path)
            self.claim.__enter__()  # the run owns the directory until the process ends

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        with _exiting_on_error():
            directory = _output_directory(config, "hydra.sweep.dir")
            check_hydra(config)
            _claims.append(claim_sweep(directory))
        gc.enable()


def launch(task: Callable[[DictConfig], float], config_path: str, config_name: str) -> None:
    """Run a task from Hydra's command line.

    For a mistake of the user, print one line. For a defect of the code, print a traceback. In both cases, the exit code
    is not zero. If a job of a sweep fails, the error is saved in the directory of this job, and the other jobs go on.
    If the environment variable HYDRA_FULL_ERROR is 1, also print the traceback of an error that Hydra raises for an
    override, or that ends the task. A ConfigError from `Preflight` stays one line.

    Args:
        task: a function that takes the configuration of a run and returns its score.
        config_path: the directory of the configuration files.
        config_name: the name of the main configuration file.
    """
    sys.path.append(str(Path.cwd()))  # for the user's own classes; `python SCRIPT` does not add this directory
    threading.excepthook = _print_thread_error
    typed, misplaced = parse_command_line()
    for unknown in misplaced:
        dashed = "write keys as key=value, without dashes; --help lists them"
        apart = "keys must stand together, before or after options such as -m"
        sys.exit(f"{unknown} cannot be here: {dashed if unknown.startswith('-') else apart}")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors instead of printing them

    @hydra.main(version_base="1.3", config_path=config_path, config_name=config_name)
    def main(cfg: DictConfig) -> float:
        return run(task, cfg)

    try:
        try:
            gc.disable()  # until the imports are done: they leave no garbage, and the search for it takes half a second
            main()
        finally:
            gc.enable()
            failed = _end_sweep()
        sys.exit(1 if failed else 0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if was_reported(error):
            sys.exit(1)
        if FULL:
            raise
        if typed is None or shortage(error) or isinstance(error, ImportError):
            sys.exit(one_line(error))
        sys.exit(explain(error, typed, config_path, config_name))


def run(task: Callable[[DictConfig], float], cfg: DictConfig) -> float:
    """Run a task, and report its errors. A signal that comes during the task ends the process after the task."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        if sweeping:
            _check_job(cfg)
        with noting(), translating_omegaconf_errors():
            value = task(cfg)
        if sweeping and received():  # a signal came during the last iterations; this job is complete
            raise SystemExit(exit_code())
        return value
    except Exception as error:
        report(error)
        if sweeping:
            raise
        raise SystemExit(1) from None


def _end_sweep() -> bool:
    """Print how the jobs of a sweep have ended, write its report, and unlock its directory.

    Return whether a job failed. If no job has begun, leave the directory as it was before.
    """
    if not _claims:
        return False
    from gaussgan.sweep.closing import end_sweep, print_plan
    from gaussgan.sweep.sweep import sweeps

    claim, stopped = _claims.pop(), isinstance(sys.exc_info()[1], SystemExit | KeyboardInterrupt)
    jobs = [job for sweep in sweeps for job in sweep.jobs]
    dry = any(sweep.dry_run for sweep in sweeps)
    if dry and sys.exc_info()[0] is None:
        print_plan(jobs, claim.directory)
    if dry or not jobs:
        claim.abandon()
        return False
    try:
        return end_sweep(jobs, claim.directory, stopped)
    finally:
        claim.lock.release()


def _explain_mode(config: DictConfig) -> NoReturn:
    """Print what `compile=auto` does with a run, and end the process."""
    from gaussgan.setup.explain import explain as lines

    with env_override(config.hydra.job.env_set):
        for line in lines(config):
            print(line)
    sys.exit(0)


def _assemble(config: DictConfig, directory: Path) -> None:
    """Make the objects of a run before Hydra starts the run, and keep them for the later call of `assemble`.

    While the objects are made, the environment variables in hydra.job.env_set have the values given there.

    Args:
        config: the configuration of the run, including the section `hydra`.
        directory: the directory of the run.
    """
    from gaussgan.setup.assemble import SLOW_TO_MAKE, assemble_ahead
    from gaussgan.train import freeze_once

    freeze_once()
    if config.replicas >= SLOW_TO_MAKE:  # not logged, because the log does not exist yet
        print(f"making {config.replicas:,} replicas", file=sys.stderr)
    with flag_override(config, ["struct", "readonly"], False):
        task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    task.run_dir = os.path.abspath(directory)  # noqa: PTH100 (as Hydra does)
    with env_override(config.hydra.job.env_set):
        assemble_ahead(task)


@contextmanager
def _exiting_on_error() -> Iterator[None]:
    """Use this function in a with statement. If the with block raises an error, print the error and end the process.

    For a mistake of the user, or a shortage of disk or memory, print one line. For a defect of the code, print a
    traceback.
    """
    try:
        with translating_omegaconf_errors():
            yield
    except ConfigError as error:
        sys.exit(str(error))
    except Exception as error:
        if line := shortage(error):
            sys.exit(line)
        traceback.print_exc()
        sys.exit(1)


def _output_directory(config: DictConfig, key: str) -> Path:
    """Return the directory of a run or of a sweep.

    Args:
        key: the dotted key that sets the directory: hydra.run.dir or hydra.sweep.dir.

    Raises:
        ConfigError: when the value of the key is not a text or is empty, or when the user set the key `run_dir`.
    """
    typed: list[str] = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)  # type: ignore[assignment]
    if any(line.startswith("run_dir=") for line in typed) or not OmegaConf.is_interpolation(config, "run_dir"):
        raise ConfigError(f"run_dir must not be set: it follows {key}; set {key} instead")
    directory = OmegaConf.select(config, key)
    if not isinstance(directory, str) or not directory.strip():
        raise ConfigError(f"{key} must be the name of a directory (got {directory!r})")
    return Path(directory)


def _print_thread_error(ended: threading.ExceptHookArgs) -> None:
    """Print the error that ended a thread. Print nothing if the disk or the memory was full: the run reports that."""
    if ended.exc_value is None or not shortage(ended.exc_value):
        threading.__excepthook__(ended)


def _check_job(cfg: DictConfig) -> None:
    try:
        check(cfg)
    except ConfigError as error:
        record_end(Path(cfg.run_dir), error, cfg)
        raise
