"""Runs that are trained together write the same directories as runs that are trained alone."""

import json
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaussgan import load_run
from gaussgan.config.errors import ConfigError
from gaussgan.gan.module import GAN
from gaussgan.runs.directory import BEST, LAST
from gaussgan.runs.load import read_checkpoint
from gaussgan.runs.record import read_record
from gaussgan.sweep import together
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("penalty=r1", "data.num_examples=84", "data.batch_size=30", "trainer.precision=64-true")
EPOCHS = "trainer.max_epochs=6"
JOBS = [
    ("seed=3", "optimizer_g.lr=0.05"),
    ("seed=3", "optimizer_g.lr=0.5"),  # its best epoch is not its last
    ("seed=5", "optimizer_d.betas=[0.5,0.9]"),
    ("seed=6", "optimizer_d.lr=1e308"),  # diverges in its first epoch
    ("seed=12", "penalty.weight=1e160", "optimizer_d.lr=0.03"),  # diverges in its second epoch, but not if optimistic
]
TIMED = ("seconds", "examples_per_second")


def group_of(cfgs: list[DictConfig]) -> Path:
    return Path(cfgs[0].run_dir).with_name("group")


def train_together(cfgs: list[DictConfig], written: Collection[int] = ()) -> list[float | Exception | None]:
    configs: Any = [OmegaConf.to_container(cfg, resolve=True) for cfg in cfgs]
    return together.train_together(configs, group_of(cfgs), written)


@pytest.fixture
def both(compose: Compose) -> Callable[..., tuple[list[DictConfig], list[DictConfig]]]:
    def both(*common: str) -> tuple[list[DictConfig], list[DictConfig]]:
        overrides = [(*SMALL, EPOCHS, "~callbacks.pictures", *common, *job) for job in JOBS]
        return tuple([compose(*each, name=f"{way}{i}") for i, each in enumerate(overrides)] for way in "st")  # type: ignore[return-value]

    return both


def scalars(directory: str) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(directory).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("perf")
    }


@pytest.mark.every_second
@pytest.mark.parametrize(
    "common, diverged",
    [
        ((), {3, 4}),
        (("data.steps_per_execution=2", "update=optimistic", "ema_half_life=3"), {3}),
        (("trainer.max_steps=17",), {3, 4}),  # ends within the last epoch
        (("trainer.max_steps=2",), {3}),  # ends within the first epoch
    ],
)
def test_each_run_equals_a_run_alone(both: Callable, common: tuple[str, ...], diverged: set[int]) -> None:
    single, joint = both(*common)
    values = [train(cfg) for cfg in single]
    assert train_together(joint) == pytest.approx(values, rel=1e-8)
    statuses = []
    for alone, ours in zip(single, joint, strict=True):
        one, other = (Path(cfg.run_dir) for cfg in (alone, ours))
        records = [json.loads((path / "metrics.json").read_text()) for path in (one, other)]
        statuses.append(records[0]["status"])
        assert records[0].keys() == records[1].keys()
        for key in records[0].keys() - {*TIMED}:
            mine, expected = records[1][key], records[0][key]
            assert mine == (pytest.approx(expected, rel=1e-6) if isinstance(expected, float) else expected), key
        names = [{str(file.relative_to(path)) for file in path.rglob("*.ckpt")} for path in (one, other)]
        assert names[0] == names[1]
        for name in names[0]:
            theirs, mine = (read_checkpoint(path / name) for path in (one, other))
            assert theirs.keys() - {"diverged", "frames"} == mine.keys() - {"diverged"}
            for key in ("state_dict", "optimizer_states", "memory", "epoch_sums"):
                torch.testing.assert_close(mine[key], theirs[key], rtol=1e-9, atol=1e-9, equal_nan=True)
            for key in ("global_step", "epoch", "loops", "lr_schedulers", "DataModule"):
                assert mine[key] == theirs[key], key
            assert mine["callbacks"].keys() == theirs["callbacks"].keys()
            least = [each["callbacks"]["Checkpoints"]["least"] for each in (mine, theirs)]
            assert least[0] == pytest.approx(least[1])
            assert str(mine["config"]).replace(ours.run_dir, alone.run_dir) == str(theirs["config"])
        our_scalars, their_scalars = scalars(ours.run_dir), scalars(alone.run_dir)
        assert our_scalars.keys() == their_scalars.keys()
        for tag, points in their_scalars.items():
            assert [step for step, _ in our_scalars[tag]] == [step for step, _ in points], tag
            assert [v for _, v in our_scalars[tag]] == pytest.approx([v for _, v in points], rel=1e-5, nan_ok=True), tag
    assert not group_of(joint).exists()
    assert {i for i, status in enumerate(statuses) if status == "diverged"} == diverged


def test_a_job_can_be_resumed_alone(both: Callable, compose: Compose) -> None:
    _, joint = both()
    train_together(joint)
    assert load_run(joint[1].run_dir, BEST).iterations < load_run(joint[1].run_dir).iterations
    longer = (*SMALL, "~callbacks.pictures", "trainer.max_epochs=9", *JOBS[1])
    train(compose(*longer, name="longer"))
    train(compose(*longer, f"ckpt_path={joint[1].run_dir}/{LAST}", name="t1"))
    ours, theirs = load_run(joint[1].run_dir), load_run(Path(joint[1].run_dir).with_name("longer"))
    for network in ("generator", "discriminator"):
        mine, expected = (getattr(run, network).state_dict() for run in (ours, theirs))
        torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-9)


def test_a_directory_that_cannot_be_written_fails_alone(both: Callable) -> None:
    _, joint = both()
    Path(joint[1].run_dir).mkdir()
    (Path(joint[1].run_dir) / "checkpoints").touch()
    values = train_together(joint)
    assert [isinstance(value, ConfigError) for value in values] == [False, True, False, False, False]
    for i in (0, 2):
        assert load_run(joint[i].run_dir).iterations == 18
    (Path(joint[1].run_dir) / "checkpoints").unlink()
    values = train_together(joint, written=(0, 2, 3, 4))  # what was trained is still there
    assert [isinstance(value, float) for value in values] == [False, True, False, False, False]
    assert load_run(joint[1].run_dir).iterations == 18
    assert not group_of(joint).exists()


@pytest.mark.parametrize("signals, done", [(1, 8), (2, 6)])
def test_a_stopped_group_goes_on_to_the_same_bits(
    both: Callable, monkeypatch: pytest.MonkeyPatch, signals: int, done: int
) -> None:
    """The first Ctrl-C ends the group after a block of iterations, the second one at once."""
    training_step = GAN.training_step

    def interrupted(gan: GAN, *arguments: Any) -> None:
        training_step(gan, *arguments)
        if gan.global_step == 8:
            for _ in range(signals):
                signal.raise_signal(signal.SIGINT)

    options = ("data.steps_per_execution=2", "ema_half_life=3")
    undisturbed, joint = both(*options)
    values = train_together(undisturbed)
    with monkeypatch.context() as patch:
        patch.setattr(GAN, "training_step", interrupted)
        with pytest.raises(SystemExit) as ended:
            train_together(joint)
    assert ended.value.code == 130
    left = group_of(joint)
    assert load_run(left, replica=2).iterations == done
    record = read_record(Path(joint[2].run_dir))
    assert (record["status"], record["error"]) == ("interrupted", f"stopped by SIGINT, as replica 2 of {left}")
    assert train_together(joint) == values
    for a, b in zip(undisturbed, joint, strict=True):
        one, other = (read_record(Path(cfg.run_dir)) for cfg in (a, b))
        assert {**one, **dict.fromkeys(TIMED)} == {**other, **dict.fromkeys(TIMED)}
        names = [{str(file.relative_to(cfg.run_dir)) for file in Path(cfg.run_dir).rglob("*.ckpt")} for cfg in (a, b)]
        assert names[0] == names[1]
        for name in names[0]:
            theirs, mine = (read_checkpoint(Path(cfg.run_dir) / name) for cfg in (a, b))
            for key in ("state_dict", "optimizer_states", "average_weight", "global_step"):
                torch.testing.assert_close(mine[key], theirs[key], rtol=0, atol=0, equal_nan=True)
        assert scalars(a.run_dir) == scalars(b.run_dir)


def test_runs_that_cannot_be_trained_together_write_nothing(both: Callable) -> None:
    _, joint = both("generator.out_features=3")
    with pytest.raises(ConfigError, match=r"generator\.out_features must be 2"):
        train_together(joint)
    for cfg in joint:
        assert read_record(Path(cfg.run_dir))["status"] == "running"  # the sweep runs it alone next
