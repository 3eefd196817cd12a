"""A run of replicas in parts is the run of all at a time."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig

from conftest import ROOT
from gaussgan import load_run, parts
from gaussgan.config import ConfigError
from gaussgan.directory import LAST
from gaussgan.train import train
from test_resume import LateSignal

Compose = Callable[..., DictConfig]
RECIPE = (
    "data.num_examples=84", "data.batch_size=10", "trainer.max_epochs=3", "trainer.precision=64-true", "replicas=7",
    "optimizer_d.lr=[0.05,0.02,1e308,0.1,0.07,0.01,0.03]", "optimizer_g.betas=[[0.9,0.5,0.9,0.8,0.7,0.6,0.5],0.99]",
    "seed=3", "data.steps_per_execution=3",
)  # fmt: skip
TIMED = ("seconds", "examples_per_second")


def files(cfg: DictConfig) -> tuple[dict, list[list[str]]]:
    directory = Path(cfg.run_dir)
    rows = [line.split(",") for line in (directory / "replicas.csv").read_text().splitlines()]
    return json.loads((directory / "metrics.json").read_text()), rows


def assert_same(ours: DictConfig, theirs: DictConfig) -> None:
    (record, rows), (expected, expected_rows) = files(ours), files(theirs)
    assert record.keys() == expected.keys()
    for key in record.keys() - {*TIMED}:
        close = isinstance(expected[key], float)
        assert record[key] == (pytest.approx(expected[key], rel=1e-7) if close else expected[key]), key
    for row, expected_row in zip(rows, expected_rows, strict=True):
        for value, other in zip(row, expected_row, strict=True):
            try:
                assert float(value) == pytest.approx(float(other), rel=1e-7)
            except ValueError:
                assert value == other


@pytest.fixture
def whole(compose: Compose) -> DictConfig:
    cfg = compose(*RECIPE, name="whole")
    train(cfg)
    return cfg


def test_parts_are_the_whole(compose: Compose, whole: DictConfig) -> None:
    cfg = compose(*RECIPE, "max_replicas=3", name="parts")
    value = train(cfg)
    assert value == pytest.approx(files(whole)[0]["val/w2_median"], rel=1e-7)
    assert_same(cfg, whole)
    assert sorted(path.name for path in (Path(cfg.run_dir) / "parts").iterdir()) == ["0", "3", "5"]
    assert (Path(cfg.run_dir) / "figures" / "final.png").exists()
    for i in range(7):
        ours, theirs = load_run(cfg.run_dir, replica=i), load_run(whole.run_dir, replica=i)
        torch.testing.assert_close(ours.generator.state_dict(), theirs.generator.state_dict(), rtol=0, atol=1e-9)
        assert ours.config["optimizer_d"]["lr"] == theirs.config["optimizer_d"]["lr"]
    with pytest.raises(ConfigError, match="replica must be a number"):
        load_run(cfg.run_dir, replica=7)


def test_what_diverged_is_not_drawn_as_learned(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def picture(history: Any, replicas: int, iterations: int, law: Any, learned: Any, floors: Any) -> Figure:
        drawn.append(len(learned[0]))
        return Figure()

    monkeypatch.setattr(parts, "picture_replicas", picture)
    train(compose(*RECIPE, "max_replicas=3", "~callbacks.pictures", name="parts"))
    assert drawn == [2]  # of the first part, the third of which diverges


def test_an_interrupted_part_goes_on(compose: Compose, whole: DictConfig) -> None:
    bomb = [f"+callbacks.bomb.{key}" for key in ("_target_=test_resume.LateSignal", "signum=15", "iteration=13")]
    cfg = compose(*RECIPE, "max_replicas=3", *bomb, name="parts")
    assert LateSignal
    with pytest.raises(SystemExit) as ended:
        train(cfg)
    assert ended.value.code == 143
    record, rows = files(cfg)
    assert (record["status"], record["error"], len(rows)) == ("interrupted", "stopped by SIGTERM", 1 + 3)
    command = [
        sys.executable,
        str(ROOT / "scripts" / "evaluate.py"),
        cfg.run_dir,
        "--replica",
        "1",
        "--permutations",
        "1",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "the run is interrupted: stopped by SIGTERM" in told
    first = f"{cfg.run_dir}/parts/0/{LAST}"
    with pytest.raises(ConfigError, match="already holds a run"):
        train(compose(*RECIPE, "max_replicas=3", name="parts"))
    with pytest.raises(ConfigError, match="goes on in its own directory"):
        train(compose(*RECIPE, "max_replicas=3", f"ckpt_path={first}", name="elsewhere"))
    with pytest.raises(ConfigError, match="another recipe"):
        train(compose(*RECIPE, "max_replicas=3", "objective=hinge", f"ckpt_path={first}", name="parts"))
    train(compose(*RECIPE, "max_replicas=3", f"ckpt_path={first}", name="parts"))
    assert_same(cfg, whole)


def test_all_parts_may_diverge(compose: Compose) -> None:
    cfg = compose("replicas=4", "max_replicas=3", "data.num_examples=84", "optimizer_d.lr=1e38", "optimizer_g.lr=1e38")
    assert train(cfg) == math.inf
    record, rows = files(cfg)
    assert (record["status"], record["share_diverged"], len(rows)) == ("diverged", 1.0, 1 + 4)
    assert (Path(cfg.run_dir) / "figures" / "final.png").exists()
