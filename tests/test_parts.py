"""A run of replicas in parts is the run of all at a time."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaussgan import load_run, whole
from gaussgan.assemble import assemble
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
PARTS = (*RECIPE, "max_replicas=3")
TIMED = ("seconds", "examples_per_second")
HPARAMS = ("_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info")


class SignalIn(LateSignal):
    """Sends it in one of the parts."""

    def __init__(self, part: int, directory: str, signum: int, iteration: int) -> None:
        super().__init__(signum, iteration, rank=0 if directory.endswith(f"parts/{part}") else -1)


class Stops(Callback):
    """Stops a run after its first epoch."""

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = True


class FailsIn(Callback):
    """Fails after an epoch of one of the parts."""

    def __init__(self, part: int, directory: str) -> None:
        self.fails = directory.endswith(f"parts/{part}")

    def on_train_epoch_end(self, *_: Any) -> None:
        if self.fails:
            raise OSError("no space")


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


def parts_of(cfg: DictConfig, *firsts: int) -> Iterator[DictConfig]:
    """What stands for the configurations of its parts: their directories."""
    return (OmegaConf.create({"run_dir": f"{cfg.run_dir}/parts/{first}"}) for first in firsts)


def events(cfg: DictConfig) -> EventAccumulator:
    return EventAccumulator(cfg.run_dir).Reload()


def scalars(cfg: DictConfig) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows, but for the speed."""
    told = events(cfg)
    tags = [tag for tag in told.Tags()["scalars"] if not tag.startswith("perf/")]
    assert told.Tags()["scalars"] != tags
    return {tag: [(event.step, event.value) for event in told.Scalars(tag)] for tag in tags}


def scalars_of(cfg: DictConfig) -> dict[str, Any]:
    """The same to rounding."""
    return {
        tag: [(step, pytest.approx(value, rel=1e-5, nan_ok=True)) for step, value in values]
        for tag, values in scalars(cfg).items()
    }


@pytest.fixture
def uncut(compose: Compose) -> DictConfig:
    cfg = compose(*RECIPE, name="uncut")
    train(cfg)
    return cfg


def test_parts_are_the_whole(compose: Compose, uncut: DictConfig) -> None:
    cfg = compose(*PARTS, name="parts")
    value = train(cfg)
    assert value == pytest.approx(files(uncut)[0]["val/w2_median"], rel=1e-7)
    assert_same(cfg, uncut)
    assert sorted(path.name for path in (Path(cfg.run_dir) / "parts").iterdir()) == ["0", "3", "5"]
    assert (Path(cfg.run_dir) / "figures" / "final.png").exists()
    for i in range(7):
        ours, theirs = load_run(cfg.run_dir, replica=i), load_run(uncut.run_dir, replica=i)
        torch.testing.assert_close(ours.generator.state_dict(), theirs.generator.state_dict(), rtol=0, atol=1e-9)
        assert ours.config["optimizer_d"]["lr"] == theirs.config["optimizer_d"]["lr"]
    with pytest.raises(ConfigError, match="replica must be a number"):
        load_run(cfg.run_dir, replica=7)


def test_what_diverged_is_not_drawn_as_learned(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def picture(history: Any, replicas: int, iterations: int, law: Any, learned: Any, floors: Any) -> Figure:
        drawn.append(len(learned[0]))
        return Figure()

    monkeypatch.setattr(whole, "picture_replicas", picture)
    train(compose(*PARTS, "~callbacks.pictures", name="parts"))
    assert drawn == [2]  # of the first part, the third of which diverges


def bomb(part: int, iteration: int) -> list[str]:
    """The overrides by which SIGTERM stops a part."""
    values = {"_target_": "test_parts.SignalIn", "directory": "${run_dir}", "signum": 15}
    return [f"+callbacks.bomb.{key}={value}" for key, value in {**values, "part": part, "iteration": iteration}.items()]


@pytest.fixture
def interrupted(compose: Compose) -> DictConfig:
    """A run that SIGTERM stops within the second of its three parts."""
    cfg = compose(*PARTS, *bomb(part=3, iteration=13), name="parts")
    with pytest.raises(SystemExit) as ended:
        train(cfg)
    assert ended.value.code == 143
    return cfg


def checkpoint(cfg: DictConfig) -> str:
    return f"ckpt_path={cfg.run_dir}/parts/0/{LAST}"


def test_an_interrupted_part_goes_on(compose: Compose, uncut: DictConfig, interrupted: DictConfig) -> None:
    train(compose(*PARTS, checkpoint(interrupted), name="elsewhere"))
    elsewhere = compose(name="elsewhere")
    assert_same(elsewhere, uncut)
    assert scalars(elsewhere) == scalars_of(uncut)
    train(compose(*PARTS, checkpoint(interrupted), name="parts"))
    assert_same(interrupted, uncut)
    assert scalars(interrupted) == scalars_of(uncut)  # and nothing of the replicas that were done first


def test_what_is_interrupted_speaks_of_what_is_done(
    capsys: pytest.CaptureFixture[str], evaluated: Callable[..., str], interrupted: DictConfig
) -> None:
    record, rows = files(interrupted)
    statuses = [row[2] for row in rows[1:]]
    assert statuses == ["completed", "completed", "diverged", "interrupted", "interrupted", "not begun", "not begun"]
    assert [row[:2] for row in rows[1:]] == [[str(i), str(3 + i)] for i in range(7)]
    done, stopped = (files(part)[0] for part in parts_of(interrupted, 0, 3))
    assert (record["status"], record["error"], record["replicas_done"]) == ("interrupted", "stopped by SIGTERM", 3)
    assert record["iterations"] == stopped["iterations"] < done["iterations"]
    assert record["examples"] == done["examples"] + stopped["examples"]
    measured = {
        key for key in done if key.startswith(("val/", "mle/", "train/")) or key in ("efficiency", "share_log2")
    }
    assert {key: record[key] for key in measured} == {key: done[key] for key in measured}
    told = f"3 of 7 replicas are done, the next interrupted after {stopped['iterations']} iterations"
    assert told in capsys.readouterr().out
    assert scalars(interrupted) == scalars_of(next(parts_of(interrupted, 0)))
    with pytest.raises(ConfigError, match="the part of replica 5 has not begun"):
        load_run(interrupted.run_dir, replica=5)
    assert "the run is interrupted: stopped by SIGTERM" in evaluated(interrupted.run_dir, "--replica", "3")
    told = evaluated(interrupted.run_dir, "--replica", "2")
    end = load_run(interrupted.run_dir, replica=2).iterations
    assert f"replica 2, seed 5, of {interrupted.run_dir} after {end} iterations\nreplica 2 diverged" in told
    assert 0 < load_run(interrupted.run_dir, replica=2).iterations < done["iterations"]


@pytest.mark.parametrize("killed", [False, True])
def test_a_directory_of_parts_is_taken(compose: Compose, interrupted: DictConfig, killed: bool) -> None:
    directory = Path(interrupted.run_dir)
    if killed:  # by a signal that leaves no time to say so
        for path in (directory, directory / "parts" / "3"):
            (path / "metrics.json").unlink()
    for overrides in ((), ("seed=100",), ("replicas=9",)):
        with pytest.raises(ConfigError, match=r"already holds a run.* resume it with ckpt_path=.*parts/0/checkpoints"):
            train(compose(*PARTS, *overrides, name="parts"))
    for key, value in {"objective": "hinge", "seed": "100", "max_replicas": "4"}.items():
        with pytest.raises(ConfigError, match=f"comes from a run with another (whole.)?{key}"):
            train(compose(*PARTS, f"{key}={value}", checkpoint(interrupted), name="parts"))
    with pytest.raises(ConfigError, match="a resumed run keeps its recipe"):  # uncut
        train(compose(*RECIPE, checkpoint(interrupted), name="parts"))
    message = r"replica must be a number from 0 to 6, with replicas=7 \(got (None|7|-1)\)"
    for replica in (None, 7, -1):
        with pytest.raises(ConfigError, match=message):
            load_run(directory, replica=replica)


def test_an_uncut_run_does_not_go_on_in_parts(compose: Compose, uncut: DictConfig) -> None:
    with pytest.raises(ConfigError, match=r"ckpt_path must be of a part, RUN/parts/0/checkpoints/last.ckpt"):
        train(compose(*PARTS, f"ckpt_path={uncut.run_dir}/{LAST}", name="uncut"))


def test_all_parts_go_on_for_longer(compose: Compose, uncut: DictConfig) -> None:
    shorter = ("trainer.max_epochs=1",)
    cfg = compose(*PARTS, *shorter, name="parts")
    train(cfg)
    train(compose(*PARTS, "trainer.max_epochs=2", checkpoint(cfg), name="parts"))
    (Path(cfg.run_dir) / "parts" / "3" / "metrics.json").unlink()  # as if killed there
    with pytest.raises(SystemExit):
        train(compose(*PARTS, *bomb(part=0, iteration=19), checkpoint(cfg), name="parts"))
    record, rows = files(cfg)
    assert [row[2] for row in rows[1:]] == ["interrupted"] * 2 + ["diverged"] + ["interrupted"] * 4
    assert (record["replicas_done"], record["val/w2"]) == (0, None)
    train(compose(*PARTS, checkpoint(cfg), name="parts"))
    assert_same(cfg, uncut)
    for i in range(7):
        ours, theirs = load_run(cfg.run_dir, replica=i), load_run(uncut.run_dir, replica=i)
        torch.testing.assert_close(ours.generator.state_dict(), theirs.generator.state_dict(), rtol=0, atol=1e-9)
    with pytest.raises(ConfigError, match=r"beyond trainer\.max_epochs=1"):
        train(compose(*PARTS, *shorter, checkpoint(cfg), name="parts"))
    assert files(cfg)[0]["status"] == "completed"


def test_tensorboard_shows_the_whole(compose: Compose, uncut: DictConfig) -> None:
    cfg = compose(*PARTS, name="parts")
    train(cfg)
    assert scalars(cfg) == scalars_of(uncut)
    ours, theirs = (events(each) for each in (cfg, uncut))
    assert ours.Tags()["tensors"] == theirs.Tags()["tensors"] == ["config/text_summary", "custom_scalars__config__"]
    charts = [each.Tensors("custom_scalars__config__")[-1].tensor_proto for each in (ours, theirs)]
    assert charts[0] == charts[1]
    assert {*HPARAMS} <= {*ours.summary_metadata} == {*theirs.summary_metadata}
    assert ours.Images("game")[-1].step == theirs.Images("game")[-1].step == 27
    train(compose(*PARTS, "~logger", name="without"))
    assert not [*Path(compose(name="without").run_dir).glob("events*")]


def test_a_part_that_fails_fails_the_run(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = (
        "+callbacks.bomb._target_=test_parts.FailsIn",
        "+callbacks.bomb.part=3",
        "+callbacks.bomb.directory=${run_dir}",
    )
    cfg = compose(*PARTS, *bomb, name="parts")
    with pytest.raises(OSError, match="no space"):
        train(cfg)
    record, _ = files(cfg)
    assert (record["status"], record["error"], record["replicas_done"]) == ("failed", "no space", 3)
    cfg = compose(*PARTS, "trainer.devices=2", "trainer.strategy=ddp_spawn", name="unfit")
    with pytest.raises(ConfigError, match=r"trainer\.devices"):
        train(cfg)
    assert json.loads((Path(cfg.run_dir) / "metrics.json").read_text())["status"] == "failed"


def test_all_parts_may_diverge(compose: Compose) -> None:
    cfg = compose("replicas=4", "max_replicas=3", "data.num_examples=84", "optimizer_d.lr=1e38", "optimizer_g.lr=1e38")
    assert train(cfg) == math.inf
    record, rows = files(cfg)
    assert (record["status"], record["share_diverged"], len(rows)) == ("diverged", 1.0, 1 + 4)
    assert (Path(cfg.run_dir) / "figures" / "final.png").exists()


@pytest.mark.parametrize("error, status", [(RuntimeError("a defect"), "failed"), (ConfigError("no"), "failed")])
def test_a_part_that_cannot_begin_costs_no_other(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    def unable(cfg: DictConfig) -> Any:
        if cfg.run_dir.endswith("parts/3"):
            raise error
        return assemble(cfg)

    monkeypatch.setattr("gaussgan.train.assemble", unable)
    cfg = compose(*PARTS, name="parts")
    with pytest.raises(type(error), match=str(error)):
        train(cfg)
    record, rows = files(cfg)
    assert (record["status"], record["error"], record["replicas_done"]) == (status, str(error), 3)
    assert [row[2] for row in rows[1:]][3:] == ["not begun"] * 4
    assert record["val/w2_median"] == files(next(parts_of(cfg, 0)))[0]["val/w2_median"]


def test_what_another_limit_ended_goes_on(compose: Compose, uncut: DictConfig) -> None:
    for limit in ("+trainer.max_time={milliseconds: 1}", "+callbacks.stop._target_=test_parts.Stops"):
        cfg = compose(*PARTS, limit, name="parts")
        shutil.rmtree(cfg.run_dir, ignore_errors=True)
        train(cfg)
        assert files(cfg)[0]["status"] == "completed"
    assert files(cfg)[0]["iterations"] == 9
    cfg = compose(*PARTS, f"ckpt_path={cfg.run_dir}/parts/0/{LAST}", name="parts")
    train(cfg)
    assert_same(cfg, uncut)


def test_an_attempt_that_left_nothing_is_no_obstacle(
    compose: Compose, interrupted: DictConfig, uncut: DictConfig
) -> None:
    cfg = compose(*PARTS, f"ckpt_path={interrupted.run_dir}/parts/0/{LAST}", name="other")
    Path(cfg.run_dir, "parts", "0", "events").mkdir(parents=True)
    train(cfg)
    assert_same(cfg, uncut)


@pytest.mark.parametrize("rate", [(), ("optimizer_d.lr=1e308",)])  # of blocks of three, in whose first all diverge
def test_a_speed_is_of_all_that_was_done(compose: Compose, rate: tuple[str, ...]) -> None:
    cfg = compose(*PARTS, *rate, name="parts")
    train(cfg)
    record, parts = files(cfg)[0], [files(part)[0] for part in parts_of(cfg, 0, 3, 5)]
    assert record["seconds"] == pytest.approx(sum(part["seconds"] for part in parts))
    speeds = [part["examples_per_second"] for part in parts]
    assert min(speeds) <= record["examples_per_second"] <= max(speeds)
