"""Find run directories, and read their records."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gaussgan.config.errors import ConfigError
from gaussgan.runs.directory import SWEEP, is_running
from gaussgan.runs.record import RECORD, read_record

OVERRIDES = ".hydra/overrides.yaml"
PAIR = ".betas"  # the end of the key of a setting that is a pair of numbers
PRUNED = "pruned"  # the status of a replica that a search stopped
STATUSES = ("completed", "diverged", "interrupted", "failed", "running")
HALF_WRITTEN, FOREIGN, OLD = "half-written", "without a run", "of an older version"


@dataclass(frozen=True)
class RunDirectory:
    """A directory with the record of a run.

    Args:
        path: the directory.
        record: the content of metrics.json.
        status: the status of the run. If the record says "running" but no process holds the directory, "interrupted".
    """

    path: Path
    record: Mapping[str, Any]
    status: str

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings as a flat dict. The pair optimizer_d.betas is listed as two numbers; see `split_pairs`."""
        return split_pairs(self.record["settings"])

    @property
    def replicas(self) -> int:
        return self.record.get("replicas") or 1

    @property
    def error(self) -> str | None:
        error = self.record.get("error")
        return None if error is None else str(error)

    @property
    def tags(self) -> list[str]:
        tags = self.record.get("tags")
        return [*map(str, tags)] if isinstance(tags, list) else []

    @cached_property
    def overrides(self) -> list[str]:
        """The overrides that were typed for this run, such as optimizer_d.lr=0.1. Empty if they are not known."""
        try:
            typed = yaml.load((self.path / OVERRIDES).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            return []
        return [str(override) for override in typed] if isinstance(typed, list) else []

    @cached_property
    def typed(self) -> dict[str, str]:
        """The overrides as a dict: {"objective": "hinge"}. The signs + and ~ are left out."""
        pairs = (override.lstrip("+~").partition("=") for override in self.overrides)
        typed = {key: value for key, _, value in pairs}
        return {own: value for key, value in typed.items() for own in ([*parts(key)] if key.endswith(PAIR) else [key])}


class Found(NamedTuple):
    """The run directories that were found, and a count of the directories that were skipped for each reason."""

    runs: list[RunDirectory]
    skipped: Counter[str]


def find_runs(directories: Sequence[Path]) -> Found:
    """Read the record of each run in some directories and in all their subdirectories.

    Hidden subdirectories and symbolic links to subdirectories are not searched.

    Raises:
        ConfigError: when a directory does not exist, is a file or cannot be read, or when there is no run.
    """
    search = _Search()
    for directory in directories:
        if not directory.is_dir():
            raise ConfigError(f"{directory} is {'a file, not' if directory.exists() else 'not'} a directory of runs")
        try:
            search.visit(directory.resolve(), top=True)
        except OSError as error:
            raise ConfigError(f"{error.filename or directory} cannot be read ({error.strerror})") from error
    runs = sorted(search.runs.values(), key=lambda run: natural(str(run.path)))
    if not runs:
        raise ConfigError(f"there is no run in {', '.join(map(str, directories))}{described(search.skipped)}")
    return Found(runs, search.skipped)


@dataclass
class _Search:
    runs: dict[Path, RunDirectory] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    seen: set[Path] = field(default_factory=set)

    def visit(self, directory: Path, top: bool = False) -> bool:
        """Read the runs in a directory. Return whether the directory holds a run, or the files of one."""
        if directory in self.seen:
            return True
        self.seen.add(directory)
        inner, names = [], set()
        with os.scandir(directory) as entries:
            for entry in entries:
                names.add(entry.name)
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    inner.append(Path(entry.path))
        if RECORD in names:
            self._read(directory)
            return True
        if ".hydra" in names:
            self.skipped[HALF_WRITTEN] += 1
            return True
        empty = [path for path in sorted(inner) if not self._visit_readable(path)]
        holds = top or SWEEP in names or len(empty) < len(inner)
        self.skipped[FOREIGN] += len(empty) if holds else 0
        return holds

    def _visit_readable(self, directory: Path) -> bool:
        try:
            return self.visit(directory)
        except PermissionError:
            return False

    def _read(self, directory: Path) -> None:
        try:
            run = _run(directory, read_record(directory))
        except ConfigError:
            self.skipped[HALF_WRITTEN if (directory / ".hydra").is_dir() else FOREIGN] += 1
            return
        if run is None:
            self.skipped[OLD] += 1
        else:
            self.runs[directory] = run


def _run(directory: Path, record: Mapping[str, Any]) -> RunDirectory | None:
    """Return a run directory, or None if an older version wrote its record, which has no settings.

    Raises:
        ConfigError: when the record is not the record of a run.
    """
    status, settings = record["status"], record.get("settings") or {}  # null: the configuration had no settings
    replicas = 1 if record.get("replicas") is None else record["replicas"]
    counts = isinstance(replicas, int) and not isinstance(replicas, bool) and replicas > 0
    if status not in STATUSES or not counts or not isinstance(settings, dict):
        raise ConfigError(f"{directory / RECORD} is not the record of a run")
    if "settings" not in record:
        return None
    if status == "running" and not is_running(directory):
        status = "interrupted"
    return RunDirectory(directory, {**record, "settings": settings}, status)


def split_pairs(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which optimizer_d.betas=[0.9, 0.999] is optimizer_d.betas.0=0.9 and optimizer_d.betas.1=0.999.

    So each of the two is a number, which has an axis of its own.
    """
    split: dict[str, Any] = {}
    for key, value in settings.items():
        is_pair = key.endswith(PAIR) and isinstance(value, list) and len(value) == 2
        split |= dict(zip(parts(key), value, strict=True)) if is_pair else {key: value}
    return split


def parts(key: str) -> tuple[str, str]:
    """Return the keys of the two numbers of a pair."""
    return f"{key}.0", f"{key}.1"


def described(skipped: Mapping[str, int]) -> str:
    """Return a text in brackets that counts the skipped directories, such as " (skipped: 2 half-written)"."""
    counts = [f"{n:,} {reason}" for reason, n in sorted(skipped.items()) if n]
    return f" (skipped directories: {', '.join(counts)})" if counts else ""


def natural(text: str) -> list[Any]:
    """Return a key that sorts texts with numbers as people do: job 2 comes before job 10."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", text))]
