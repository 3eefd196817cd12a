"""A run that is stopped anywhere and resumed ends as one left alone: with the same parameters, bit for bit."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint

from conftest import PATIENCE, ROOT, SPAWNS
from gaussgan.callbacks import drawing as pictures
from gaussgan.runs.directory import BEST, LAST
from gaussgan.runs.load import read_checkpoint
from gaussgan.runs.record import read_record
from gaussgan.train import train

Compose = Callable[..., DictConfig]
RECIPE = ("data.num_examples=100", "data.steps_per_execution=5", "trainer.max_epochs=4", "~callbacks.pictures")


class Signal(Callback):
    """Sends this process a signal while the block is under way that brings it to an iteration."""

    def __init__(self, signum: int, iteration: int) -> None:
        self.signum, self.iteration = signum, iteration

    def on_train_batch_start(self, trainer: Trainer, gan: Any, block: list, _: int) -> None:
        if trainer.global_step < self.iteration <= trainer.global_step + len(block):
            os.kill(os.getpid(), self.signum)


class LateSignal(Checkpoint):
    """Sends it after all other callbacks have seen the block's end, at the worst of moments."""

    def __init__(self, signum: int, iteration: int, rank: int = 0) -> None:
        self.signum, self.iteration, self.rank, self.sent = signum, iteration, rank, False

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step >= self.iteration and trainer.global_rank == self.rank and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.signum)


def ending(directory: Path | str) -> dict[str, Any]:
    checkpoint = torch.load(Path(directory) / "checkpoints" / "last.ckpt", weights_only=True)
    history = checkpoint["history"]
    exact = [i for i, name in enumerate(history["names"]) if not name.startswith(("perf/", "train/"))]
    means = [i for i, name in enumerate(history["names"]) if name.startswith("train/")]
    return {
        **checkpoint["state_dict"],
        **{f"{i}/{k}": v for i, s in enumerate(checkpoint["optimizer_states"]) for k, v in s["state"][0].items()},
        "global_step": torch.tensor(checkpoint["global_step"]),
        "history": history["rows"][:, exact],
        "means": history["rows"][:, means],
    }


@contextmanager
def endless(directory: Path, file: str, *overrides: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run of its own process that does not end by itself, from when it has left a file."""
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "trainer=cpu", "trainer.max_epochs=1000000"]
    command += [*overrides, f"hydra.run.dir={directory}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        late = time.monotonic() + PATIENCE
        while not (directory / file).exists():
            assert process.poll() is None
            assert time.monotonic() < late
            time.sleep(0.01)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def assert_same(one: Path | str, other: Path | str) -> None:
    ours, theirs = ending(one), ending(other)
    assert ours.keys() == theirs.keys()
    # Sums of as many numbers, by blocks that end elsewhere.
    torch.testing.assert_close(ours.pop("means"), theirs.pop("means"), rtol=1e-5, atol=1e-8)
    for key, value in ours.items():
        torch.testing.assert_close(
            *map(torch.as_tensor, (value, theirs[key])),
            rtol=0,
            atol=0,
            equal_nan=True,
            msg=lambda m, k=key: f"{k}: {m}",
        )
    bests = [torch.load(Path(directory) / "checkpoints" / "best.ckpt")["global_step"] for directory in (one, other)]
    assert bests[0] == bests[1]
    records = [json.loads((Path(directory) / "metrics.json").read_text()) for directory in (one, other)]
    for key in ("status", "iterations", "examples", "val/w2", "val/kl"):
        assert records[0][key] == records[1][key], key
    for key in ("train/loss_d", "train/loss_g"):  # sums of as many numbers, by blocks that end elsewhere
        assert records[0][key] == pytest.approx(records[1][key], rel=1e-5), key


@pytest.fixture
def alone(compose: Compose) -> Path:
    cfg = compose(*RECIPE, name="alone")
    train(cfg)
    return Path(cfg.run_dir)


@pytest.mark.every_second
@pytest.mark.parametrize("steps", [1, 13, 23, 26, 51])
def test_max_steps_then_more(compose: Compose, alone: Path, steps: int) -> None:
    """13 iterations an epoch in blocks of 5, 5 and 3: stops in blocks, at an epoch's end, in its last block."""
    first = compose(*RECIPE, f"trainer.max_steps={steps}", name="first")
    train(first)
    checkpoint = Path(first.run_dir) / "checkpoints" / "last.ckpt"
    assert ending(first.run_dir)["global_step"] == steps
    second = compose(*RECIPE, "data.steps_per_execution=4", f"ckpt_path={checkpoint}", name="second")
    train(second)
    assert_same(second.run_dir, alone)


def test_epochs_are_counted_on(compose: Compose) -> None:
    """With max_steps, Lightning alone would end an epoch that is over a second time, after one more block."""
    first = compose(*RECIPE, "trainer.max_epochs=2", "trainer.max_steps=999", name="first")
    train(first)
    checkpoint = Path(first.run_dir) / "checkpoints" / "last.ckpt"
    second = compose(*RECIPE, "trainer.max_steps=45", f"ckpt_path={checkpoint}", name="second")
    train(second)
    with (Path(second.run_dir) / "history.csv").open() as file:
        rows = [(row["epoch"], row["iteration"]) for row in csv.DictReader(file)]
    assert rows == [("1", "13"), ("2", "26"), ("3", "39"), ("4", "45")]


@pytest.mark.parametrize("optimizer", [(), ("optimizer_d._target_=torch.optim.AdamW",)], ids=["ours", "torch's own"])
def test_resuming_in_float64_keeps_float64(compose: Compose, optimizer: tuple[str, ...]) -> None:
    recipe = (*RECIPE, "trainer.precision=64-true", *optimizer)
    alone, first = compose(*recipe, name="alone"), compose(*recipe, "trainer.max_steps=20", name="first")
    train(alone)
    train(first)
    train(compose(*recipe, f"ckpt_path={first.run_dir}/checkpoints/last.ckpt", name="second"))
    assert_same(Path(first.run_dir).with_name("second"), alone.run_dir)


@pytest.mark.parametrize("kind", ["Signal", "LateSignal"])
@pytest.mark.parametrize("signum, iteration", [(signal.SIGINT, 3), (signal.SIGTERM, 20), (signal.SIGHUP, 26)])
def test_a_signal_stops_after_the_block_and_the_run_goes_on_in_place(
    compose: Compose, alone: Path, signum: signal.Signals, iteration: int, kind: str
) -> None:
    bomb = (f"+callbacks.bomb._target_=test_resume.{kind}", f"+callbacks.bomb.signum={int(signum)}")
    cfg = compose(*RECIPE, *bomb, f"+callbacks.bomb.iteration={iteration}", name="run")
    with pytest.raises(SystemExit) as ended:
        train(cfg)
    assert ended.value.code == 128 + signum
    record = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert (record["status"], record["error"]) == ("interrupted", f"stopped by {signum.name}")
    assert iteration <= record["iterations"] == ending(cfg.run_dir)["global_step"] < iteration + 10
    train(compose(*RECIPE, f"ckpt_path={cfg.run_dir}/checkpoints/last.ckpt", name="run"))
    assert_same(cfg.run_dir, alone)


@SPAWNS
@pytest.mark.extra  # it takes long
def test_a_signal_to_one_rank_stops_all_of_them(compose: Compose, tmp_path: Path) -> None:
    recipe = (*RECIPE, "trainer.precision=64-true")
    alone = compose(*recipe, name="alone")
    train(alone)
    ranks = ("trainer.devices=2", "trainer.strategy=ddp_spawn")
    bomb = [
        f"+callbacks.bomb.{key}" for key in ("_target_=test_resume.LateSignal", "signum=15", "iteration=20", "rank=1")
    ]
    with pytest.raises(SystemExit) as ended:
        train(compose(*recipe, *ranks, *bomb, name="run"))
    assert ended.value.code == 128 + signal.SIGTERM
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert record["status"] == "interrupted"
    assert record["iterations"] == ending(tmp_path / "run")["global_step"] < 52
    train(compose(*recipe, *ranks, f"ckpt_path={tmp_path}/run/checkpoints/last.ckpt", name="run"))
    ours, theirs = ending(tmp_path / "run"), ending(alone.run_dir)
    # Halves of a batch add up otherwise than the whole, which the game amplifies.
    torch.testing.assert_close(ours["generator.weight"], theirs["generator.weight"], rtol=0, atol=1e-9)
    records = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("run", "alone")]
    assert records[0]["train/loss_d"] == pytest.approx(records[1]["train/loss_d"], rel=1e-9)


@pytest.mark.extra  # it takes long
def test_a_signal_to_the_parent_of_spawned_ranks_reaches_them(tmp_path: Path) -> None:
    with endless(tmp_path, BEST, "trainer.devices=2", "trainer.strategy=ddp_spawn") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert (record["status"], record["error"]) == ("interrupted", "stopped by SIGTERM")
    assert record["iterations"] == ending(tmp_path)["global_step"]


def test_dying_between_best_and_last_loses_neither(
    compose: Compose, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gaussgan.callbacks import checkpoints

    copy, copies = checkpoints.copy_whole, []

    def die_at_the_last(source: Path, target: Path) -> None:
        copies.append(target)
        if len(copies) == 4:  # the epochs of RECIPE all improve: no later one mends it
            raise MemoryError("died")
        copy(source, target)

    monkeypatch.setattr(checkpoints, "copy_whole", die_at_the_last)
    cfg = compose(*RECIPE, "callbacks.checkpoints.seconds=0", name="run")
    with pytest.raises(MemoryError):
        train(cfg)
    monkeypatch.undo()
    train(compose(*RECIPE, f"ckpt_path={cfg.run_dir}/checkpoints/last.ckpt", name="run"))
    assert_same(cfg.run_dir, alone)


def test_a_record_does_not_outlive_its_truth(compose: Compose, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished run is extended in place and killed: no record may say that it completed before."""
    from gaussgan.gan.module import GAN

    monkeypatch.setattr(GAN, "on_train_start", lambda _: os._exit(9))
    overrides = (*RECIPE, "trainer.max_epochs=8", f"ckpt_path={alone}/checkpoints/last.ckpt")
    if (child := os.fork()) == 0:
        try:
            train(compose(*overrides, name="alone"))
        finally:
            os._exit(1)  # the tests go on in the parent alone
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert read_record(alone)["status"] == "running"


def test_a_figure_that_fails_costs_a_line(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "game", lambda *_: 1 / 0)
    cfg = compose("data.num_examples=16", "trainer.max_epochs=1")
    train(cfg)
    assert json.loads((Path(cfg.run_dir) / "metrics.json").read_text())["status"] == "completed"


def test_a_finished_run_resumed_is_finished(compose: Compose, alone: Path) -> None:
    cfg = compose(*RECIPE, f"ckpt_path={alone}/checkpoints/last.ckpt", name="again")
    train(cfg)
    assert_same(cfg.run_dir, alone)
    assert (Path(cfg.run_dir) / "checkpoints" / "best.ckpt").exists()


def test_sigkill_anywhere(compose: Compose, tmp_path: Path) -> None:
    for mode in ("off", "on"):
        recipe = ("data.num_examples=200", "data.steps_per_execution=10", "~callbacks.pictures", f"compile={mode}")
        directory = tmp_path / f"killed_{mode}"
        with endless(directory, LAST, *recipe) as process:
            delay = random.uniform(0, 0.8)
            print(f"killed after {delay} s")  # of pytest's report, where it fails
            time.sleep(delay)
            process.kill()
            assert process.wait(PATIENCE) == -signal.SIGKILL
        assert read_record(directory)["status"] == "running"
        further = (*recipe, f"trainer.max_epochs={read_checkpoint(directory / LAST)['epoch'] + 3}")
        train(compose(*further, f"ckpt_path={directory / LAST}", name=directory.name))
        train(compose(*further, name="alone"))
        assert_same(directory, tmp_path / "alone")
        shutil.rmtree(tmp_path / "alone")
