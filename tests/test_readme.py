"""The README is a promise: its commands compose, its Python runs, its layout is the tree's."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from conftest import ROOT
from gaussgan.config.check import check
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_training_command_composes_and_fits(
    compose: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "points.csv").write_text("x,y,arm\n" + "".join(f"{i},{i * i},left\n" for i in range(200)))
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines() if "train.py" in line]
    assert len(commands) >= 6
    for i, (_, script, *overrides) in enumerate(commands):
        assert (ROOT / script).exists()
        first_of_sweep = [
            re.sub(r",[\d.,]+$", "", o.replace("range(64)", "0"))
            for o in overrides
            if o != "-m" and not o.startswith("hydra")
        ]
        ours = [o for o in first_of_sweep if not o.startswith(("ckpt_path", "trainer.accelerator=gpu"))]
        cfg = compose(*ours, name=str(i))
        check(cfg)
        assemble(cfg)


def test_its_python_runs(compose: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(compose("data.num_examples=16", "trainer.max_epochs=1", "~callbacks.pictures", name="logs/mine"))
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(block, {})


def test_every_file_it_names_exists() -> None:
    named = {word for word in re.findall(r"[\w/]+\.(?:py|yaml|txt|png)", README) if "final.png" not in word}
    names = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts}
    assert all(any(name.endswith(word) for name in names) for word in named), named
    assert len(README.splitlines()) < 200


def test_the_default_is_the_textbooks_recipe(compose: Callable[..., DictConfig]) -> None:
    assert compose() == compose("experiment=d2l")
    cfg = compose()
    assert cfg.data.distribution.A == [[1, 2], [-0.1, 0.5]]
    assert (cfg.optimizer_d.lr, cfg.optimizer_g.lr, cfg.optimizer_d.eps) == (0.05, 0.005, 1e-8 / 8)
    assert (cfg.data.num_examples, cfg.data.batch_size, cfg.trainer.max_epochs) == (1000, 8, 20)
