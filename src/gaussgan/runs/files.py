"""Write files atomically: a reader finds the old content or all of the new content, and never half of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gaussgan.config.errors import ConfigError


@contextmanager
def writing(key: str, path: Path | None = None) -> Iterator[None]:
    """Turn an OSError inside a with block into a ConfigError that says which file cannot be written.

    Args:
        key: the config key with which the error message begins.
        path: the file that the error message names; by default, the file that the OSError names.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{key}: cannot write to {path or error.filename} ({error.strerror})") from error


@contextmanager
def replacing(path: Path, key: str = "hydra.run.dir") -> Iterator[Path]:
    """Write the file `path` atomically: at any time, it has either the old content or all of the new content.

    The context manager yields the path of a temporary file. Write the new content to the temporary file inside the with
    block. At the end of the block, the temporary file is renamed to `path`.

    Args:
        path: the file.
        key: the config key with which an error message begins.

    Raises:
        ConfigError: when the file cannot be written. In this case, the old file does not change.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(key, path):
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_whole(path: Path, content: bytes | memoryview, key: str = "hydra.run.dir") -> None:
    """Write `content` to the file `path`. The write is atomic; see `replacing`."""
    with replacing(path, key) as temporary:
        temporary.write_bytes(content)


def copy_whole(source: Path, target: Path) -> Path:
    """Copy a file. The write is atomic; see `replacing`. Return the path of the copy."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
    return target
