"""The directory of a run or of a sweep: what it holds, and its lock."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from gaussgan.config.errors import ConfigError
from gaussgan.runs.files import writing
from gaussgan.runs.record import RECORD, ending, identity, read_record, write_record

LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"
SWEEP, LOCK = "multirun.yaml", ".lock"


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
        # `is_running` holds the lock for a moment, so try again for a moment
        lock = FileLock(directory.resolve() / LOCK, timeout=0.2, is_singleton=True)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(f"hydra.run.dir: another run is under way in {directory}") from None
    try:
        refuse_if_taken(directory, ckpt_path)
        yield
    finally:
        lock.release()


def is_running(directory: Path) -> bool:
    """Return whether another process has the lock of a directory, which `claim` takes."""
    if not (directory / LOCK).exists():
        return False
    lock = FileLock(directory.resolve() / LOCK, blocking=False, is_singleton=True)
    try:
        with lock:
            return False
    except Timeout:
        return True


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


def record_running(directory: Path, config: Mapping[str, Any] | DictConfig) -> None:
    """Write the record of a run that has begun. It replaces an earlier record."""
    write_record(directory, {"status": "running", **identity(config)})


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
