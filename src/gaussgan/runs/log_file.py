"""A log file that tolerates a full disk: the lines that do not fit on the disk appear on the console only."""

from __future__ import annotations

import logging
import sys

from gaussgan.config.errors import shortage


class LogFile(logging.FileHandler):
    """A log file that drops new lines while the disk is full, without printing a traceback for each dropped line."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is None or not shortage(error):
            super().handleError(record)
