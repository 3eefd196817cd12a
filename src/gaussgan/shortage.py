"""What a machine cannot give, in one line: room on its disk, and memory."""

from __future__ import annotations

import errno
import logging
import re
import sys

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
ALLOCATORS = r"can't allocate memory|[Oo]ut of memory|Unable to allocate|Storage size calculation overflowed"


def shortage(error: BaseException) -> str | None:
    """An error that says that something is used up, in one line; None for any other error."""
    if isinstance(error, OSError) and error.errno in DISK:
        where = "the disk" if error.filename is None else error.filename
        return f"hydra.run.dir: cannot write to {where} ({error.strerror})"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and re.search(ALLOCATORS, str(error))):
        size = re.search(r"allocate (\d+) bytes|allocate ([\d.]+ [KMGTPE]iB)", str(error))
        asked = "" if size is None else f" ({size[2] or gigabytes(int(size[1]))} asked for at once)"
        return f"there is not enough memory{asked}"
    return None


class LogFile(logging.FileHandler):
    """A log file that a full disk cuts short. The console has its lines."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is None or not shortage(error):
            super().handleError(record)


def gigabytes(size: float) -> str:
    """A number of bytes for a person."""
    return f"{size / 1e9:,.{1 if size < 1e10 else 0}f} GB" if size < 1e18 else f"{size / 1e9:.3g} GB"
