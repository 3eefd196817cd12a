"""Methods that train: runs with a directory of their own, by scripts/train.py, and short runs without any file."""

from __future__ import annotations

import math
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaussgan.config.errors import ConfigError
from gaussgan.reproduce.configured import settings_of
from gaussgan.reproduce.row import Measured
from gaussgan.runs.directory import LAST, holds_a_run, is_running
from gaussgan.runs.record import read_record

COMPLETE = ("completed", "diverged")
MAY_DIFFER = ("compile", "logger")  # settings that do not change what is computed


@dataclass(frozen=True)
class Simulated:
    """The last value of a measure in short runs by `simulate`, which writes no files.

    Args:
        overrides: what is typed after train.py.
        measure: the name of the measure, such as val/w2.
    """

    overrides: str
    measure: str

    @property
    def command(self) -> str:
        return f"simulate({shlex.split(self.overrides)}, seeds).measures[{self.measure!r}][:, -1]"

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured:
        from gaussgan.simulation import simulate  # imports torch and Lightning

        values = simulate(shlex.split(self.overrides), seeds).measures[self.measure][:, -1]
        return Measured([value if math.isfinite(value) else math.inf for value in values.tolist()])


@dataclass(frozen=True)
class Trained:
    """The final value of a measure in runs by scripts/train.py, each in its own directory RUNS/SEED.

    A run that is complete in its directory is not trained again, wherever it was trained. One that was stopped goes on
    from its last checkpoint. One that another process trains is waited for.

    Args:
        overrides: what is typed after train.py.
        measure: the name of the measure in metrics.json.
        runs: the name of the directory of the runs. Rows with the same overrides share it.
    """

    overrides: str
    measure: str
    runs: str

    @property
    def command(self) -> str:
        return f"python scripts/train.py {self.overrides} seed=SEED  # {self.measure}"

    def __call__(self, directory: Path, seeds: Sequence[int]) -> Measured:
        overrides, home = shlex.split(self.overrides), directory.parent / self.runs
        records = [finished(home / str(seed), [*overrides, f"seed={seed}"]) for seed in seeds]
        values = [_value(record, self.measure) for record in records]
        return Measured(values, math.fsum(record["seconds"] or 0.0 for record in records))


def finished(directory: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Train a run to its end unless it is complete, and return its record.

    Raises:
        ConfigError: when the run failed, or when the directory holds another run.
    """
    if is_running(directory):
        print(f"waiting for the run that is under way in {directory}", file=sys.stderr, flush=True)
        while is_running(directory):
            time.sleep(1)
    if not is_complete(directory):
        train = Path(__file__).resolve().parents[3] / "scripts" / "train.py"
        resume = [f"ckpt_path={directory / LAST}"] if (directory / LAST).exists() else []
        command = [sys.executable, str(train), *overrides, f"hydra.run.dir={directory}", *resume]
        _call(command)
    record = read_record(directory)
    if record["status"] not in COMPLETE:
        raise ConfigError(f"{directory}: the run is {record['status']}: {record['error']}")
    check_same(directory, record["settings"], overrides)
    return record


def is_complete(directory: Path) -> bool:
    return holds_a_run(directory) and read_record(directory)["status"] in COMPLETE


def check_same(directory: Path, found: Mapping[str, Any] | None, overrides: Sequence[str]) -> None:
    """Check that the record of a run has the settings that the overrides give. A run may have been moved here.

    A setting that did not exist yet when the run was trained counts as that of the default run.

    Raises:
        ConfigError: when a setting differs. The message names the first one.
    """
    if not found:
        raise ConfigError(f"{directory} holds a run without known settings")
    wanted, usual = settings_of(shlex.join(overrides)), settings_of("")
    there = {key: usual[key] for key in wanted if key in usual} | dict(found)
    for key in dict.fromkeys([*wanted, *there]):
        ours, theirs = (repr(one[key]) if key in one else "not set" for one in (wanted, there))
        if key not in MAY_DIFFER and ours != theirs:
            raise ConfigError(f"{directory} holds another run: {key} is {theirs}, and the row has {ours}")


def _value(record: Mapping[str, Any], measure: str) -> float:
    if record["status"] == "diverged":
        return math.inf
    if measure not in record:
        raise ConfigError(f"the run has no {measure}; it has {', '.join(key for key in record if '/' in key)}")
    value = record[measure]
    return math.inf if value is None else float(value)


def _call(command: Sequence[str]) -> None:
    """Call a program whose progress is seen. If this process is stopped, the program is stopped, and may save."""
    with subprocess.Popen([*command], stdout=2) as process:  # as its progress, to stderr
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
    if code:
        raise ConfigError(f"scripts/train.py ended with exit code {code}")
