"""The film of a run: any run that recorded frames has one, also a run that was resumed or that diverged."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from gaussgan.callbacks import animation
from gaussgan.callbacks.filming import distances_of
from gaussgan.callbacks.pictures import snapshot_of
from gaussgan.config.errors import ConfigError
from gaussgan.figures.film import MOST, chosen_frames
from gaussgan.figures.film_files import save_gif, save_mp4
from gaussgan.runs.directory import LAST
from gaussgan.runs.record import read_record
from gaussgan.setup.assemble import assemble
from gaussgan.train import fit, train

Compose = Callable[..., DictConfig]
SMALL = ("callbacks=[default,animation]", "data.num_examples=100", "trainer.max_epochs=2", "logger=none")
MLP = ("generator=mlp", "generator.widths=[4]")
BLUE, ORANGE = np.array([31, 78, 156]), np.array([209, 84, 31])


def gif(cfg: DictConfig) -> list[np.ndarray]:
    film = Image.open(Path(cfg.run_dir) / "figures" / "training.gif")
    images = []
    for i in range(getattr(film, "n_frames", 1)):
        film.seek(i)
        images.append(np.asarray(film.convert("RGB")).astype(int))
    return images


def recorded(cfg: DictConfig) -> int:
    return len(torch.load(Path(cfg.run_dir) / LAST, weights_only=True)["frames"]["iterations"])


def near(image: np.ndarray, color: np.ndarray) -> int:
    """The number of pixels of about a colour."""
    return int((abs(image - color).max(-1) < 40).sum())


@pytest.mark.parametrize(
    "own",
    [
        (),
        pytest.param(("data=ring", *MLP, "objective=wasserstein"), marks=pytest.mark.extra),
        pytest.param(
            ("data=random_gaussian", "data.distribution.dim=1", "generator.in_features=1"), marks=pytest.mark.extra
        ),
        pytest.param(
            ("data=random_gaussian", "data.distribution.dim=10", "generator.in_features=10", "ema_half_life=4"),
            marks=pytest.mark.extra,
        ),
        pytest.param(
            ("experiment=dirac", "callbacks=[default,portrait,animation]", "data.batch_size=8"), marks=pytest.mark.extra
        ),
        pytest.param(
            ("experiment=dirac", "callbacks=[default,animation]", "data.batch_size=8", "replicas=3"),
            marks=pytest.mark.extra,
        ),
        ("replicas=4", "optimizer_d.lr=[0.05,0.05,0.1,0.1]"),
        pytest.param(
            ("replicas=3", "data=random_gaussian", "data.distribution.dim=1", "generator.in_features=1"),
            marks=pytest.mark.extra,
        ),
        pytest.param(("replicas=3", "data=ring", *MLP), marks=pytest.mark.extra),
    ],
)
def test_every_run_has_a_film_with_each_recorded_frame(
    compose: Compose, caplog: pytest.LogCaptureFixture, own: tuple[str, ...]
) -> None:
    cfg = compose(*SMALL, *own)
    train(cfg)
    images = gif(cfg)
    assert "could not be drawn" not in caplog.text
    assert len(images) == recorded(cfg)
    assert images[0].shape == (416, 880, 3)
    assert (images[0] == 255).all(-1).mean() > 0.3  # the paper is white
    assert near(images[0], BLUE) + near(images[0], ORANGE) > 20
    assert (images[0] != images[-1])[30:380, 40:430].any()  # what is generated


@pytest.mark.extra
def test_samples_move(compose: Compose) -> None:
    """The points of a generator that begins close to 0 lie on each other at first."""
    cfg = compose(*SMALL, "optimizer_g.lr=0.05", "trainer.max_epochs=8")
    train(cfg)
    first, *_, last = (near(image[30:380, 40:430], ORANGE) for image in gif(cfg))
    assert last > first + 300


@pytest.mark.extra
def test_a_resumed_run_makes_the_same_film(compose: Compose) -> None:
    whole, again = compose(*SMALL, name="whole"), compose(*SMALL, name="again")
    train(whole)
    train(compose(*SMALL, "trainer.max_steps=17", name="stopped"))
    again.ckpt_path = str(Path(again.run_dir).with_name("stopped") / LAST)
    train(again)
    theirs = gif(again)
    for ours, other in zip(gif(whole), theirs, strict=True):
        assert (abs(ours - other) > 8).any(-1).mean() < 0.001  # mean losses differ in their last bits


def test_a_film_adds_distances_of_frames_only_where_they_are_exact(compose: Compose) -> None:
    """The moments of 2,000 samples give another distance than the 10,000 of an evaluation."""
    for generator, is_exact in (("linear", True), ("mlp", False)):
        cfg = compose(*SMALL, f"generator={generator}", name=generator)
        gan, data, trainer = assemble(cfg)
        fit(gan, data, trainer)
        run = snapshot_of(trainer, gan, trainer.global_step)
        iterations, _ = distances_of(run, "val/w2")
        frames = run.frames["iterations"].tolist() if is_exact else []
        assert iterations == sorted({*frames, *(row["iteration"] for row in run.history)})


def test_a_diverged_run_has_a_film(compose: Compose, caplog: pytest.LogCaptureFixture) -> None:
    cfg = compose(*SMALL, "optimizer_g.lr=1e38", "optimizer_d.lr=1e38")
    train(cfg)
    assert read_record(Path(cfg.run_dir))["status"] == "diverged"
    assert "could not be drawn" not in caplog.text
    assert len(gif(cfg)) >= 2


def test_an_error_of_drawing_does_not_end_the_run(
    compose: Compose, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation, "film", lambda run: 1 / 0)
    cfg = compose(*SMALL)
    train(cfg)
    assert "the film training.gif could not be drawn" in caplog.text
    assert read_record(Path(cfg.run_dir))["status"] == "completed"


def test_a_film_needs_frames(compose: Compose) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.animation: Animation needs the frames that callbacks\.frames"):
        assemble(compose("callbacks=[lean,animation]"))


@pytest.mark.extra
def test_loggers_get_frames_at_their_iterations(compose: Compose) -> None:
    from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

    cfg = compose(*SMALL[:3], "logger=tensorboard")
    train(cfg)
    events = EventAccumulator(cfg.run_dir, size_guidance={IMAGES: 0}).Reload()
    steps = [event.step for event in events.Images("training")]
    assert (len(steps), steps[0], steps[-1]) == (12, 0, 26)
    assert steps == sorted(steps)


@pytest.mark.parametrize("n", [1, 2, MOST, MOST + 1, 500])
def test_a_long_run_has_a_short_film(n: int) -> None:
    chosen = chosen_frames([*range(n)], first=n / 2)
    assert chosen == sorted({*chosen})
    assert min(n, 0.8 * MOST) <= len(chosen) <= MOST
    assert (chosen[0], chosen[-1]) == (0, n - 1)


def test_the_last_frame_stays(tmp_path: Path) -> None:
    images = [np.full((20, 30, 3), 255 - 40 * i, dtype=np.uint8) for i in range(4)]
    save_gif(images, tmp_path / "film.gif")
    film = Image.open(tmp_path / "film.gif")
    durations = []
    for i in range(film.n_frames):  # type: ignore[attr-defined]
        film.seek(i)
        durations.append(film.info["duration"])
    assert durations == [80, 80, 80, 2500]
    assert film.info["loop"] == 0


def test_ffmpeg_gets_all_frames_and_holds_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\nwc -c > "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert save_mp4([np.zeros((2, 4, 3), dtype=np.uint8)] * 5, tmp_path / "film.mp4")
    assert int((tmp_path / "film.mp4").read_text()) == (5 + 30) * 2 * 4 * 3


def test_without_ffmpeg_there_is_no_mp4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not save_mp4([np.zeros((2, 2, 3), dtype=np.uint8)], tmp_path / "film.mp4")


@pytest.mark.parametrize(
    "own, channels",
    [
        (("ema_half_life=4",), 1),
        *(
            pytest.param(own, channels, marks=pytest.mark.extra)
            for own in ((), ("replicas=3",), ("ema_half_life=4",))
            for channels in (1, 3)
        ),
    ],
)
def test_images_have_films_and_figures(
    compose: Compose, caplog: pytest.LogCaptureFixture, tmp_path: Path, own: tuple[str, ...], channels: int
) -> None:
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (80, 4, 4, 3), dtype=np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "images" / f"{i}.png")
    folder = ("data=image_folder", f"data.path={tmp_path}/images", "data.size=4", f"data.channels={channels}")
    cfg = compose(*folder, *MLP, SMALL[0], "logger=none", "trainer.max_epochs=2", "generator.in_features=3", *own)
    train(cfg)
    assert "could not be drawn" not in caplog.text
    assert len(gif(cfg)) == recorded(cfg)
    frames = torch.load(Path(cfg.run_dir) / LAST, weights_only=True)["frames"]
    shape = [3, 12] if "replicas=3" in own else [36]
    assert [*frames["samples"].shape[1:]] == [*shape, channels * 16]
    assert frames["samples"].dtype is torch.float16
    assert frames["logits"].numel() == 0
    assert ("ema_half_life=4" in own) == (frames["samples_ema"].numel() > 0)
    assert np.asarray(Image.open(Path(cfg.run_dir) / "figures" / "final.png")).std() > 20
