"""Claim the directory of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, Timeout

from gaussgan.config.errors import ConfigError
from gaussgan.runs.directory import LOCK, SWEEP, Busy, lock_of
from gaussgan.runs.files import write_whole, writing


@dataclass
class ClaimedSweep:
    """The directory of a sweep that this process has locked.

    Args:
        directory: the directory.
        lock: the lock, which this process holds.
        before: the content of multirun.yaml from an earlier command; None if the sweep is new.
    """

    directory: Path
    lock: BaseFileLock
    before: bytes | None

    def abandon(self) -> None:
        """Undo the claim if no job has started: restore multirun.yaml, or remove the directory of a new sweep."""
        self.lock.release()
        if self.before is not None:
            write_whole(self.directory / SWEEP, self.before)
        elif {path.name for path in self.directory.iterdir()} <= {SWEEP, LOCK}:
            for name in (SWEEP, LOCK):
                (self.directory / name).unlink(missing_ok=True)
            self.directory.rmdir()


def claim_sweep(directory: Path) -> ClaimedSweep:
    """Lock a directory for a sweep until this process ends. The directory is created if it does not exist.

    Raises:
        Busy: when it belongs to a sweep that is running.
        ConfigError: when it cannot be written, or holds anything but a sweep.
    """
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"hydra.sweep.dir must be a directory (got the file {directory})")
    if directory.exists() and not (directory / SWEEP).exists():
        others = sorted(path.name for path in directory.iterdir() if path.name != LOCK)
        if others:
            raise ConfigError(
                f"hydra.sweep.dir must be a new or empty directory, or that of an earlier sweep; {directory} holds"
                f" {others[0]}{f' and {len(others) - 1} more' if others[1:] else ''}"
            )
    with writing("hydra.sweep.dir"):
        directory.mkdir(parents=True, exist_ok=True)
        lock = lock_of(directory)
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            raise Busy(f"hydra.sweep.dir: another sweep is under way in {directory}") from None
        before = (directory / SWEEP).read_bytes() if (directory / SWEEP).exists() else None
        if before is None:
            (directory / SWEEP).touch()
    return ClaimedSweep(directory, lock, before)
