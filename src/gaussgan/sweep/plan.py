"""Compare the jobs of a sweep with the runs that its directory already holds, and give each job a directory.

A job is identified by its settings, not by its number. So the same command goes on with a sweep that was stopped, and a
command with more jobs runs what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import SEEDS
from gaussgan.config.recipe import fingerprint
from gaussgan.runs.directory import LAST, holds_a_run, is_locked, run_directories
from gaussgan.runs.record import read_record, write_record
from gaussgan.sweep.jobs import DONE, Job


class Past(NamedTuple):
    """A run that the directory of a sweep already holds."""

    directory: Path
    settings: Mapping[str, Any]
    rank: int  # 0 if the run is done, 1 if it can go on from a checkpoint, else 2


def place_jobs(jobs: Sequence[Job], sweep: Path, grows: bool) -> None:
    """Give each job the directory of the run with the same settings, or else a directory that no run has.

    Args:
        jobs: the jobs.
        sweep: the directory of the sweep.
        grows: whether the sweep may have nothing in common with the runs that are there. It may if a sweeper proposes
            its jobs in batches.

    Raises:
        ConfigError: when the sweep has nothing in common with the runs that are there, and `grows` is false. Runs that
            differ only in their seeds have something in common. Also when two different jobs would have the same
            directory, or when a job that gets another number would have other settings.
    """
    past = sorted(_past_runs(sweep), key=lambda run: run.rank)
    same: dict[str, list[Past]] = {}
    for run in past:
        same.setdefault(fingerprint(run.settings), []).append(run)
    new = []
    for job in jobs:
        job.place(job.number)
        if job.fingerprint is not None and (runs := same.get(job.fingerprint)):
            directory = runs.pop(0).directory
            if directory != job.run_dir:
                name = str(directory.relative_to(sweep))
                own, settings = job.number, job.fingerprint
                job.place(int(name) if name.isdecimal() else own, name)
                if job.fingerprint != settings:  # they depend on its number
                    job.place(own, name)
        else:
            new.append(job)
    if past and len(new) == len(jobs) and not grows:
        _refuse_others(jobs, past, sweep)
    owners: dict[Path, str | None] = {run.directory: fingerprint(run.settings) for run in past}
    shifted = []
    for job in new:
        if job.run_dir in owners or _is_taken(job.run_dir):
            shifted.append(job)
        else:
            owners[job.run_dir] = job.fingerprint
    names = [path.name for path in owners]
    number = max([len(past) - 1, *(job.number for job in jobs), *(int(name) for name in names if name.isdecimal())])
    for job in shifted:
        number = _shift(job, number, owners)


def _shift(job: Job, last: int, owners: dict[Path, str | None]) -> int:
    """Give a job a directory that no run has, and a number above `last`. Return the number.

    If the name of the directory does not follow from the number, the job keeps its directory if its settings are those
    of the run in this directory.

    Args:
        owners: maps each directory that is taken to the fingerprint of its run. The directory of the job is added.
    """
    number, settings, before = job.number, job.fingerprint, job.run_dir
    job.place(last + 1)
    if job.run_dir == before:
        job.place(number)
        if settings is not None and owners.get(before) == settings:
            return last
        raise ConfigError(
            f"hydra.sweep.subdir must give each job a directory of its own; that of #{number}, {before}, belongs to"
            " another run"
        )
    while job.run_dir in owners or _is_taken(job.run_dir):
        last += 1
        job.place(last + 1)
    if job.fingerprint != settings:
        raise ConfigError(
            f"hydra.job.num must not determine the settings of a job, because the number of #{number} changes: its"
            " directory belongs to another run"
        )
    owners[job.run_dir] = settings
    return last + 1


def record_killed(sweep: Path) -> None:
    """Correct the records of the runs in a sweep's directory that say "running" although their process was killed."""
    for directory, record in _records(sweep):
        if record["status"] == "running" and not is_locked(directory):
            write_record(directory, {**record, "status": "interrupted", "error": "its process was killed"})


def _past_runs(sweep: Path) -> list[Past]:
    """Return the runs in the directory of a sweep whose settings are known."""
    runs = []
    for directory, record in _records(sweep):
        if isinstance(record.get("settings"), dict):
            rank = 0 if record["status"] in DONE else 1 if (directory / LAST).exists() else 2
            runs.append(Past(directory.absolute(), record["settings"], rank))
    return runs


def _records(sweep: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for directory in run_directories(sweep):
        with suppress(ConfigError):  # a damaged record
            yield directory, read_record(directory)


def _is_taken(directory: Path) -> bool:
    try:
        return holds_a_run(directory)
    except ConfigError:  # its record is damaged
        return True


def _refuse_others(jobs: Sequence[Job], past: Sequence[Past], sweep: Path) -> None:
    """Raise a ConfigError that names a setting in which all jobs differ from the runs that are there."""
    differing = [
        {key: (run.settings.get(key), ours.get(key)) for key in {**run.settings, **ours} if key not in SEEDS}
        for run in past[:100]
        for ours in [job.settings for job in jobs[:100] if job.settings is not None]
    ]
    differing = [{key: pair for key, pair in each.items() if pair[0] != pair[1]} for each in differing]
    if differing and (least := min(differing, key=len)):
        key, pair = next(iter(least.items()))
        if key.endswith("._target_"):
            key, pair = key.removesuffix("._target_"), tuple(str(name).rpartition(".")[2] for name in pair)  # type: ignore[assignment]
        theirs, ours = pair
        raise ConfigError(
            f"hydra.sweep.dir: {sweep} holds another sweep, with {key}={theirs!s:.100} (got {ours!s:.100}); repeat its"
            " overrides, or choose another directory"
        )
