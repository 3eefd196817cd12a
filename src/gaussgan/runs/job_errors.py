"""Log the errors that end jobs, and remember which errors are already in the log."""

from __future__ import annotations

import logging
import os

from gaussgan.config.errors import DISK_ERRORS, ConfigError, shortage

log = logging.getLogger(__name__)

FULL = os.environ.get("HYDRA_FULL_ERROR") == "1"  # read here, because `cli` changes the variable later
_reported: list[Exception] = []


def report(error: Exception) -> None:
    """Log the error that ended a job.

    If the configuration is wrong, or if memory or disk space is short, the log gets only one line. Otherwise, or if the
    environment variable HYDRA_FULL_ERROR is 1, the log also gets a traceback.
    """
    line = shortage(error)
    log.error(line or error, exc_info=error if FULL or not (line or isinstance(error, ConfigError)) else None)
    _reported.append(error)


def was_reported(error: Exception) -> bool:
    """Return whether `report` has already logged this error."""
    return any(error is other for other in _reported)


def disk_is_full(error: BaseException | None) -> bool:
    """Return whether an error, or the error that caused it, says that the disk is full or cannot be written."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return True
        error = error.__cause__
    return False
