"""A job of a sweep, up to where its task would begin."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, configure_log, env_override
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict, read_write

from gaussgan.config.dotted import to_yaml
from gaussgan.sweep.logs import files


@dataclass(eq=False)
class Job:
    number: int
    overrides: Sequence[str]
    config: DictConfig  # with hydra
    returned: JobReturn = field(default_factory=JobReturn)
    task: dict[str, Any] = field(default_factory=dict)  # without hydra and resolved, from when the job has begun
    files: list[logging.FileHandler] = field(default_factory=list)  # of its log

    @property
    def run_dir(self) -> Path:
        return Path(self.task["run_dir"])


def begin(job: Job, task: TaskFunction, callbacks: Callbacks) -> None:
    """What hydra.core.utils.run_job does before a task: the directory, .hydra, the log, on_job_start.

    It takes half of the time, as it copies a configuration by pickle, and not three times.
    """
    config = job.config
    with hydra_config(config):  # for the interpolations of its directory's name
        directory = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(directory)
        OmegaConf.set_readonly(config.hydra, True)
        copies = pickle.dumps(config)
        cfg, hydra_cfg = pickle.loads(copies), pickle.loads(copies)
        for part, keys in ((cfg, ["hydra"]), (hydra_cfg, [key for key in hydra_cfg if key != "hydra"])):
            with flag_override(part, ["readonly", "struct"], False):
                for key in keys:
                    del part[key]
        hydra_cfg.hydra._set_parent(config)  # as Hydra does, for interpolations of what is not its own
        hydra, HydraConfig.instance().cfg = hydra_cfg.hydra, hydra_cfg
        job.returned = JobReturn(
            overrides=OmegaConf.to_container(config.hydra.overrides.task),  # type: ignore[arg-type]
            cfg=cfg,
            hydra_cfg=hydra_cfg,
            working_dir=str(Path.cwd()),
            task_name=JobRuntime.instance().get("name"),
        )
        directory.mkdir(parents=True, exist_ok=True)
        configure_log(hydra.job_logging, hydra.verbose)
        if hydra.output_subdir is not None:
            (directory / hydra.output_subdir).mkdir(exist_ok=True)
            for name, part in (("config", cfg), ("hydra", hydra_cfg), ("overrides", hydra.overrides.task)):
                text = to_yaml(OmegaConf.to_container(part, resolve=False, enum_to_str=True))
                (directory / hydra.output_subdir / f"{name}.yaml").write_text(text, encoding="utf-8")
        with env_override(hydra.job.env_set):
            callbacks.on_job_start(config=config, task_function=task)
        job.task, job.files = OmegaConf.to_container(cfg, resolve=True), files()  # type: ignore[assignment]


@contextmanager
def hydra_config(cfg: Any) -> Iterator[None]:
    """Hydra's own configuration for a while."""
    instance = HydraConfig.instance()
    before, instance.cfg = instance.cfg, cfg
    try:
        yield
    finally:
        instance.cfg = before
