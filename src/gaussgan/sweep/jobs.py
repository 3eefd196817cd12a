"""Start and end the jobs of a sweep as Hydra does, and copy log records to the files of all jobs."""

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
    """One job of a sweep. Call `run` to run it alone. To train it with others, call `begin`, train, and call `end`."""

    number: int
    overrides: Sequence[str]
    config: DictConfig  # with Hydra's own configuration
    returned: JobReturn = field(default_factory=JobReturn)
    task: dict[str, Any] = field(default_factory=dict)  # the job's resolved configuration, after `begin`
    files: list[logging.FileHandler] = field(default_factory=list)  # its log files

    @property
    def run_dir(self) -> Path:
        return Path(self.task["run_dir"])

    def run(self, context: HydraContext, task: TaskFunction) -> None:
        self.returned = run_job(task, self.config, "hydra.sweep.dir", "hydra.sweep.subdir", context)

    def begin(self, context: HydraContext, task: TaskFunction) -> None:
        """Do what Hydra's `run_job` does before a task: make the directory and .hydra, open the log, call on_job_start.

        This takes half of Hydra's time, because it copies with pickle and uses a faster YAML writer.
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
        """Do what Hydra's `run_job` does after a task.

        Args:
            outcome: the value that the task returned, or the error that it raised.
        """
        self.returned.return_value = outcome
        self.returned.status = JobStatus.FAILED if isinstance(outcome, Exception) else JobStatus.COMPLETED
        context.callbacks.on_job_end(config=self.config, job_return=self.returned)


@contextmanager
def hydra_config(cfg: Any) -> Iterator[None]:
    """Set the configuration that `HydraConfig` returns inside a with block."""
    instance = HydraConfig.instance()
    before, instance.cfg = instance.cfg, cfg
    try:
        yield
    finally:
        instance.cfg = before


class JobLogs(logging.Handler):
    """Copies each log record to the files of all jobs, unless the record belongs to one job.

    A record with the attribute `run_dir` belongs to the job with this directory. A record without it belongs to the job
    with the directory `owner`, or to all jobs if `owner` is None. A file is open only while a record is written,
    because a process cannot have a thousand open files.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__()
        self._files = {str(job.run_dir): job.files for job in jobs}
        self.owner: str | None = None  # the run_dir of a job

    def emit(self, record: logging.LogRecord) -> None:
        owner = getattr(record, "run_dir", self.owner)
        for run_dir, files in self._files.items():
            for file in files if owner in (None, run_dir) else ():
                if record.levelno >= file.level:
                    file.handle(record)
                    file.close()


@contextmanager
def logging_to(logs: JobLogs) -> Iterator[None]:
    """Send log records to `logs` inside a with block.

    The log file of the job that began last is removed from the root logger, and is not added again.
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
