"""One job of a sweep: its configuration and directory. Start and end a job as Hydra does."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime, JobStatus, configure_log, env_override, run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gaussgan.config.dotted import to_yaml
from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import fingerprint, settings
from gaussgan.config.resolve import resolved
from gaussgan.evaluation.scores import final_score
from gaussgan.runs.directory import LAST, Busy, record_failure
from gaussgan.runs.record import RECORD, read_record
from gaussgan.sweep.result import Result

log = logging.getLogger(__name__)

DONE = ("completed", "diverged")  # statuses of runs that need not be run again


@dataclass(eq=False)
class Job:
    """One job of a sweep. The method `run` runs the job alone.

    To train the job together with other jobs, call `begin` for each job, train the jobs, and call `end` for each job.
    """

    number: int
    overrides: Sequence[str]
    config: DictConfig  # it includes Hydra's own configuration, under the key hydra
    returned: Result = field(default_factory=Result)
    plain: dict[str, Any] = field(default_factory=dict)  # the unresolved configuration after `place`
    task: dict[str, Any] | None = None  # the resolved configuration after `place`; None if it cannot be resolved
    settings: dict[str, Any] | None = None  # what identifies the job, after `place`; None if the configuration is wrong
    goes_on: bool = False  # whether the run, or the group to which it belongs, has a checkpoint
    files: list[logging.FileHandler] = field(default_factory=list)  # the log files of the job, after `begin`

    def place(self, number: int, subdirectory: str | None = None) -> None:
        """Give the job a number, and so a directory.

        Args:
            number: the number. Most often it is the name of the directory inside the sweep's directory.
            subdirectory: the name of the directory, if it does not follow from the number.
        """
        self.number, config = number, self.config
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.job.id = config.hydra.job.num = number
            if subdirectory is not None:
                config.hydra.sweep.subdir = subdirectory
        with hydra_config(config):  # the directory's name may contain interpolations of Hydra's configuration
            with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
                config.hydra.runtime.output_dir = str(_directory(config))
            self.plain = OmegaConf.to_container(config, resolve=False, enum_to_str=True)  # type: ignore[assignment]
            self.task = None
            with suppress(Exception):  # the job is run alone and reports the error
                self.task = resolved(config, self.plain)
        self.settings = None
        with suppress(AttributeError, KeyError, TypeError, ValueError):
            self.settings = None if self.task is None else settings(self.task)

    @property
    def run_dir(self) -> Path:
        return Path(self.config.hydra.runtime.output_dir)

    @property
    def fingerprint(self) -> str | None:
        return None if self.settings is None else fingerprint(self.settings)

    @property
    def record(self) -> dict[str, Any]:
        """The record of the job's run; only a status, None, if there is no record."""
        with suppress(ConfigError):
            return read_record(self.run_dir) if (self.run_dir / RECORD).exists() else {"status": None}
        return {"status": None}

    @property
    def is_done(self) -> bool:
        return self.record["status"] in DONE

    def run(self, context: HydraContext, task: TaskFunction) -> None:
        """Run the job alone. If its directory holds a checkpoint, the run goes on from there."""
        if has_checkpoint(self.run_dir):
            with read_write(self.config), open_dict(self.config):
                self.config.ckpt_path = str(self.run_dir / LAST)
        returned = run_job(task, self.config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
        self.returned = Result(**vars(returned) | {"status": JobStatus.UNKNOWN})
        self.finish(returned._return_value)

    def begin(self, context: HydraContext, task: TaskFunction) -> None:
        """Do what Hydra's function `run_job` does before it runs a job.

        Make the job's directory and its subdirectory .hydra, open the job's log file, and call the hook on_job_start of
        Hydra's callbacks. This method takes a small part of the time that `run_job` takes, because it copies no
        configuration, and makes the YAML text of entries that all jobs have only once.

        Args:
            context: Hydra's context, which contains Hydra's callbacks.
            task: the function that runs one job. Here it is only passed to on_job_start, and not called.
        """
        config = self.config
        with hydra_config(config):
            OmegaConf.set_readonly(config.hydra, True)
            hydra, name = self.plain["hydra"], JobRuntime.instance().get("name")
            overrides = hydra["overrides"]["task"]
            self.returned = Result([*overrides], working_dir=str(Path.cwd()), task_name=name)
            self.returned.source = config
            self.run_dir.mkdir(parents=True, exist_ok=True)
            configure_log(config.hydra.job_logging, config.hydra.verbose)
            if config.hydra.output_subdir is not None:
                (self.run_dir / config.hydra.output_subdir).mkdir(exist_ok=True)
                own = [_yaml(pickle.dumps({key: self.plain[key]})) for key in self.plain if key != "hydra"]
                nested = [_yaml(pickle.dumps({"hydra": {key: hydra[key]}})).removeprefix("hydra:\n") for key in hydra]
                texts = {"config": own, "hydra": ["hydra:\n", *nested], "overrides": [to_yaml(overrides)]}
                for file, text in texts.items():
                    path = self.run_dir / config.hydra.output_subdir / f"{file}.yaml"
                    path.write_text("".join(text), encoding="utf-8")
            with env_override(config.hydra.job.env_set):
                context.callbacks.on_job_start(config=config, task_function=task)
        self.files = log_files()

    def end(self, context: HydraContext, outcome: float | Exception) -> None:
        """Do what Hydra's function `run_job` does after it has run a job.

        Set the job's result, and call the hook on_job_end of Hydra's callbacks.

        Args:
            context: Hydra's context, which contains Hydra's callbacks.
            outcome: the score of the job, or the error that ended the job.
        """
        self.finish(outcome)
        context.callbacks.on_job_end(config=self.config, job_return=self.returned)

    def finish(self, outcome: float | Exception) -> None:
        """Set the job's result. If the job failed, its record says so from now on, whatever it said before.

        If another process has the directory, the record is that of the other process, and stays.
        """
        failed = isinstance(outcome, Exception)
        self.returned.return_value = outcome
        self.returned.status = JobStatus.FAILED if failed else JobStatus.COMPLETED
        if isinstance(outcome, Exception) and not isinstance(outcome, Busy) and self.record["status"] != "failed":
            with suppress(ConfigError):  # the disk may be full
                record_failure(self.run_dir, outcome, self.config if self.task is None else self.task)

    def conclude(self) -> None:
        """Set the job's result from the record of its run, if the job ended in another process or in an earlier one."""
        if self.returned.status != JobStatus.UNKNOWN:
            return
        record = self.record
        self.returned.overrides = OmegaConf.to_container(self.config.hydra.overrides.task)  # type: ignore[assignment]
        self.returned.source = self.config
        if record["status"] in DONE:
            self.returned.return_value, self.returned.status = final_score(record), JobStatus.COMPLETED
        else:
            self.returned.return_value = RuntimeError(record.get("error") or "the job left no record")
            self.returned.status = JobStatus.FAILED


def has_checkpoint(directory: Path) -> bool:
    """Return whether a run can go on from the last checkpoint in its directory. A damaged checkpoint is removed."""
    path = directory / LAST
    if not path.exists():
        return False
    with suppress(OSError, BadZipFile, EOFError), ZipFile(path) as file:
        if file.testzip() is None:
            return True
    log.warning("%s is damaged; the run begins again", path)
    path.unlink()
    return False


def _directory(config: DictConfig) -> Path:
    return Path(os.path.abspath(Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir))))  # noqa: PTH100 (no ..)


@lru_cache(maxsize=1000)
def _yaml(pickled: bytes) -> str:
    """Return the YAML text of an entry. The text of an entry that several jobs have is made only once."""
    return to_yaml(pickle.loads(pickled))


@contextmanager
def hydra_config(cfg: Any) -> Iterator[None]:
    """Inside a with block, let Hydra's singleton `HydraConfig` return `cfg`."""
    instance = HydraConfig.instance()
    before, instance.cfg = instance.cfg, cfg
    try:
        yield
    finally:
        instance.cfg = before


def log_files() -> list[logging.FileHandler]:
    """Return the file handlers of the root logger."""
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)]
