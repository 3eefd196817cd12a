"""The frames of a run: what they hold, that they do not depend on where a run stopped, and that recording them changes
nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from conftest import SPAWNS
from gaussgan.config.errors import ConfigError
from gaussgan.data.intervals import log_spaced
from gaussgan.rng import normal, stream
from gaussgan.runs.checkpoint import checkpoint_bytes
from gaussgan.runs.directory import LAST
from gaussgan.runs.load import load_run
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=100", "trainer.max_epochs=4", "~callbacks.pictures", "logger=none")  # 52 iterations
MLP = ("generator=mlp", "generator.widths=[4]")


def frames_of(run: DictConfig | str) -> dict[str, Tensor]:
    directory = run if isinstance(run, str) else run.run_dir
    return torch.load(Path(directory) / LAST, weights_only=True)["frames"]


@pytest.mark.parametrize("per_octave", [3, 6])
def test_marks_are_log_spaced_and_do_not_depend_on_where_they_are_asked_for(per_octave: int) -> None:
    all_of_them = sorted({round(2 ** (j / per_octave)) for j in range(20 * per_octave)})
    assert log_spaced(0, all_of_them[-1], per_octave) == all_of_them
    assert [i for i in range(-1, 3000) if log_spaced(i, i, per_octave)] == [i for i in all_of_them if i < 3000]
    assert log_spaced(100, 200, per_octave) == [i for i in all_of_them if 100 <= i <= 200]
    assert log_spaced(5, 4, per_octave) == []


@pytest.mark.parametrize("iteration", [0, 1, 13, 20, 45, 52])
def test_a_frame_shows_the_run_that_stopped_there(compose: Compose, iteration: int) -> None:
    whole = compose(*SMALL, *MLP, name="whole")
    stopped = compose(*SMALL, *MLP, f"trainer.max_steps={max(iteration, 1)}", name="stopped")
    train(whole)
    train(stopped)
    frames, run = frames_of(whole), load_run(stopped.run_dir)
    row = frames["iterations"].tolist().index(iteration)
    if iteration:
        latents = normal(300, 2, generator=stream(0, "frames/samples"))
        torch.testing.assert_close(frames["samples"][row], run.generator(latents).detach())
        networks = (run.generator, run.discriminator)
        theta = torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])
        assert frames["theta"][row].equal(theta)
        corner = frames["window"][0].float()
        torch.testing.assert_close(frames["logits"][row, 0, 0], run.discriminator(corner).squeeze().detach())
    for key in ("samples", "theta", "logits"):
        assert frames_of(stopped)[key][0].equal(frames[key][0])


@pytest.mark.every_second
@pytest.mark.parametrize("steps", [1, 13, 23, 26, 51])
@pytest.mark.parametrize("own", [(), ("replicas=3",), ("experiment=dirac", "data.num_examples=13")])
def test_a_resumed_run_records_the_same(compose: Compose, steps: int, own: tuple[str, ...]) -> None:
    whole, again = compose(*SMALL, *own, name="whole"), compose(*SMALL, *own, name="again")
    train(whole)
    train(compose(*SMALL, *own, f"trainer.max_steps={steps}", name="stopped"))
    again.ckpt_path = str(Path(again.run_dir).with_name("stopped") / LAST)
    train(again)
    ours, theirs = frames_of(whole), frames_of(again)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value.equal(theirs[key]), key


@pytest.mark.parametrize("own", [(), ("replicas=2",), ("compile=on",), ("data.steps_per_execution=1",)])
def test_to_record_changes_no_result(compose: Compose, own: tuple[str, ...]) -> None:
    states = []
    for name, overrides in (("with", ()), ("without", ("~callbacks.frames",))):
        cfg = compose(*SMALL, *own, *overrides, name=name)
        train(cfg)
        states.append(torch.load(Path(cfg.run_dir) / LAST, weights_only=True))
    assert "frames" in states[0]
    assert "frames" not in states[1]
    for key, value in states[0]["state_dict"].items():
        assert value.equal(states[1]["state_dict"][key]), key


GAUSSIAN_10 = ("data=random_gaussian", "data.distribution.dim=10", "generator.in_features=10")
LINE = ("data=random_gaussian", "data.distribution.dim=1", "generator.in_features=1")
SHAPES: dict[str, tuple[tuple[str, ...], dict[str, list[int]]]] = {
    "plane": ((), {"samples": [300, 2], "means": [2], "covs": [2, 2], "logits": [40, 40], "theta": [43]}),
    "line": (LINE, {"samples": [300, 1], "means": [1], "logits": [200], "window": [2, 1], "axes": [1, 1]}),
    "ten": (GAUSSIAN_10, {"samples": [300, 10], "covs": [10, 10], "logits": [40, 40], "axes": [10, 2]}),
    "ring": (("data=ring", *MLP), {"samples": [300, 2], "means": [0], "logits": [40, 40], "true_mean": [2]}),
    "dirac": (
        ("experiment=dirac", "data.batch_size=8"),
        {"samples": [300, 1], "logits": [200], "theta": [2], "means": [0]},
    ),
    "average": (("ema_half_life=4",), {"samples_ema": [300, 2]}),
    "replicas": (
        ("replicas=3",),
        {"samples": [0], "means": [3, 2], "covs": [3, 2, 2], "logits": [0], "theta": [3, 43]},
    ),
    "ring of replicas": (("data=ring", *MLP, "replicas=9"), {"samples": [8, 187, 2], "means": [0], "replicas": [8]}),
    "float64": (("trainer.precision=64-true",), {"samples": [300, 2], "theta": [43]}),
    "compiled": (("compile=on", "replicas=2"), {"means": [2, 2]}),
}


@pytest.mark.every_second
@pytest.mark.parametrize("name", SHAPES)
def test_every_run_has_frames_of_the_documented_form(compose: Compose, name: str) -> None:
    own, shapes = SHAPES[name]
    cfg = compose(*SMALL, *own)
    train(cfg)
    frames = frames_of(cfg)
    assert frames["iterations"].tolist() == [0, *log_spaced(1, 52, 6), *([52] if not log_spaced(52, 52, 6) else [])]
    for key, shape in shapes.items():
        rows = [] if key in ("window", "axes", "true_mean", "replicas") else [len(frames["iterations"])]
        assert [*frames[key].shape] == [*rows, *shape], key
    assert all(frames[key].isfinite().all() for key in frames)
    assert frames["samples"].dtype is torch.float32
    assert frames["covs"].dtype is torch.float64


def test_groups_of_replicas_share_the_places(compose: Compose) -> None:
    """101 of 400 replicas have another rate, and come last."""
    rates = ",".join(["0.05"] * 299 + ["0.1"] * 101)
    cfg = compose(*SMALL, "trainer.max_epochs=1", "replicas=400", f"optimizer_d.lr=[{rates}]")
    train(cfg)
    chosen = frames_of(cfg)["replicas"]
    assert len(chosen) == 100
    assert (chosen >= 299).sum() == 50


def test_a_diverged_run_can_be_watched_until_it_diverged(compose: Compose) -> None:
    cfg = compose(*SMALL, "optimizer_g.lr=1e30", "replicas=2", "optimizer_d.lr=[0.05,1e30]")
    train(cfg)
    assert len(frames_of(cfg)["iterations"]) >= 1


def spoil(frames: dict[str, Any], how: str) -> None:
    changes: dict[str, Callable[[], Any]] = {
        "missing": lambda: frames.pop("theta"),
        "no tensor": lambda: frames.update(samples=[1]),
        "shape": lambda: frames.update(samples=frames["samples"][:, :10].clone()),
        "precision": lambda: frames.update(theta=frames["theta"].double()),
        "rows": lambda: frames.update(means=frames["means"][1:].clone()),
        "order": lambda: frames.update(iterations=frames["iterations"].flip(0)),
        "future": lambda: frames.update(iterations=frames["iterations"] + 1000),
        "kind": lambda: frames.update(iterations=frames["iterations"].double()),
    }
    changes[how]()


@pytest.mark.parametrize("how", ["missing", "no tensor", "shape", "precision", "rows", "order", "future", "kind"])
def test_a_checkpoint_with_damaged_frames_is_refused(compose: Compose, how: str) -> None:
    cfg = compose(*SMALL, "trainer.max_epochs=1")
    train(cfg)
    checkpoint = torch.load(Path(cfg.run_dir) / LAST, weights_only=True)
    spoil(checkpoint["frames"], how)
    (Path(cfg.run_dir) / LAST).write_bytes(checkpoint_bytes(checkpoint))
    again = compose(*SMALL, name="again")
    again.ckpt_path = str(Path(cfg.run_dir) / LAST)
    with pytest.raises(ConfigError, match=r"^ckpt_path: .*frames"):
        train(again)


def test_a_run_that_recorded_nothing_records_from_where_it_is_resumed(compose: Compose) -> None:
    train(compose(*SMALL, "trainer.max_epochs=1", "~callbacks.frames", name="first"))
    again = compose(*SMALL, name="again")
    again.ckpt_path = str(Path(again.run_dir).with_name("first") / LAST)
    train(again)
    assert frames_of(again)["iterations"].tolist() == [13, 14, 16, 18, 20, 23, 25, 29, 32, 36, 40, 45, 51, 52]


def test_a_replica_as_a_single_run_has_no_frames(compose: Compose) -> None:
    cfg = compose(*SMALL, "replicas=2", "trainer.max_epochs=1")
    train(cfg)
    single = single_checkpoint(torch.load(Path(cfg.run_dir) / LAST, weights_only=True), 1)
    assert "frames" not in single
    load_run(cfg.run_dir, replica=1)


@pytest.mark.extra
@SPAWNS
def test_the_first_of_two_processes_records(compose: Compose) -> None:
    both, one = (
        compose(*SMALL, "trainer.max_epochs=1", "data.num_examples=96", *own, name=name)
        for name, own in (("both", ("trainer=ddp", "trainer.strategy=ddp_spawn", "trainer.devices=2")), ("one", ()))
    )
    train(both)
    train(one)
    ours, theirs = frames_of(both), frames_of(one)
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-3, atol=1e-3)


def test_images_of_two_channels_are_drawn_as_points(
    compose: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "two.npy", np.random.default_rng(0).normal(size=(100, 2, 3, 3)))
    two = ("data=file", f"data.path={tmp_path}/two.npy", "data.shape=[2,3,3]", "callbacks=[default,animation]")
    cfg = compose(*two, "trainer.max_steps=3", "logger=none")
    train(cfg)
    assert "could not be drawn" not in caplog.text
    assert (Path(cfg.run_dir) / "figures" / "final.png").exists()
    frames = torch.load(Path(cfg.run_dir) / LAST, weights_only=True)["frames"]
    assert frames["logits"].shape[1:] == (40, 40)
