"""The errors that end jobs, and what the log says about them."""

from __future__ import annotations

import logging
import os

from gaussgan.config.errors import ConfigError, shortage

log = logging.getLogger(__name__)

FULL = os.environ.get("HYDRA_FULL_ERROR") == "1"  # what the user set, before the command line sets it
_reported: list[Exception] = []


def report(error: Exception) -> None:
    """Log the error that ended a job: one line for a wrong configuration, a traceback for a defect."""
    line = shortage(error)
    log.error(line or error, exc_info=error if FULL or not (line or isinstance(error, ConfigError)) else None)
    _reported.append(error)


def was_reported(error: Exception) -> bool:
    """Return whether an error is in the log already."""
    return any(error is told for told in _reported)
