"""Build a shared library from C source, and keep it in a cache on disk."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from gaussgan.compile.errors import NotCompiled

# There is no -ffast-math; lanes.h says why. With errno and traps, square roots and comparisons are not vectorised. -O3
# takes three times as long to compile and gives code that is not faster.
FLAGS = (
    "-O2", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-shared", "-fPIC", "-w",
    "-Wno-psabi",
)  # fmt: skip
# Loops of any length are vectorised; clang does so anyway. Straight-line code is not, because gcc 12.2 did that wrongly
# once (a 2 × 2 product in double precision, at -O1).
VECTORIZE = ("-ftree-vectorize", "-fvect-cost-model=dynamic", "-fno-tree-slp-vectorize")
LAST = 250  # characters of a compiler's message

log = logging.getLogger(__name__)


def build(source: str, header: str, vectorize: bool = False) -> ctypes.CDLL:
    """Return a shared library made from C source that includes the header as "lanes.h".

    A library that was made before from the same source, by the same compiler, for the same CPU, is read from the cache.

    Args:
        vectorize: true to let the compiler vectorise loops. A program of many replicas already consists of vectors.

    Raises:
        NotCompiled: when there is no C compiler, or it fails.
    """
    command = [*compiler(), *FLAGS, *(VECTORIZE if vectorize and "clang" not in version(compiler()) else ())]
    key = hashlib.sha256("\0".join([source, header, *command, version(compiler()), cpu()]).encode()).hexdigest()[:32]
    directory = cache_directory()
    if directory is not None and (library := _load(directory / f"{key}.so")) is not None:
        return library
    try:
        return _built(source, header, command, directory, key)
    except OSError as error:
        raise NotCompiled(f"its program cannot be written: {error}") from error


def _built(source: str, header: str, command: list[str], directory: Path | None, key: str) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(dir=directory, prefix="build-", ignore_cleanup_errors=True) as temporary:
        work = Path(temporary)
        (work / "lanes.h").write_text(header)
        (work / "program.c").write_text(source)
        _run([*command, "-o", "program.so", "program.c", "-lm"], work)
        built = work / "program.so"
        if directory is not None:
            with suppress(OSError):
                # The digest is written first: a library without its digest, or with another one, is built again.
                digest = work / "digest"
                digest.write_text(_digest(built))
                digest.replace(directory / f"{key}.sha256")
                built.replace(directory / f"{key}.so")
                built = directory / f"{key}.so"
        library = _open(built)
    if library is None:
        raise NotCompiled(f"the library that {command[0]} built cannot be loaded")
    return library


def check_compiler() -> None:
    """Check that there is a C compiler and that it works.

    Raises:
        NotCompiled: when there is none, or it fails.
    """
    build("int works(void) { return 1; }", "")


def compiler() -> list[str]:
    """Return the command of the C compiler: $CC, cc, gcc, clang, or the one of the package ziglang.

    Raises:
        NotCompiled: when there is none.
    """
    if chosen := os.environ.get("CC"):
        try:
            command = shlex.split(chosen)
        except ValueError:  # a quotation without an end
            command = []
        if not command or shutil.which(command[0]) is None:
            raise NotCompiled(f"CC={chosen} is not a program")
        return command
    for name in ("cc", "gcc", "clang"):
        if (path := shutil.which(name)) is not None:
            return [path]
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise NotCompiled("there is no C compiler; install gcc or clang, or pip install -c constraints.txt -e '.[c]'")


@cache
def _version(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotCompiled(f"the C compiler {command[0]} does not run: {error}") from error
    return done.stdout.partition("\n")[0]


def version(command: list[str]) -> str:
    """Return the first line of what a compiler says of its version."""
    return _version(tuple(command))


@cache
def cpu() -> str:
    """Return a text that differs between CPUs with different instructions."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        wanted = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
        return "\n".join([platform.machine(), *sorted(set(wanted))])
    return f"{platform.machine()} {platform.processor()}"


def cache_directory() -> Path | None:
    """Return the directory of built libraries, in the user's cache directory; None if it cannot be used."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not home.is_absolute():  # its specification says to ignore it then
        home = Path("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    directory = home / "gaussgan"
    try:
        directory = directory.expanduser()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
        if directory.stat().st_uid == os.getuid():
            return directory
        reason = "it belongs to another user"
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        reason = getattr(error, "strerror", None) or str(error)
    _warn(f"compiled programs are not kept in {directory}: {reason}")
    return None


@cache
def _warn(line: str) -> None:
    log.warning(line)  # once in a process


def _run(command: list[str], directory: Path) -> None:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise NotCompiled(f"the C compiler {command[0]} does not run: {error}") from error
    if done.returncode or not (directory / "program.so").is_file():
        message = " ".join(done.stderr.split())[:LAST] or "no message"
        raise NotCompiled(f"the C compiler {command[0]} failed with status {done.returncode}: {message}")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _load(path: Path) -> ctypes.CDLL | None:
    """Return a library of the cache; None if it is missing or damaged. A damaged file could stop the process."""
    try:
        intact = path.with_suffix(".sha256").read_text() == _digest(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        intact = False
    library = _open(path) if intact else None
    if library is None:
        _warn(f"{path} is damaged, and is built again")
    return library


def _open(path: Path) -> ctypes.CDLL | None:
    with suppress(OSError):
        return ctypes.CDLL(str(path))
    return None
