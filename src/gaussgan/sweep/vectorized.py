"""A sweep's jobs, those that differ in numbers alone as one run, each with what it would have alone but figures."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from gaussgan.config.check import check
from gaussgan.config.errors import FULL, one_line, report
from gaussgan.runs.directory import holds_a_run
from gaussgan.runs.signals import exit_code, noting, received
from gaussgan.sweep.grouping import kind, reason_alone, spans
from gaussgan.sweep.jobs import Job, begin, hydra_config
from gaussgan.sweep.logs import JobLogs, instead_of_files

log = logging.getLogger(__name__)


class Sweep:
    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = context, task, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], first: int, max_replicas: int | None
    ) -> Sequence[JobReturn]:
        setup_globals()
        self._log_as_sweep()
        directory = Path(str(self.config.hydra.sweep.dir))
        directory.mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs locally, together where they differ in numbers alone", len(job_overrides))
        with _no_garbage():
            jobs = [self._compose(first + i, overrides) for i, overrides in enumerate(job_overrides)]
            groups = self._groups(jobs, max_replicas)
        for group in groups:
            for job in group:
                log.info("\t#%d : %s", job.number, " ".join(filter_overrides(job.overrides)))
            if len(group) == 1:
                self._run(group[0])
            else:
                with _no_garbage():
                    self._run_together(group)
            self._log_as_sweep()
        failed = spans([job.number for job in jobs if job.returned.status == JobStatus.FAILED])
        log.info("%d jobs are done%s: %s", len(jobs), f", of which {failed} failed" if failed else "", directory)
        return [job.returned for job in jobs]

    def _log_as_sweep(self) -> None:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def _compose(self, number: int, overrides: Sequence[str]) -> Job:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return Job(number, overrides, config)

    def _groups(self, jobs: Sequence[Job], max_replicas: int | None) -> list[list[Job]]:
        """In the order of their first jobs."""
        groups: dict[str | int, list[Job]] = {}
        alone: dict[str, list[int]] = {}
        for job in jobs:
            together: str | int = job.number
            try:
                check(job.config)
                config: dict[str, Any] = OmegaConf.to_container(job.config, resolve=False)  # type: ignore[assignment]
                if reason := reason_alone(config):
                    alone.setdefault(reason, []).append(job.number)
                else:
                    together = kind(job.config, config)
            except Exception:
                log.debug("#%d is run alone, and says what is wrong", job.number, exc_info=True)
            groups.setdefault(together, []).append(job)
        if alone:
            reasons = "; ".join(f"{spans(numbers)} ({reason})" for reason, numbers in alone.items())
            log.info("Not trained together with others: %s", reasons)
        return [
            group[i : i + size]
            for group in groups.values()
            for size in [max_replicas or len(group)]
            for i in range(0, len(group), size)
        ]

    def _run(self, job: Job) -> None:
        job.returned = run_job(
            hydra_context=self.context,
            task_function=self.task,
            config=job.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )

    def _run_together(self, jobs: Sequence[Job]) -> None:
        begun = [job for job in jobs if self._begins(job)]
        owners = {job.run_dir.resolve(): job for job in reversed(begun)}  # the first job of each directory
        together = [job for job in begun if job in owners.values()]
        ended = self._train(together) if len(together) > 1 else []
        for job in jobs:
            if job not in ended:
                self._run(job)

    def _begins(self, job: Job) -> bool:
        try:
            begin(job, self.task, self.context.callbacks)
        except Exception:
            log.debug("#%d is run alone, and says what is wrong", job.number, exc_info=True)
            return False
        return True

    def _train(self, jobs: Sequence[Job]) -> list[Job]:
        """Train begun jobs, and return those that have ended, well or not; the others are still to be run."""
        logs = JobLogs({str(job.run_dir): job.files for job in jobs})
        outcomes: Sequence[float | Exception | None]
        with instead_of_files(logs):
            try:
                first = jobs[0].returned.hydra_cfg
                with hydra_config(first), env_override(first.hydra.job.env_set), noting():  # type: ignore[union-attr]
                    from gaussgan.sweep.together import train_together

                    log.info(
                        "%d runs trained as one, without figures: %s", len(jobs), spans([job.number for job in jobs])
                    )
                    outcomes = train_together([job.task for job in jobs])
            except Exception as error:
                log.warning("They could not be, and are run one by one: %s", one_line(error), exc_info=FULL)
                outcomes = [error if holds_a_run(job.run_dir) else None for job in jobs]
            ended = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if outcome is not None]
            for job, outcome in ended:
                with hydra_config(job.returned.hydra_cfg), logs.only(str(job.run_dir)):
                    self._end(job, outcome)
        if received():  # in the last block, which they completed
            raise SystemExit(exit_code())
        return [job for job, _ in ended]

    def _end(self, job: Job, outcome: float | Exception) -> None:
        """What Hydra does after a task."""
        if isinstance(outcome, Exception):
            report(outcome)
        job.returned.return_value = outcome
        job.returned.status = JobStatus.FAILED if isinstance(outcome, Exception) else JobStatus.COMPLETED
        self.context.callbacks.on_job_end(config=job.config, job_return=job.returned)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Without a search for garbage: among so many configurations, which all stay, it takes an eighth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
