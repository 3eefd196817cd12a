"""A run's directory: who may write into it, and the record it holds."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.runs.signals import stopped_by

RECORD, LAST, BEST = "metrics.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"
ENDED = ("completed", "diverged")
REPLICAS, SWEEP = "replicas.csv", "multirun.yaml"

FIELDS = (
    "status", "error", "tags", "seed", "replicas", "iterations", "examples", "seconds", "examples_per_second", "val/w2",
    "val/kl", "mle/w2", "train/loss_d", "train/loss_g",
)  # fmt: skip
MEASURED = ("val/", "mle/w2_", "train/loss_d_", "train/loss_g_")  # whatever there is of these
OF_REPLICAS = ("efficiency", "share_diverged", "share_log2")


@contextmanager
def claim(directory: Path, ckpt_path: str | None) -> Iterator[None]:
    """Hold a run directory for this process, until it ends however it ends. The process may claim it again.

    Args:
        ckpt_path: the checkpoint that the run goes on from, which may be one of this directory's own.

    Raises:
        ConfigError: when another process holds it, when it holds a run that this one does not resume, or when it cannot
            be written.
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


@contextmanager
def writing(key: str, path: Path | None = None) -> Iterator[None]:
    """What keeps a directory, or a file in it, from being written, as a ConfigError that names the key it was given
    by."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{key}: cannot write to {path or error.filename} ({error.strerror})") from error


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
    """Leave nothing of a sweep of which no job has begun."""
    if [path.name for path in directory.glob("*")] == [SWEEP]:
        (directory / SWEEP).unlink()
        directory.rmdir()


def refuse_if_taken(directory: Path, ckpt_path: str | None) -> None:
    """
    Raises:
        ConfigError: when a directory holds a run that is not resumed.
    """
    resuming = ckpt_path is not None and directory.resolve() in Path(ckpt_path).resolve().parents
    if not resuming and holds_a_run(directory):
        raise ConfigError(
            f"hydra.run.dir: {directory} already holds a run; name another directory, or resume it with"
            f" ckpt_path={directory / LAST}"
        )


def is_first_process() -> bool:
    """Whether this process answers for the run: the first or only one of a distributed run, by its launcher's word."""
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    return next((os.environ[rank] for rank in ranks if rank in os.environ), "0") == "0"


def holds_a_run(directory: Path) -> bool:
    """Whether a directory holds what a new run would destroy: a checkpoint, or the record of a run that came to its
    end."""
    ended = (directory / RECORD).exists() and read_record(directory)["status"] in ENDED
    return ended or (directory / LAST).exists()


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    """Write metrics.json, whole or not at all: FIELDS, and whatever else was measured under val/ or of replicas.

    What is not known, or is no finite number, is null.
    """
    others = {key: value for key, value in record.items() if key.startswith(MEASURED) or key in OF_REPLICAS}
    values = {
        **{field: record.get(field) for field in FIELDS},
        "tags": record.get("tags") or [],
        **others,
        "versions": versions(),
    }
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    write_whole(directory / RECORD, f"{json.dumps(finite, indent=2)}\n".encode())


def write_replicas(directory: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write replicas.csv, whole or not at all: a row for each replica. What is not known or NaN is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list({key: None for row in rows for key in row}), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows)
    write_whole(directory / REPLICAS, text.getvalue().encode())


def read_replicas(directory: Path) -> list[dict[str, str]]:
    """The rows of replicas.csv; none where there is no such file.

    Raises:
        ConfigError: when it is no whole one.
    """
    path = directory / REPLICAS
    try:
        rows = [*csv.DictReader(path.read_text().splitlines())] if path.exists() else []
        return [{**row, "status": row["status"]} for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ConfigError(f"{path} is no whole table of replicas ({type(error).__name__})") from error


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file beside its place and move it there: it is replaced whole or not at all.

    Raises:
        ConfigError: when it cannot be written; what was there stays.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing("hydra.run.dir", path):
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def copy_whole(source: Path, target: Path) -> Path:
    """Copy a file, whole or not at all."""
    write_whole(target, source.read_bytes())
    return target


def record_end(directory: Path, error: BaseException, config: Mapping[str, Any] | DictConfig) -> None:
    """Write the record of a run that came to nothing, unless the directory holds one that did."""
    if not holds_a_run(directory):
        write_record(directory, {**ending(error), **identity(config)})


def identity(config: Mapping[str, Any] | DictConfig) -> dict[str, Any]:
    """Return what a record says of a run whatever became of it: its seed and its tags."""
    values = {key: config.get(key) for key in ("seed", "tags")}
    return {key: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for key, v in values.items()}


def ending(error: BaseException) -> dict[str, str]:
    """What a record says of an error that ended a run: its status, and the error in one line."""
    if isinstance(error, Exception):
        return {"status": "failed", "error": one_line(error)}
    return {"status": "interrupted", "error": stopped_by() or one_line(error)}


def read_record(directory: Path) -> dict[str, Any]:
    """The contents of metrics.json.

    Raises:
        ConfigError: when it is no whole one.
    """
    try:
        record = json.loads((directory / RECORD).read_text())
        return {**record, "status": record["status"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{directory / RECORD} is no whole record of a run ({type(error).__name__})") from error


@cache
def versions() -> dict[str, str]:
    packages = ("gaussgan", "torch", "pytorch-lightning", "hydra-core", "numpy")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}
