"""One-line errors for mistakes of the user."""

from __future__ import annotations

import errno
import re

from hydra.errors import InstantiationException

from gaussgan.config.units import gigabytes

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
OUT_OF_MEMORY = (
    r"can't allocate memory|[Oo]ut of memory|Unable to allocate|Storage size calculation overflowed|STATUS_ALLOC_FAILED"
)


class ConfigError(ValueError):
    """A mistake of the user. The message is one line, most often a key, what it must be, and the given value."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(line.strip() for line in message.splitlines()))


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line.

    If Hydra could not instantiate a component, the line gives the key of the component and the message of the error
    that the component raised.
    """
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = re.search(r"full_key: (\S+)", str(error))
        return f"{key[1]}: {one_line(error.__cause__)}" if key else one_line(error.__cause__)
    text = shortage(error) or re.sub(r"\s*\n\s*", " ", str(error).strip())
    return text or type(error).__name__


def shortage(error: BaseException) -> str | None:
    """If memory was short or the disk could not be written, return a one-line message; otherwise return None.

    The disk may be full or read-only, or a file may be too large. The shortage may have caused another error.
    """
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        where = "the disk" if error.filename is None else error.filename
        return f"hydra.run.dir: cannot write to {where} ({error.strerror})"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and re.search(OUT_OF_MEMORY, str(error))):
        size = re.search(r"allocate (\d+) bytes|allocate ([\d.]+ [KMGTPE]iB)", str(error))
        asked = "" if size is None else f" (one array needs {size[2] or gigabytes(int(size[1]))})"
        return f"there is not enough memory{' on the GPU' if 'CUDA' in str(error) else ''}{asked}"
    if error.__cause__ is None or isinstance(error, ConfigError):  # a ConfigError says it already
        return None
    return shortage(error.__cause__)
