"""The errors that ended jobs, as the log tells them."""

from __future__ import annotations

import logging
import os

from gaussgan.config.errors import ConfigError, shortage

log = logging.getLogger(__name__)

FULL = os.environ.get("HYDRA_FULL_ERROR") == "1"  # as a person set it; the command line sets it later
_reported: list[Exception] = []


def report(error: Exception) -> None:
    """Log the error that ended a job: one line for a wrong configuration, a traceback for a defect."""
    line = shortage(error)
    log.error(line or error, exc_info=error if FULL or not (line or isinstance(error, ConfigError)) else None)
    _reported.append(error)


def was_reported(error: Exception) -> bool:
    return any(error is told for told in _reported)
