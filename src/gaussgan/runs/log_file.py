"""A log file that a full disk cuts short."""

from __future__ import annotations

import logging
import sys

from gaussgan.config.errors import shortage


class LogFile(logging.FileHandler):
    """A log file that a full disk cuts short. The console has its lines."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is None or not shortage(error):
            super().handleError(record)
