"""A log file that may end early: on a full disk its further lines are on the console only."""

from __future__ import annotations

import logging
import sys

from gaussgan.config.errors import shortage


class LogFile(logging.FileHandler):
    """A log file that drops lines, without a traceback for each, while the disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is None or not shortage(error):
            super().handleError(record)
