"""Run jobs of a sweep in one process: one job alone, or several that are trained together."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from hydra.core.utils import JobRuntime, env_override, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from hydra.version import setbase

from gaussgan.config.errors import one_line
from gaussgan.runs.directory import Busy
from gaussgan.runs.files import write_whole
from gaussgan.runs.job_errors import FULL, disk_is_full, report
from gaussgan.runs.signals import exit_code, noting, received
from gaussgan.sweep.grouping import job_ranges
from gaussgan.sweep.job_logs import JobLogs, logging_to
from gaussgan.sweep.jobs import Job, has_checkpoint, hydra_config

log = logging.getLogger(__name__)

GROUPS, MEMBERS = ".groups", "members.json"  # in the directory of a sweep; in the directory of a group


@dataclass
class Task:
    """Runs jobs in one process. A task that was stopped or killed can be called again, and does what is left.

    A task can be pickled, and called in another process. What happened is in the records of the jobs' runs.

    Args:
        jobs: the jobs. If there are several, they differ only in numbers and are trained together.
        group: the directory of the run whose replicas are the jobs; None for one job.
        context: Hydra's context, which contains Hydra's callbacks.
        task: the function that runs one job alone.
        name: the name of the program, as Hydra knows it.
    """

    jobs: Sequence[Job]
    group: Path | None
    context: HydraContext
    task: TaskFunction
    name: str
    parent: int = field(default_factory=os.getpid)

    def __call__(self) -> None:
        if os.getpid() == self.parent:
            self._run()
        else:
            JobRuntime.instance().set("name", self.name)
            with _as_worker():
                self._run()

    def _run(self) -> None:
        left = [job for job in self.jobs if not job.is_done]
        for job in left:
            shown = [each if len(each) <= 80 else f"{each[:77]}…" for each in filter_overrides(job.overrides)]
            log.info("\t#%d : %s", job.number, " ".join(shown))  # a search gives lists of a thousand numbers
        if self.group is not None and (len(left) > 1 or has_checkpoint(self.group)):
            left = self._train_together()
        for job in left:
            self._run_alone(job)

    def _run_alone(self, job: Job) -> None:
        try:
            job.run(self.context, self.task)
        except Exception as error:  # before the run could begin
            report(error)
            job.finish(error)

    def _train_together(self) -> list[Job]:
        """Try to train the jobs together. Return the jobs that must be run alone."""
        assert self.group is not None
        goes_on = has_checkpoint(self.group)
        members = [*self.jobs] if goes_on else [job for job in self.jobs if not job.is_done]
        with no_garbage_collection():
            begun = [job for job in members if job.is_done or self._begins(job)]
            # If several jobs have the same directory, only the first is trained with others.
            owners = {job.run_dir.resolve(): job for job in reversed(begun)}
            together = [job for job in begun if owners[job.run_dir.resolve()] is job]
            if len(together) > 1 and (together == [*self.jobs] or not goes_on):
                ended = self._train(together)
                return [job for job in members if job not in ended and not job.is_done]
        return [job for job in members if not job.is_done]

    def _begins(self, job: Job) -> bool:
        try:
            job.begin(self.context, self.task)
        except Exception:
            log.debug("#%d is run alone and reports the error", job.number, exc_info=True)
            return False
        return True

    def _train(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Train jobs together. Return those that ended, with or without an error."""
        assert self.group is not None
        first = jobs[0].config
        written = [i for i, job in enumerate(jobs) if job.is_done]
        logs = JobLogs([job for i, job in enumerate(jobs) if i not in written])
        outcomes: Sequence[float | Exception | None]
        with logging_to(logs), ExitStack() as stack:
            for manager in (hydra_config(first), env_override(first.hydra.job.env_set), noting()):
                stack.enter_context(manager)
            try:
                write_members(self.group, jobs)
                from gaussgan.sweep.together import train_together  # imports torch, which reads the environment

                numbers = job_ranges(sorted(job.number for job in jobs))
                log.info("Training %d runs together, without figures: %s", len(jobs), numbers)
                outcomes = train_together([job.task or {} for job in jobs], self.group, written)
                with suppress(OSError):
                    self.group.parent.rmdir()  # if it was the last group
            except Exception as error:
                if isinstance(error, Busy) or disk_is_full(error):
                    outcomes = [error] * len(jobs)
                else:
                    line = one_line(error)
                    log.warning("The runs cannot be trained together and are run one by one: %s", line, exc_info=FULL)
                    outcomes = [None] * len(jobs)
                    shutil.rmtree(self.group, ignore_errors=True)
            stack.close()
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


def group_directory(sweep: Path, jobs: Sequence[Job]) -> Path:
    """Return the directory of the run whose replicas are these jobs."""
    text = json.dumps([[str(job.run_dir), job.fingerprint] for job in jobs])
    return sweep / GROUPS / sha256(text.encode()).hexdigest()[:12]


def write_members(group: Path, jobs: Sequence[Job]) -> None:
    """Write down which jobs are the replicas of a run, in their order."""
    group.mkdir(parents=True, exist_ok=True)
    members = [[os.path.relpath(job.run_dir, group), job.fingerprint] for job in jobs]
    write_whole(group / MEMBERS, json.dumps(members).encode())


def read_members(group: Path) -> list[tuple[Path, str]]:
    """Return the directory and the fingerprint of each job that is a replica of a run, in their order."""
    try:
        members = json.loads((group / MEMBERS).read_text())
        return [(Path(os.path.normpath(group / directory)), fingerprint) for directory, fingerprint in members]
    except (OSError, ValueError, TypeError):
        return []


@contextmanager
def _as_worker() -> Iterator[None]:
    """Prepare a worker process for a job. Inside the with block, nothing is printed: the run's log file has it all."""
    setup_globals()
    setbase("1.3")  # as in `launch`; otherwise Hydra makes the job's directory the current one
    console = logging.getLogger().handlers
    with Path(os.devnull).open("w") as devnull, redirect_stdout(devnull):
        stderr, sys.stderr = sys.stderr, devnull
        try:
            yield
        finally:
            sys.stderr = stderr
            logging.getLogger().handlers[:] = console


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Disable Python's garbage collection inside a with block, where it would take long and free nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
