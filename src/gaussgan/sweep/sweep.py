"""Run the jobs of a sweep: plan what is left to do, divide it into tasks, and give the tasks to an executor."""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.config.schema import BOOLEAN, or_null, whole
from gaussgan.config.units import clock
from gaussgan.runs.directory import LAST, Busy, is_locked
from gaussgan.runs.record import write_record
from gaussgan.sweep.executors.protocol import Executor, with_retries
from gaussgan.sweep.grouping import group_key, job_ranges, reason_alone
from gaussgan.sweep.jobs import DONE, Job
from gaussgan.sweep.modes import settle_modes
from gaussgan.sweep.plan import place_jobs, record_killed
from gaussgan.sweep.task import GROUPS, Task, group_directory, no_garbage_collection, read_members

log = logging.getLogger(__name__)
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


class Sweep:
    """Runs the jobs of a sweep. `launch` runs them.

    Args:
        context: Hydra's context, which contains the config loader and Hydra's callbacks.
        task: the function that runs one job alone.
        config: the configuration of the sweep, including Hydra's own configuration.
        executor: runs the tasks.
        max_replicas: the largest number of jobs that are trained together; None for no limit.
        dry_run: whether to run nothing. `closing.print_plan` then lists what would be run.
    """

    def __init__(
        self,
        context: HydraContext,
        task: TaskFunction,
        config: DictConfig,
        executor: Executor,
        max_replicas: int | None,
        dry_run: bool,
    ) -> None:
        self.context, self.task, self.config = context, task, config
        self.executor, self.max_replicas, self.dry_run = executor, max_replicas, dry_run
        self.directory = Path(os.path.abspath(str(config.hydra.sweep.dir)))  # noqa: PTH100 (without ..)
        self.jobs: list[Job] = []  # of all calls of `launch`

    def launch(self, overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        """Run the jobs that are not done yet. Return the results of all jobs.

        Args:
            overrides: the overrides of each job.
            first: the number of the first job. It is not zero if a sweeper proposes its jobs in batches.
        """
        setup_globals()
        self._log_as_sweep()
        with no_garbage_collection():
            loader: Any = self.context.config_loader  # a `Composer`
            configs = loader.compose_batch(self.config, overrides)
            jobs = [Job(first + i, *each) for i, each in enumerate(zip(overrides, configs, strict=True))]
            settle_modes(jobs, self.directory, not self.dry_run)
            grows = bool(first or self.jobs) or self.config.hydra.sweeper._target_ != BASIC_SWEEPER
            if not self.dry_run:
                record_killed(self.directory)
            place_jobs(jobs, self.directory, grows)
            self.jobs += jobs
            going_on = self._groups_that_go_on(jobs)
            in_groups = {job for members in going_on.values() for job in members}
            for job in jobs:
                job.goes_on = not job.is_done and (job in in_groups or (job.run_dir / LAST).exists())
            if self.dry_run:
                for job in jobs:
                    job.finish(math.inf)
                return [job.returned for job in jobs]
            tasks = self._tasks(jobs, going_on)
        done = [job for job in jobs if job.is_done]
        for job in done:
            job.conclude()
        log.info("%s in %s", ", ".join(self._summary(jobs, done)), self.directory)
        started, ended = perf_counter(), 0
        for i, lost in with_retries(self.executor, tasks):
            self._log_as_sweep()
            for job in tasks[i].jobs:
                if job in done:
                    continue
                ended += 1
                if lost is not None and job.record["status"] not in (*DONE, "failed"):
                    write_record(job.run_dir, {**job.record, "status": "failed", "error": lost})
                job.conclude()
            left = (perf_counter() - started) / max(ended, 1) * (len(jobs) - len(done) - ended)
            failed = sum(job.returned.status == JobStatus.FAILED for job in jobs)
            notes = [*([f"{failed} failed"] if failed else []), *([f"{clock(left)} left"] if left else [])]
            log.info("%s", ", ".join([f"{len(done) + ended} of {len(jobs)} jobs have ended", *notes]))
        return [job.returned for job in jobs]

    def _summary(self, jobs: Sequence[Job], done: Sequence[Job]) -> Iterator[str]:
        going_on = sum(job.goes_on for job in jobs)
        yield f"Launching {len(jobs) - len(done)} jobs"
        if done:
            yield f"{len(done)} are done"
        if going_on:
            yield f"{going_on} go on"

    def _log_as_sweep(self) -> None:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def _tasks(self, jobs: Sequence[Job], going_on: Mapping[Path, Sequence[Job]]) -> list[Task]:
        """Divide the jobs that are not done into tasks. The tasks are in the order of their first jobs.

        Args:
            jobs: all jobs.
            going_on: the jobs of each group that goes on from a checkpoint, by its directory.
        """
        todo = [job for job in jobs if not job.is_done]
        self._remove_groups(jobs, todo, going_on)
        tasks = [self._task(members, group) for group, members in going_on.items()]
        left = {*todo}.difference(*(task.jobs for task in tasks))
        workers = getattr(self.executor, "workers", 1)
        # All jobs are divided, also those that are done: the last digits of a run depend on how many train together.
        for group in [[job] for job in jobs] if self.max_replicas == 1 else _groups(jobs, left):
            size = self.max_replicas or len(group)
            if workers and len(group) > 1:  # give every worker something to do
                size = min(size, -(-len(group) // workers))
            for i in range(0, len(group), size):
                chunk = [job for job in group[i : i + size] if job in left]
                own = [[job] for job in chunk if job.goes_on]
                for each in [*own, [job for job in chunk if not job.goes_on]]:
                    if each:
                        tasks.append(self._task(each, group_directory(self.directory, each) if each[1:] else None))
        return sorted(tasks, key=lambda task: task.jobs[0].number)

    def _task(self, jobs: Sequence[Job], group: Path | None) -> Task:
        context = HydraContext(config_loader=None, callbacks=self.context.callbacks)  # type: ignore[arg-type]
        return Task(jobs, group, context, self.task, JobRuntime.instance().get("name"))

    def _groups_that_go_on(self, jobs: Sequence[Job]) -> dict[Path, list[Job]]:
        """Return the jobs of each group whose training was stopped and can go on from a checkpoint, by its directory.

        A group goes on only if all its jobs are in this sweep.
        """
        found = {group: members for group, members in self._stopped_groups(jobs) if (group / LAST).exists()}
        return {group: [job for job in members if job] for group, members in found.items() if members and all(members)}

    def _remove_groups(self, jobs: Sequence[Job], todo: Sequence[Job], going_on: Collection[Path]) -> None:
        """Remove the directories of those groups that cannot go on, because their jobs begin again."""
        for group, members in self._stopped_groups(jobs):
            if group not in going_on and any(job in todo for job in members):
                if is_locked(group):
                    raise Busy(f"hydra.sweep.dir: another process still trains jobs of this sweep, in {group}")
                shutil.rmtree(group)

    def _stopped_groups(self, jobs: Sequence[Job]) -> Iterator[tuple[Path, list[Job | None]]]:
        """Yield the directory and the jobs of each stopped group. A job that is not in this sweep is None."""
        known = {(job.run_dir, job.fingerprint): job for job in jobs}
        for group in sorted((self.directory / GROUPS).glob("*")):
            yield group, [known.get(member) for member in read_members(group)]


sweeps: list[Sweep] = []  # the sweeps that this process has begun; one, except in tests


def begin(*arguments: Any) -> Sweep:
    """Return a new `Sweep`, and remember it for the end of the process, which prints how its jobs ended."""
    sweeps.append(Sweep(*arguments))
    return sweeps[-1]


def _groups(jobs: Sequence[Job], left: Collection[Job]) -> list[list[Job]]:
    """Divide jobs into groups that can be trained together. The groups are in the order of their first jobs.

    For those of the jobs that are `left` to run, the log says which must be trained alone.
    """
    groups: dict[str | int, list[Job]] = {}
    alone: dict[str, list[int]] = {}
    for i, job in enumerate(jobs):
        group: str | int = i
        try:
            check(job.config, job.task)
            reason = reason_alone(job.plain)
            if job.task is None:
                log.debug("#%d cannot be resolved; it is run alone and reports the error", job.number)
            elif reason is None:
                group = group_key(job.plain, job.task)
            if job in left and (reason := "it goes on from its checkpoint" if job.goes_on else reason):
                alone.setdefault(reason, []).append(job.number)
        except Exception:
            log.debug("#%d is run alone and reports the error", job.number, exc_info=True)
        groups.setdefault(group, []).append(job)
    if alone:
        reasons = "; ".join(f"{job_ranges(numbers)} ({reason})" for reason, numbers in alone.items())
        log.info("Not trained together with others: %s", reasons)
    return [*groups.values()]


def check_options(max_replicas: object, dry_run: object) -> None:
    """Check the options that all launchers have.

    Raises:
        ConfigError: when an option has a wrong value.
    """
    for name, value, (text, holds) in (
        ("max_replicas", max_replicas, or_null(whole(1))),
        ("dry_run", dry_run, BOOLEAN),
    ):
        if not holds(value):
            raise ConfigError(f"hydra.launcher.{name} must be {text} (got {value})")
