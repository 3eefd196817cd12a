"""The record of a run, metrics.json, and its tables: history.csv and, for replicas, replicas.csv and groups.csv."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gaussgan import __version__
from gaussgan.config.compile_mode import MODES, typed_mode
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.recipe import settings
from gaussgan.runs.files import write_whole
from gaussgan.runs.signals import Exited, by_signal, received, stopped_by

RECORD, HISTORY = "metrics.json", "history.csv"
STARTED_FROM = "started_from"  # in the configuration of a run with init_from: the checkpoint that was read
REPLICAS, GROUPS = "replicas.csv", "groups.csv"

FIELDS = (
    "status", "error", "tags", "seed", "replicas", "iterations", "examples", "seconds", "examples_per_second",
    "compile", "val/w2", "val/kl", "mle/w2", "train/loss_d", "train/loss_g",
)  # fmt: skip
ORIGIN = ("git_commit", "git_dirty", "settings")  # they come last, because they are long
OPTIONAL = (
    "val/",
    "test/",
    "baseline/",
    "mle/w2_",
    "train/loss_d_",
    "train/loss_g_",
    "efficiency",
    "share_",
    STARTED_FROM,
)  # prefixes of optional fields
PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "numpy")


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run to metrics.json in `directory`. Missing values, NaN and infinity become null."""
    further = {key: value for key, value in record.items() if key.startswith(OPTIONAL)}
    values = {field: record.get(field) for field in FIELDS} | further | {"tags": record.get("tags") or []}
    values |= {field: record.get(field) for field in ORIGIN}
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    text = json.dumps({**finite, "versions": versions()}, indent=2, default=list)  # converts OmegaConf's lists
    write_whole(directory / RECORD, f"{text}\n".encode())


def read_record(directory: Path) -> dict[str, Any]:
    """Return the record of a run: the content of metrics.json in `directory`.

    Raises:
        ConfigError: when the file is missing, is damaged, or is not a record.
    """
    try:
        record = json.loads((directory / RECORD).read_text())
        return {**record, "status": record["status"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{directory / RECORD} is damaged or is not the record of a run ({type(error).__name__})"
        ) from error


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write a CSV file with one line for each row. None and NaN become empty fields, and infinity becomes inf.

    Args:
        path: the path of the file.
        rows: each row maps names of columns to values. A row may lack some columns.
        columns: the names of the first columns, which the file has even without rows.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [*dict.fromkeys([*columns, *chain(*rows)])], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows)
    write_whole(path, text.getvalue().encode())


def read_table(path: Path, column: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dicts from column names to texts; an empty list if there is no such file.

    Args:
        path: the path of the file.
        column: the name of a column that the file must have.

    Raises:
        ConfigError: when the file is damaged, or has no such column.
    """
    try:
        rows = [*csv.DictReader(path.read_text().splitlines())] if path.exists() else []
        return [{**row, column: row[column]} for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ConfigError(f"{path} is damaged or is not a table of replicas ({type(error).__name__})") from error


def read_replicas(directory: Path) -> list[dict[str, str]]:
    """Return the rows of replicas.csv; see `read_table`."""
    return read_table(directory / REPLICAS, "status")


def how_it_ended(directory: Path, replica: int | None = None) -> tuple[str, str | None]:
    """Return the status of a run, or of one of its replicas, and the error that its record names, or None.

    A run without a record is "unfinished".

    Raises:
        ConfigError: when the record or replicas.csv is damaged.
    """
    record = read_record(directory) if (directory / RECORD).exists() else {"status": "unfinished"}
    status, error = record["status"], record.get("error")
    if replica is not None and (replicas := read_replicas(directory)[replica:]):
        status = replicas[0]["status"]
        error = f"replica {replica} diverged" if status == "diverged" else error
    return status, error


def identity(config: Mapping[str, Any] | DictConfig) -> dict[str, Any]:
    """Return the entries of a record that follow from the configuration. Every record of the run contains them.

    If the configuration is so wrong that it has no settings, the entry "settings" is None.
    """
    known = {key: config.get(key) for key in ("seed", "tags", "replicas")}
    known["compile"] = mode if (mode := typed_mode(config.get("compile"))) in MODES else None  # not chosen yet
    if start := config.get(STARTED_FROM):
        known[STARTED_FROM] = start
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else config
        own = settings(plain)
        if plain["ckpt_path"] is not None and "ckpt_path" not in own:  # it goes on from its own checkpoint
            own |= _first_checkpoint(Path(plain["run_dir"]))
        return {**known, **git_state(), "settings": own}
    except (OmegaConfBaseException, KeyError, TypeError, AttributeError, ValueError):
        return {**known, **git_state(), "settings": None}


def _first_checkpoint(directory: Path) -> dict[str, Any]:
    """Return the setting ckpt_path of the record in a directory, as a dict with this key or an empty dict."""
    with suppress(ConfigError):
        earlier = (read_record(directory).get("settings") or {}) if (directory / RECORD).exists() else {}
        return {key: value for key, value in earlier.items() if key == "ckpt_path"}
    return {}


@cache
def git_state() -> dict[str, Any]:
    """Return the commit of the repository that contains this package, and whether files differ from that commit.

    If there is no repository, or git is not installed, both entries are None.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout

    try:
        return {"git_commit": git("rev-parse", "HEAD").strip(), "git_dirty": bool(git("status", "--porcelain").strip())}
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None, "git_dirty": None}


def ending(error: BaseException) -> tuple[str, str]:
    """Return the status and the one-line error message for the record of a run that `error` ended."""
    if isinstance(error, SystemExit) and not by_signal(error):
        error = Exited(error)
    if isinstance(error, Exception):
        return "failed", one_line(error)
    return "interrupted", stopped_by(signum) if (signum := received()) else one_line(error)


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect the result of a run."""
    others = {package: version(package) for package in PACKAGES}
    return {"python": platform.python_version(), "gaussgan": __version__, **others}
