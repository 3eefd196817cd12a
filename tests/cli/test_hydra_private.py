"""Hydra still has its private parser. Without the parser, an error is still one line."""

import sys
from collections.abc import Callable

import hydra._internal.utils
import pytest

from gaussgan.cli.hydra_private import parse_command_line


def test_hydra_has_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "seed=0,1", "--config-dir=conf", "--seed=3"])
    typed, unknown = parse_command_line()
    assert typed is not None, "Hydra has moved get_args_parser: see gaussgan/cli/hydra_private.py"
    assert (typed.overrides, typed.config_dir, typed.multirun, unknown) == (["seed=0,1"], "conf", True, ["--seed=3"])


def test_without_the_parser_an_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, complaint: Callable[[str], str]
) -> None:
    monkeypatch.delattr(hydra._internal.utils, "get_args_parser")
    assert "Could not override 'optimizer_d.lrr'" in complaint("optimizer_d.lrr=1")
