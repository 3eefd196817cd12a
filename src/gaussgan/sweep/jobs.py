"""Start and end the jobs of a sweep as Hydra does. Write log records to the log files of several jobs at once."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, env_override, run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gaussgan.config.dotted import to_yaml


@dataclass(eq=False)
class Job:
    """One job of a sweep. The method `run` runs the job alone.

    To train the job together with other jobs, call `begin` for each job, train the jobs, and call `end` for each job.
    """

    number: int
    overrides: Sequence[str]
    config: DictConfig  # it includes Hydra's own configuration, under the key hydra
    returned: JobReturn = field(default_factory=JobReturn)
    task: dict[str, Any] = field(default_factory=dict)  # the job's resolved configuration, after `begin`
    files: list[logging.FileHandler] = field(default_factory=list)  # the log files of the job, after `begin`

    @property
    def run_dir(self) -> Path:
        return Path(self.task["run_dir"])

    def run(self, context: HydraContext, task: TaskFunction) -> None:
        self.returned = run_job(task, self.config, "hydra.sweep.dir", "hydra.sweep.subdir", context)

    def begin(self, context: HydraContext, task: TaskFunction) -> None:
        """Do what Hydra's function `run_job` does before it runs a job.

        Make the job's directory and its subdirectory .hydra, open the job's log file, and call the hook on_job_start of
        Hydra's callbacks. This method takes half the time that `run_job` takes, because it copies the configuration
        with pickle and writes it with a faster YAML writer.

        Args:
            context: Hydra's context, which contains Hydra's callbacks.
            task: the function that runs one job. Here it is only passed to on_job_start, and not called.
        """
        config = self.config
        with hydra_config(config):  # the directory's name may contain interpolations of Hydra's configuration
            directory = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
            with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
                config.hydra.runtime.output_dir = str(directory)
            OmegaConf.set_readonly(config.hydra, True)
            pickled = pickle.dumps(config)
            cfg, hydra_cfg = pickle.loads(pickled), pickle.loads(pickled)
            for node, others in ((cfg, ["hydra"]), (hydra_cfg, [key for key in config if key != "hydra"])):
                with read_write(node), open_dict(node):
                    for key in others:
                        del node[key]
            overrides: Any = OmegaConf.to_container(config.hydra.overrides.task)
            name = JobRuntime.instance().get("name")
            self.returned = JobReturn(overrides, cfg, hydra_cfg, working_dir=str(Path.cwd()), task_name=name)
            directory.mkdir(parents=True, exist_ok=True)
            configure_log(config.hydra.job_logging, config.hydra.verbose)
            if config.hydra.output_subdir is not None:
                (directory / config.hydra.output_subdir).mkdir(exist_ok=True)
                nodes = {"config": cfg, "hydra": hydra_cfg, "overrides": config.hydra.overrides.task}
                for name, node in nodes.items():
                    text = to_yaml(OmegaConf.to_container(node, resolve=False, enum_to_str=True))
                    (directory / config.hydra.output_subdir / f"{name}.yaml").write_text(text, encoding="utf-8")
            with env_override(config.hydra.job.env_set):
                context.callbacks.on_job_start(config=config, task_function=task)
            self.task = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        self.files = _log_files()

    def end(self, context: HydraContext, outcome: float | Exception) -> None:
        """Do what Hydra's function `run_job` does after it has run a job.

        Set the job's result, and call the hook on_job_end of Hydra's callbacks.

        Args:
            context: Hydra's context, which contains Hydra's callbacks.
            outcome: the score of the job, or the error that ended the job.
        """
        self.returned.return_value = outcome
        self.returned.status = JobStatus.FAILED if isinstance(outcome, Exception) else JobStatus.COMPLETED
        context.callbacks.on_job_end(config=self.config, job_return=self.returned)


@contextmanager
def hydra_config(cfg: Any) -> Iterator[None]:
    """Inside a with block, let Hydra's singleton `HydraConfig` return `cfg`."""
    instance = HydraConfig.instance()
    before, instance.cfg = instance.cfg, cfg
    try:
        yield
    finally:
        instance.cfg = before


class JobLogs(logging.Handler):
    """A log handler that writes each record to the log files of one job or of all jobs.

    A record with an attribute `run_dir` goes to the job with that directory. Every other record goes to the job whose
    directory is the handler's attribute `owner`, or to all jobs if `owner` is None. Each log file is closed again after
    every record, because a process cannot have a thousand open files.

    Args:
        jobs: jobs whose method `begin` was called.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__()
        self._files = {str(job.run_dir): job.files for job in jobs}
        self.owner: str | None = None  # the directory of a job, or None

    def emit(self, record: logging.LogRecord) -> None:
        owner = getattr(record, "run_dir", self.owner)
        for run_dir, files in self._files.items():
            for file in files if owner in (None, run_dir) else ():
                if record.levelno >= file.level:
                    file.handle(record)
                    file.close()


@contextmanager
def logging_to(logs: JobLogs) -> Iterator[None]:
    """Inside a with block, send log records to `logs`, and no longer to the log files of the root logger.

    These log files belong to the job that began last. After the block, the root logger does not write to them again.
    """
    root = logging.getLogger()
    for handler in _log_files():
        root.removeHandler(handler)
    root.addHandler(logs)
    try:
        yield
    finally:
        root.removeHandler(logs)


def _log_files() -> list[logging.FileHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)]
