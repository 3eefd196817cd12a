"""The packages are floors of a house: imports go down only, and no room is too large to read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT

SOURCE = ROOT / "src" / "gaussgan"
FLOORS = [
    "__init__", "fast_imports", "rng", "config", "machine", "data", "networks", "compile", "gan", "evaluation",
    "figures", "runs", "loggers", "callbacks", "setup", "train", "report", "sweep", "search", "cli", "simulation",
    "reproduce",
]  # fmt: skip
FILES = [pytest.param(path, id=str(path.relative_to(SOURCE))) for path in sorted(SOURCE.rglob("*.py"))]
# Given by name to a person, without torch being imported before.
LAZY = {"gaussgan/__init__.py", "gaussgan/compile/__init__.py"}


def floor(path: Path) -> int:
    return FLOORS.index(path.relative_to(SOURCE).parts[0].removesuffix(".py"))


def imported(path: Path) -> Iterator[str]:
    """The modules of this package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gaussgan":
            inner = [f"{node.module}.{name.name}" for name in node.names]
            yield from (inner if node.module == "gaussgan" else [str(node.module)])


def file_of(module: str) -> Path:
    path = ROOT / "src" / Path(*module.split("."))
    return next(p for p in (path.with_suffix(".py"), path / "__init__.py", SOURCE / "__init__.py") if p.exists())


@pytest.mark.parametrize("path", FILES)
def test_imports_go_down(path: Path) -> None:
    for module in imported(path):
        if f"gaussgan/{path.relative_to(SOURCE)}" not in LAZY:
            assert floor(file_of(module)) <= floor(path), f"{path.relative_to(SOURCE)} imports {module}"


def test_there_are_no_circles() -> None:
    arrows = {path: {file_of(module) for module in imported(path)} for path in (each.values[0] for each in FILES)}
    arrows.update({SOURCE.parent / lazy: set() for lazy in LAZY})
    while leaves := [path for path, others in arrows.items() if not others & arrows.keys() - {path}]:
        for path in leaves:
            del arrows[path]
    assert not arrows


@pytest.mark.parametrize("path", FILES)
def test_a_file_can_be_read_at_once(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250


def test_every_package_says_what_belongs_there() -> None:
    for path in SOURCE.glob("*/__init__.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert docstring.count(".") >= 2, path.parent.name
