"""Log the errors that end jobs. Each error is logged once."""

from __future__ import annotations

import logging
import os

from gaussgan.config.errors import ConfigError, shortage

log = logging.getLogger(__name__)

FULL = os.environ.get("HYDRA_FULL_ERROR") == "1"  # read here, because `cli` changes the variable later
_reported: list[Exception] = []


def report(error: Exception) -> None:
    """Log the error that ended a job: one line for a wrong configuration, a traceback for a bug."""
    line = shortage(error)
    log.error(line or error, exc_info=error if FULL or not (line or isinstance(error, ConfigError)) else None)
    _reported.append(error)


def was_reported(error: Exception) -> bool:
    """Check whether an error is already in the log."""
    return any(error is other for other in _reported)
