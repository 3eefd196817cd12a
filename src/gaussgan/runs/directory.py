"""The directory of a run: its lock, its record, and atomic writing of files."""

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
OPTIONAL = ("val/", "mle/w2_", "train/loss_d_", "train/loss_g_", "efficiency", "share_")  # prefixes of optional fields
PACKAGES = ("gaussgan", "torch", "pytorch-lightning", "hydra-core", "numpy")


@contextmanager
def claim(directory: Path, ckpt_path: str | None) -> Iterator[None]:
    """Lock a run's directory for this process inside a with block. Such blocks may be nested.

    If the process is killed, the lock ends.

    Args:
        directory: the directory. It is created if it does not exist.
        ckpt_path: the checkpoint from which the run is resumed; None for a new run.

    Raises:
        ConfigError: when another process has the lock, when the directory cannot be written, or when it already holds
            another run than the one that is resumed.
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
    """Check that a directory holds no run, except the run that is resumed.

    Args:
        ckpt_path: the checkpoint from which the run is resumed; None for a new run.

    Raises:
        ConfigError: when the directory holds another run.
    """
    resuming = ckpt_path is not None and directory.resolve() in Path(ckpt_path).resolve().parents
    if not resuming and holds_a_run(directory):
        raise ConfigError(
            f"hydra.run.dir: {directory} already holds a run; choose another directory, or resume the run with"
            f" ckpt_path={directory / LAST}"
        )


def holds_a_run(directory: Path) -> bool:
    """Return whether a directory holds a checkpoint, or the record of a run that was completed or has diverged.

    A new run would overwrite these files.
    """
    if (directory / RECORD).exists() and read_record(directory)["status"] in ("completed", "diverged"):
        return True
    return (directory / LAST).exists()


def claim_sweep(directory: Path) -> None:
    """Reserve a directory for a sweep: create the file multirun.yaml, the first file that Hydra writes there.

    Raises:
        ConfigError: when the directory already holds a sweep, or cannot be written.
    """
    with writing("hydra.sweep.dir"):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            (directory / SWEEP).touch(exist_ok=False)
        except FileExistsError:
            raise ConfigError(f"hydra.sweep.dir: {directory} already holds a sweep; choose another directory") from None


def abandon_sweep(directory: Path) -> None:
    """Remove a sweep's directory if no job of the sweep has started: multirun.yaml is then the only file in it."""
    if [path.name for path in directory.glob("*")] == [SWEEP]:
        (directory / SWEEP).unlink()
        directory.rmdir()


def is_first_process() -> bool:
    """Return whether this process has rank 0, according to the environment variables of the process's launcher.

    A process without such variables has rank 0.
    """
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    return next((os.environ[rank] for rank in ranks if rank in os.environ), "0") == "0"


@contextmanager
def writing(key: str, path: Path | None = None) -> Iterator[None]:
    """Turn an OSError inside a with block into a ConfigError that says which file cannot be written.

    Args:
        key: the config key with which the error message begins.
        path: the file that the error message names; by default, the file that the OSError names.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{key}: cannot write to {path or error.filename} ({error.strerror})") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write the file `path` atomically: at any time, it has either the old content or all of the new content.

    The context manager yields the path of a temporary file. Write the new content to the temporary file inside the with
    block. At the end of the block, the temporary file is renamed to `path`.

    Raises:
        ConfigError: when the file cannot be written. In this case, the old file does not change.
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
    """Write `content` to the file `path`. The write is atomic; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def copy_whole(source: Path, target: Path) -> Path:
    """Copy a file. The write is atomic; see `replacing`. Return the path of the copy."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
    return target


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run to metrics.json in `directory`. Missing values, NaN and infinity become null."""
    further = {key: value for key, value in record.items() if key.startswith(OPTIONAL)}
    values = {field: record.get(field) for field in FIELDS} | further | {"tags": record.get("tags") or []}
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


def write_replicas(directory: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write replicas.csv in `directory`, one row for each replica. Missing values and NaN become empty fields."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list({key: None for row in rows for key in row}), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows)
    write_whole(directory / REPLICAS, text.getvalue().encode())


def read_replicas(directory: Path) -> list[dict[str, str]]:
    """Return the rows of replicas.csv as dicts from column names to texts; an empty list if there is no such file.

    Raises:
        ConfigError: when the file is damaged or is not a table of replicas.
    """
    path = directory / REPLICAS
    try:
        rows = [*csv.DictReader(path.read_text().splitlines())] if path.exists() else []
        return [{**row, "status": row["status"]} for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ConfigError(f"{path} is damaged or is not a table of replicas ({type(error).__name__})") from error


def record_end(directory: Path, error: BaseException, config: Mapping[str, Any] | DictConfig, note: str = "") -> None:
    """Write the record of a run that ended with an error. If `holds_a_run(directory)` is true, write nothing.

    Args:
        directory: the run's directory.
        error: the error that ended the run.
        config: the run's configuration.
        note: a text that is appended to the error's message in the record.
    """
    if not holds_a_run(directory):
        status, text = ending(error)
        write_record(directory, {"status": status, "error": text + note, **identity(config)})


def identity(config: Mapping[str, Any] | DictConfig) -> dict[str, Any]:
    """Return the entries seed and tags of a run's configuration. Every record contains them."""
    return {key: config.get(key) for key in ("seed", "tags")}


def ending(error: BaseException) -> tuple[str, str]:
    """Return the status and the one-line error message for the record of a run that `error` ended."""
    if isinstance(error, Exception):
        return "failed", one_line(error)
    return "interrupted", stopped_by(signum) if (signum := received()) else one_line(error)


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect the result of a run."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
