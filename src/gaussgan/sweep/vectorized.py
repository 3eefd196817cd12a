"""Run the jobs of a sweep. Jobs that differ only in numbers are trained together and write no figures."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from gaussgan.config.check import check
from gaussgan.config.errors import one_line
from gaussgan.runs.directory import holds_a_run
from gaussgan.runs.job_errors import FULL, report
from gaussgan.runs.signals import exit_code, noting, received
from gaussgan.sweep.grouping import group_key, job_ranges, reason_alone
from gaussgan.sweep.jobs import Job, JobLogs, hydra_config, logging_to

log = logging.getLogger(__name__)


class Sweep:
    """Runs the jobs of a sweep. `launch` runs them.

    Args:
        context: Hydra's context, which contains the config loader and Hydra's callbacks.
        task: the function that runs one job alone.
        config: the configuration of the sweep, including Hydra's own configuration.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = context, task, config

    def launch(self, overrides: Sequence[Sequence[str]], first: int, max_replicas: int | None) -> Sequence[JobReturn]:
        setup_globals()
        self._log_as_sweep()
        directory = Path(str(self.config.hydra.sweep.dir))
        directory.mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs locally; jobs that differ only in numbers are trained together", len(overrides))
        with _no_garbage_collection():
            jobs = [self._compose(first + i, each) for i, each in enumerate(overrides)]
            groups = _groups(jobs)
        for group in groups:
            size = max_replicas or len(group)
            for i in range(0, len(group), size):
                self._run(group[i : i + size])
                self._log_as_sweep()
        failed = job_ranges([job.number for job in jobs if job.returned.status == JobStatus.FAILED])
        log.info("%d jobs have ended%s: %s", len(jobs), f"; these failed: {failed}" if failed else "", directory)
        return [job.returned for job in jobs]

    def _log_as_sweep(self) -> None:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def _compose(self, number: int, overrides: Sequence[str]) -> Job:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return Job(number, overrides, config)

    def _run(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            log.info("\t#%d : %s", job.number, " ".join(filter_overrides(job.overrides)))
        ended: Sequence[Job] = []
        if len(jobs) > 1:
            with _no_garbage_collection():
                begun = [job for job in jobs if self._begins(job)]
                # If several jobs have the same directory, only the first is trained with others.
                owners = {job.run_dir.resolve(): job for job in reversed(begun)}
                together = [job for job in begun if job in owners.values()]
                ended = self._train(together) if len(together) > 1 else []
        for job in jobs:
            if job not in ended:
                job.run(self.context, self.task)

    def _begins(self, job: Job) -> bool:
        try:
            job.begin(self.context, self.task)
        except Exception:
            log.debug("#%d is run alone and reports the error", job.number, exc_info=True)
            return False
        return True

    def _train(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Try to train jobs together. Return the jobs that ended, with or without an error.

        If the jobs cannot be trained together, those that were not started are not returned. The caller must run them
        alone.

        Args:
            jobs: jobs whose method `begin` was called.
        """
        logs, first = JobLogs(jobs), jobs[0].config
        outcomes: Sequence[float | Exception | None]
        with logging_to(logs):
            try:
                with hydra_config(first), env_override(first.hydra.job.env_set), noting():
                    from gaussgan.sweep.together import train_together  # imports torch, which reads the environment

                    numbers = job_ranges([job.number for job in jobs])
                    log.info("Training %d runs together, without figures: %s", len(jobs), numbers)
                    outcomes = train_together([job.task for job in jobs])
            except Exception as error:
                log.warning(
                    "The runs cannot be trained together and are run one by one: %s", one_line(error), exc_info=FULL
                )
                outcomes = [error if holds_a_run(job.run_dir) else None for job in jobs]
            ended = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if outcome is not None]
            for job, outcome in ended:
                logs.owner = str(job.run_dir)
                with hydra_config(job.config):
                    if isinstance(outcome, Exception):
                        report(outcome)
                    job.end(self.context, outcome)
        if received():  # a signal came during the last iterations; the runs are complete
            raise SystemExit(exit_code())
        return [job for job, _ in ended]


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Divide jobs into groups that can be trained together. The groups are in the order of their first jobs."""
    groups: dict[str | int, list[Job]] = {}
    alone: dict[str, list[int]] = {}
    for job in jobs:
        group: str | int = job.number
        try:
            check(job.config)
            config: dict[str, Any] = OmegaConf.to_container(job.config, resolve=False)  # type: ignore[assignment]
            if reason := reason_alone(config):
                alone.setdefault(reason, []).append(job.number)
            else:
                group = group_key(job.config, config)
        except Exception:
            log.debug("#%d is run alone and reports the error", job.number, exc_info=True)
        groups.setdefault(group, []).append(job)
    if alone:
        reasons = "; ".join(f"{job_ranges(numbers)} ({reason})" for reason, numbers in alone.items())
        log.info("Not trained together with others: %s", reasons)
    return [*groups.values()]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Disable Python's garbage collection inside a with block.

    While a sweep composes its configurations, garbage collection would take 1/8 of the time and would free nothing. It
    is also disabled while jobs are trained together.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
