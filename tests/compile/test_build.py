"""The compiler and the cache: what is built, when it is built again, and what is refused in one line."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import PATIENCE, ROOT
from gaussgan.compile import build as module
from gaussgan.compile.build import build, cache_directory
from gaussgan.compile.errors import NotCompiled

SOURCE = '#include "lanes.h"\nint run(void) { return NUMBER; }\n'
HEADER = "#define NUMBER 7\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "cache" / "gaussgan"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a shell script the C compiler."""

    def script(text: str) -> None:
        path = tmp_path / "compiler"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))

    return script


@pytest.fixture
def counted(script: Callable[[str], None], tmp_path: Path) -> Callable[[], int]:
    """How often the compiler has compiled."""
    log = tmp_path / "log"
    log.touch()
    script(f'case "$*" in *program.c*) echo >> {log};; esac\nexec gcc "$@"')
    return lambda: len(log.read_text().splitlines())


def result(source: str = SOURCE, header: str = HEADER) -> int:
    return build(source, header).run()


def test_a_library_is_built_once(cache: Path, counted: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert result() == result() == 7
    assert counted() == 1
    assert sorted(path.suffix for path in cache.iterdir()) == [".sha256", ".so"]
    assert result(header="#define NUMBER 8\n") == 8
    assert result(SOURCE + "//\n") == 7
    monkeypatch.setattr(module, "cpu", lambda: "another")
    assert result() == 7
    monkeypatch.setattr(module, "FLAGS", (*module.FLAGS, "-O1"))
    assert result() == 7
    monkeypatch.setattr(module, "version", lambda _: "another")
    assert result() == 7
    assert counted() == 6


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "no digest", "digest of another", "not a text"])
def test_a_damaged_file_of_the_cache_is_built_again(
    cache: Path, counted: Callable[[], int], caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    assert result() == 7
    (library,), (digest,) = cache.glob("*.so"), cache.glob("*.sha256")
    whole = library.read_bytes()
    library.unlink()  # it is in use
    if damage in ("truncated", "changed", "empty"):
        library.write_bytes({"truncated": whole[:1000], "changed": whole[:-1] + b"x", "empty": b""}[damage])
    else:
        library.write_bytes(whole)
        digest.write_bytes({"no digest": b"", "digest of another": b"0" * 64, "not a text": b"\xff\xfe"}[damage])
    assert result() == 7
    assert counted() == 2
    assert result() == 7
    assert counted() == 2
    assert caplog.messages == [f"{library} is damaged, and is built again"]


@pytest.mark.parametrize("home", ["file", "relative", ""])
def test_without_a_cache_it_is_built_each_time(
    tmp_path: Path,
    counted: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    home: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file") if home == "file" else home)
    assert cache_directory() is None
    assert result() == result() == 7
    assert counted() == 2
    assert not (tmp_path / "relative").exists()
    (line,) = caplog.messages  # of three calls
    place = tmp_path / "file" / ("gaussgan" if home == "file" else ".cache/gaussgan")
    assert line == f"compiled programs are not kept in {place}: Not a directory"


def test_the_default_cache_is_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    for home in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        assert cache_directory() == tmp_path / ".cache" / "gaussgan"
    assert (tmp_path / ".cache" / "gaussgan").stat().st_mode & 0o777 == 0o700


def test_two_processes_build_at_once(cache: Path) -> None:
    program = f"from gaussgan.compile.build import build; print(build({SOURCE!r}, {HEADER!r}).run())"

    def call(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(call, range(2))] == ["7\n", "7\n"]
    assert sorted(path.suffix for path in cache.iterdir()) == [".sha256", ".so"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 3", "failed with status 3: no message"),
        ("printf 'a\\nb\\n' >&2; exit 1", "failed with status 1: a b"),
        ("printf '\\377\\376' >&2; printf '\\377'; exit 1", "failed with status 1: "),
        ("exit 0", "failed with status 0: no message"),
        ("echo garbage > program.so", "the library that .* built cannot be loaded"),
        ("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", "failed with status 1: x{250}$"),
    ],
)
def test_a_broken_compiler_is_refused_in_one_line(
    script: Callable[[str], None], text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # asked for its version, it writes here
    script(text)
    for _ in range(2):
        with pytest.raises(NotCompiled, match=reason) as error:
            result()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("command", ["nothing-like-this", "'unended", "  ", "gcc -no-such-option"])
def test_a_wrong_command_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("CC", command)
    with pytest.raises(NotCompiled) as error:
        result()
    assert "\n" not in str(error.value)


def test_the_command_may_have_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "gcc -DMORE=1")
    assert result("int run(void) { return MORE; }") == 1


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(NotCompiled, match="there is no C compiler; install gcc or clang, or pip install"):
        result()


def test_a_full_disk_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(NotCompiled, match="No space left on device"):
        result()


def test_the_command_line_refuses_or_goes_on(tmp_path: Path) -> None:
    def call(*overrides: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / "train.py"), "trainer=cpu", "trainer.max_steps=2", *overrides]
        environment = {**os.environ, "CC": "false"}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    done = call("compile=on")
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert (
        line
        == "compile must be off for this run, because the C compiler false failed with status 1: no message (got on)"
    )
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]
