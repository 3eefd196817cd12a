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
from gaussgan.config.init_from import LAST
from gaussgan.runs.files import writing
from gaussgan.runs.record import RECORD, ending, identity, read_record, write_record

BEST = "checkpoints/best.ckpt"
SWEEP, LOCK = "multirun.yaml", ".lock"  # Hydra writes the first in the directory of a sweep


class Busy(ConfigError):
    """Another process has the lock of a directory."""


@contextmanager
def claim(directory: Path, ckpt_path: str | None) -> Iterator[None]:
    """Lock a run's directory for this process inside a with block. Such blocks may be nested.

    If the process is killed, the lock ends.

    Args:
        directory: the directory. It is created if it does not exist.
        ckpt_path: the checkpoint from which the run is resumed; None for a new run.

    Raises:
        Busy: when another process has the lock.
        ConfigError: when the directory cannot be written, or when it already holds another run than the one that is
            resumed.
    """
    with writing("hydra.run.dir"):
        directory.mkdir(parents=True, exist_ok=True)
        lock = lock_of(directory)
        try:
            lock.acquire(timeout=0.2)  # `is_running` may hold the lock for a moment
        except Timeout:
            raise Busy(f"hydra.run.dir: another run is under way in {directory}") from None
    try:
        refuse_if_taken(directory, ckpt_path)
        yield
    finally:
        lock.release()


def lock_of(directory: Path) -> FileLock:
    """Return the lock of a directory. In one process, every call returns the same object."""
    return FileLock(directory.resolve() / LOCK, is_singleton=True)


def is_running(directory: Path) -> bool:
    """Return whether another process has the lock of a run's directory, or of the sweep to which the run belongs."""
    return any(is_locked(each) for each in (directory, *directory.resolve().parents))


def is_locked(directory: Path) -> bool:
    """Return whether another process has the lock of a directory."""
    if not (directory / LOCK).exists():
        return False
    try:
        with lock_of(directory).acquire(blocking=False):
            return False
    except Timeout:
        return True
    except OSError:  # a directory of another user
        return False


def refuse_if_taken(directory: Path, ckpt_path: str | None) -> None:
    """Check that a directory holds no sweep, and no run except the run that is resumed.

    Args:
        ckpt_path: the checkpoint from which the run is resumed; None for a new run.

    Raises:
        ConfigError: when the directory holds a sweep or another run.
    """
    if (directory / SWEEP).exists():
        raise ConfigError(f"hydra.run.dir: {directory} is the directory of a sweep; choose another directory")
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


def run_directories(root: Path) -> Iterator[Path]:
    """Yield the run directories inside a directory: those with a metrics.json. Hidden directories are skipped.

    A run directory is not searched for more run directories. The order is that of numbers: 2 comes before 10. A
    directory to which several links lead is searched once.
    """
    seen: set[str] = set()
    for parent, names, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            names.clear()
            continue
        seen.add(real)
        if RECORD in files:
            names.clear()
            yield Path(parent)
        names[:] = sorted((name for name in names if name[0] != "."), key=lambda name: (len(name), name))


def is_first_process() -> bool:
    """Return whether this process has rank 0, according to the environment variables of the process's launcher.

    A process without such variables has rank 0.
    """
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    return next((os.environ[rank] for rank in ranks if rank in os.environ), "0") == "0"


def record_running(directory: Path, config: Mapping[str, Any] | DictConfig) -> None:
    """Write the record of a run that has begun. It replaces an earlier record."""
    write_record(directory, {"status": "running", **identity(config)})


def record_end(directory: Path, error: BaseException, config: Mapping[str, Any] | DictConfig) -> None:
    """Write the record of a run that ended with an error. If `holds_a_run(directory)` is true, write nothing."""
    if not holds_a_run(directory):
        record_failure(directory, error, config)


def record_failure(directory: Path, error: BaseException, config: Mapping[str, Any] | DictConfig) -> None:
    """Write the record of a run that ended with an error. It replaces an earlier record."""
    status, text = ending(error)
    write_record(directory, {"status": status, "error": text, **identity(config)})
