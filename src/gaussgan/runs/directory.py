"""A run's directory: the lock on it, files written whole, and the record it holds."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.runs.signals import received, stopped_by

RECORD, LAST, BEST = "metrics.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"
REPLICAS, SWEEP = "replicas.csv", "multirun.yaml"

FIELDS = (
    "status", "error", "tags", "seed", "replicas", "iterations", "examples", "seconds", "examples_per_second", "val/w2",
    "val/kl", "mle/w2", "train/loss_d", "train/loss_g",
)  # fmt: skip
OPTIONAL = ("val/", "mle/w2_", "train/loss_d_", "train/loss_g_", "efficiency", "share_")  # prefixes of further fields
PACKAGES = ("gaussgan", "torch", "pytorch-lightning", "hydra-core", "numpy")


@contextmanager
def claim(directory: Path, ckpt_path: str | None) -> Iterator[None]:
    """Lock a run's directory for this process, which may claim it again. The lock ends with the process at the latest.

    Args:
        ckpt_path: the checkpoint that the run goes on from, perhaps one of this directory.

    Raises:
        ConfigError: when another process holds the directory, when it holds a run that is not resumed here, or when it
            cannot be written.
    """
    with writing("hydra.run.dir"):
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory.resolve() / ".lock", blocking=False, is_singleton=True)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(f"hydra.run.dir: another run is under way in {directory}") from None
    try:
        refuse_if_taken(directory, ckpt_path)
        yield
    finally:
        lock.release()


def refuse_if_taken(directory: Path, ckpt_path: str | None) -> None:
    """Check that a directory holds no run, or the run that is resumed.

    Raises:
        ConfigError: when it holds another run.
    """
    resuming = ckpt_path is not None and directory.resolve() in Path(ckpt_path).resolve().parents
    if not resuming and holds_a_run(directory):
        raise ConfigError(
            f"hydra.run.dir: {directory} already holds a run; name another directory, or resume it with"
            f" ckpt_path={directory / LAST}"
        )


def holds_a_run(directory: Path) -> bool:
    """Check whether a directory holds what a new run would destroy: a checkpoint, or the record of a complete run."""
    if (directory / RECORD).exists() and read_record(directory)["status"] in ("completed", "diverged"):
        return True
    return (directory / LAST).exists()


def claim_sweep(directory: Path) -> None:
    """Take a directory for a sweep, by the file that Hydra writes there first.

    Raises:
        ConfigError: when it holds a sweep already, or cannot be written.
    """
    with writing("hydra.sweep.dir"):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            (directory / SWEEP).touch(exist_ok=False)
        except FileExistsError:
            raise ConfigError(f"hydra.sweep.dir: {directory} already holds a sweep; name another directory") from None


def abandon_sweep(directory: Path) -> None:
    """Remove a sweep's directory if no job has begun."""
    if [path.name for path in directory.glob("*")] == [SWEEP]:
        (directory / SWEEP).unlink()
        directory.rmdir()


def is_first_process() -> bool:
    """Check whether this is the first process of a distributed run, by its launcher's word, or the only process."""
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    return next((os.environ[rank] for rank in ranks if rank in os.environ), "0") == "0"


@contextmanager
def writing(key: str, path: Path | None = None) -> Iterator[None]:
    """Turn an OSError into a ConfigError that names the key by which the file or directory was given."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{key}: cannot write to {path or error.filename} ({error.strerror})") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside a path, and move it there at the end: the file is replaced whole or not at all.

    Raises:
        ConfigError: when it cannot be written; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing("hydra.run.dir", path):
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file, whole or not at all; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def copy_whole(source: Path, target: Path) -> Path:
    """Copy a file, whole or not at all; see `replacing`. Return the copy."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
    return target


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    """Write metrics.json, whole or not at all. Unknown values and numbers that are not finite are null."""
    further = {key: value for key, value in record.items() if key.startswith(OPTIONAL)}
    values = {field: record.get(field) for field in FIELDS} | further | {"tags": record.get("tags") or []}
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    text = json.dumps({**finite, "versions": versions()}, indent=2, default=list)  # default: OmegaConf's lists
    write_whole(directory / RECORD, f"{text}\n".encode())


def read_record(directory: Path) -> dict[str, Any]:
    """Read metrics.json.

    Raises:
        ConfigError: when the file is damaged, missing, or something else.
    """
    try:
        record = json.loads((directory / RECORD).read_text())
        return {**record, "status": record["status"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{directory / RECORD} is damaged or is not the record of a run ({type(error).__name__})"
        ) from error


def write_replicas(directory: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write replicas.csv, whole or not at all: a row for each replica. An unknown value or NaN is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list({key: None for row in rows for key in row}), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows)
    write_whole(directory / REPLICAS, text.getvalue().encode())


def read_replicas(directory: Path) -> list[dict[str, str]]:
    """Read the rows of replicas.csv; none where there is no such file.

    Raises:
        ConfigError: when the file is damaged or something else.
    """
    path = directory / REPLICAS
    try:
        rows = [*csv.DictReader(path.read_text().splitlines())] if path.exists() else []
        return [{**row, "status": row["status"]} for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ConfigError(f"{path} is damaged or is not a table of replicas ({type(error).__name__})") from error


def record_end(directory: Path, error: BaseException, config: Mapping[str, Any] | DictConfig, note: str = "") -> None:
    """Write the record of a run that an error ended, with a note, unless the directory holds a run."""
    if not holds_a_run(directory):
        status, text = ending(error)
        write_record(directory, {"status": status, "error": text + note, **identity(config)})


def identity(config: Mapping[str, Any] | DictConfig) -> dict[str, Any]:
    """Return what every record says of a run: its seed and its tags."""
    return {key: config.get(key) for key in ("seed", "tags")}


def ending(error: BaseException) -> tuple[str, str]:
    """Return what a record says of an error that ended a run: the status, and the error in one line."""
    if isinstance(error, Exception):
        return "failed", one_line(error)
    return "interrupted", stopped_by(signum) if (signum := received()) else one_line(error)


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect a result."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
