"""Run tasks as jobs of submitit: on a SLURM cluster, or as processes of this machine in the same way."""

from __future__ import annotations

import io
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.schema import Rule, number, or_null, whole
from gaussgan.runs.files import writing
from gaussgan.runs.signals import NOTED
from gaussgan.sweep.executors.protocol import FROM_TERMINAL, STOP_SECONDS, Task, held
from gaussgan.sweep.executors.requeuing import Requeuing
from gaussgan.sweep.executors.settings import MAPPING, TEXT, TEXTS, check_settings, import_extra

log = logging.getLogger(__name__)

LOCAL: dict[str, Rule] = {
    "submitit_folder": TEXT,
    "timeout_min": whole(1),
    "signal_delay_s": whole(1),
    "max_num_timeout": whole(0),
    "array_parallelism": whole(1),
    "gpus_per_node": or_null(whole(0)),
}
GENERAL = ("name", "timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")  # submitit has names of its own for these
SLURM: dict[str, Rule] = {
    **LOCAL,
    "name": TEXT,
    "cpus_per_task": or_null(whole(1)),
    "mem_gb": or_null(number(0, strict=True)),
    **dict.fromkeys(("partition", "qos", "account", "constraint", "exclude", "gres", "comment"), or_null(TEXT)),
    "setup": or_null(TEXTS),
    "additional_parameters": or_null(MAPPING),
}
COMMAND_SECONDS = 30  # time limit of each of SLURM's commands
POLL_SECONDS = 10  # between two looks at SLURM's queue
LAG_SECONDS = 30  # how long a result may take to appear on a shared file system


class Local:
    """Runs each task as a job of submitit's local executor: as a process of this machine, with time limits as in SLURM.

    At most `array_parallelism` jobs run at a time.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def check(self) -> None:
        check_settings(self.settings, LOCAL)
        _check_time(self.settings)
        import_extra("submitit")

    @property
    def workers(self) -> int:
        workers: int = self.settings["array_parallelism"]
        return workers

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, str | None]]:
        submitit, settings = import_extra("submitit"), self.settings
        stopped = _stop_file(settings)
        executor = submitit.LocalExecutor(settings["submitit_folder"], settings["max_num_timeout"])
        executor.update_parameters(
            timeout_min=settings["timeout_min"],
            signal_delay_s=settings["signal_delay_s"],
            gpus_per_node=settings["gpus_per_node"] or 0,
        )
        waiting, jobs = enumerate(tasks), dict[int, Any]()
        try:
            while True:
                while len(jobs) < settings["array_parallelism"] and (task := next(waiting, None)):
                    with held(*FROM_TERMINAL):
                        jobs[task[0]] = executor.submit(Requeuing(task[1], stopped, os.getpid()))
                if not jobs:
                    return
                time.sleep(0.2)
                yield from _ended(jobs, lambda job: job.done())
        finally:
            if jobs:
                log.warning("Stopping %d tasks", len(jobs))
                stopped.touch()
                for job in jobs.values():
                    with suppress(ProcessLookupError):
                        os.kill(int(job.job_id), signal.SIGTERM)  # the job's controller, which tells the task
                _wait(lambda: all(job.done() for job in jobs.values()))


class Slurm:
    """Runs the tasks as a job array on a SLURM cluster. A job that is preempted goes back to the queue."""

    workers = 1  # a task of a few runs would waste a node

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def check(self) -> None:
        check_settings(self.settings, SLURM)
        _check_time(self.settings)
        import_extra("submitit")
        for command in ("sbatch", "srun", "squeue", "scancel", "scontrol"):
            if shutil.which(command) is None:
                raise ConfigError(
                    f"hydra/launcher=submitit_slurm needs SLURM, but the command {command} is not here; start the sweep"
                    " on a login node of the cluster, or use hydra/launcher=submitit_local"
                )
        if (answer := _command("scontrol", "ping")) is None or " DOWN" in answer:
            raise ConfigError("hydra/launcher=submitit_slurm: SLURM's controller does not answer (scontrol ping)")

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, str | None]]:
        stopped = _stop_file(self.settings)
        with held(*NOTED):  # a signal now would leave jobs in the queue that nobody knows
            jobs = dict(enumerate(self._submit([Requeuing(task, stopped) for task in tasks])))
        log.info("Submitted %d tasks to SLURM, as job %s", len(jobs), jobs[0].job_id.partition("_")[0])
        seen = dict.fromkeys((job.job_id for job in jobs.values()), time.monotonic())

        def has_ended(job: Any) -> bool:
            return job.paths.result_pickle.exists() or time.monotonic() > seen[job.job_id] + LAG_SECONDS

        try:
            while jobs:
                time.sleep(POLL_SECONDS)
                queue = _queue()
                seen.update(dict.fromkeys(seen if queue is None else queue, time.monotonic()))
                yield from _ended(jobs, has_ended)
        finally:
            if jobs:
                log.warning("Cancelling %d tasks of SLURM", len(jobs))
                with held(*NOTED):
                    stopped.touch()
                    _command("scancel", *{job.job_id.partition("_")[0] for job in jobs.values()})
                _wait(lambda: not {job.job_id for job in jobs.values()} & (_queue() or set()))

    def _submit(self, calls: Sequence[Requeuing]) -> list[Any]:
        submitit, settings = import_extra("submitit"), self.settings
        executor = submitit.AutoExecutor(
            settings["submitit_folder"], cluster="slurm", slurm_max_num_timeout=settings["max_num_timeout"]
        )
        own = {key: settings[key] for key in SLURM.keys() - {*GENERAL, "submitit_folder", "max_num_timeout"}}
        own["additional_parameters"] = {"requeue": True, **(own["additional_parameters"] or {})}
        executor.update_parameters(
            **{key: settings[key] for key in GENERAL}, **{f"slurm_{key}": value for key, value in own.items()}
        )
        try:
            with redirect_stderr(io.StringIO()):  # submitit also prints the message of the error
                jobs: list[Any] = executor.submit_array(calls)
        except (RuntimeError, OSError) as error:
            raise ConfigError(f"hydra.launcher: SLURM refuses the jobs ({one_line(error)})") from error
        return jobs


def _check_time(settings: Mapping[str, Any]) -> None:
    if settings["signal_delay_s"] >= 60 * settings["timeout_min"]:
        raise ConfigError(
            "hydra.launcher.signal_delay_s must be below 60 × hydra.launcher.timeout_min ="
            f" {60 * settings['timeout_min']} (got {settings['signal_delay_s']})"
        )


def _stop_file(settings: Mapping[str, Any]) -> Path:
    """Return the path of the file that says that the jobs are cancelled. Remove the file of an earlier sweep.

    The file is in the folder of the jobs, or above that, if the folder's name contains %j, the number of a job.
    """
    folder = Path(*takewhile(lambda part: "%" not in part, Path(settings["submitit_folder"]).parts)).absolute()
    with writing("hydra.launcher.submitit_folder"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stopped").unlink(missing_ok=True)
    return folder / "stopped"


def _ended(jobs: dict[int, Any], has_ended: Callable[[Any], bool]) -> Iterator[tuple[int, str | None]]:
    """Remove the jobs that have ended. Yield (index, why), as `Executor.run` does."""
    for index, job in [*jobs.items()]:
        if has_ended(job):
            del jobs[index]
            paths = job.paths
            yield index, job.result() if paths.result_pickle.exists() else f"its job left no result; see {paths.stderr}"


def _wait(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, but at most `STOP_SECONDS`."""
    end = time.monotonic() + STOP_SECONDS
    while not condition() and time.monotonic() < end:
        time.sleep(0.5)


def _queue() -> set[str] | None:
    """Return the numbers of this user's jobs that wait, run or end, such as "17_3"; None if SLURM does not answer."""
    answer = _command("squeue", "--me", "--array", "--noheader", "--format=%i")
    return None if answer is None else {*answer.split()}


def _command(*words: str) -> str | None:
    """Run a command of SLURM. Return what it prints; None if it fails or takes too long."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        log.debug("%s: %s", words[0], error)
        return None
    return done.stdout
