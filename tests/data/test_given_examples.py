"""Examples from files and folders: the values of black and white, what is read again, and what a run says of it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from gaussgan.data.files import file_data, image_folder_data
from gaussgan.setup.assemble import assemble
from gaussgan.train import fit

MODULE: dict[str, Any] = {"batch_size": 8, "steps_per_execution": 1, "fresh": False, "latent_dim": 2, "seed": 0}


@pytest.mark.parametrize("standardize", [True, False])
def test_all_pixels_of_a_file_share_black_and_white(standardize: bool, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (100, 1, 3, 3), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(100) % 3, 200  # nearly black; constant
    np.save(tmp_path / "images.npy", images)
    examples: Any = file_data(f"{tmp_path}/images.npy", shape=[1, 3, 3], standardize=standardize, **MODULE).distribution
    levels = torch.from_numpy(np.sort(images[:, 0, 0, 1:].ravel()))
    everything = torch.cat([examples.train, examples.select, examples.report])
    shown = examples.layout.light(everything) * 255
    torch.testing.assert_close(shown[:, 1:3].flatten().sort().values, levels.double(), rtol=0, atol=1e-3)
    assert shown[:, 0].max().item() == pytest.approx(2, abs=1e-3)


def test_a_folder_is_read_again_when_an_image_changes(tmp_path: Path) -> None:
    def draw(level: int) -> None:
        for i in range(40):
            Image.new("L", (4, 4), level + i).save(tmp_path / f"{i}.png")

    def fingerprint() -> str:
        data: Any = image_folder_data(f"{tmp_path}", 4, 1, [1, 4, 4], holdout=0.4, **MODULE)
        return data.distribution.fingerprint

    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / ".broken").symlink_to(tmp_path / "nowhere")
    draw(0)
    first = fingerprint()
    assert fingerprint() == first
    draw(100)
    assert fingerprint() != first


def test_each_run_says_how_many_images_were_resized(
    compose: Callable[..., DictConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(60):
        Image.new("L", (4 + i % 2, 4), i).save(tmp_path / f"{i}.png")
    caplog.set_level(logging.INFO)
    folder = ("data=image_folder", f"data.path={tmp_path}", "data.size=4", "data.channels=1")
    for name in ("first", "second"):  # the images are read once
        caplog.clear()
        fit(*assemble(compose(*folder, "trainer.max_steps=1", "callbacks=lean", "logger=none", name=name)))
        (line,) = (line for line in caplog.messages if "resized" in line)
        assert line.endswith("has 60 images; 30 are resized to 4×4 after cropping to a square")


def test_a_batch_may_be_larger_than_a_chunk(
    compose: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaussgan.data.datamodule.CHUNK", 16)
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(59, 2)))  # 12 are held out, the fewest
    _, data, _ = assemble(compose("data=file", f"data.path={tmp_path}/rows.npy", "data.batch_size=20"))
    assert data.chunk == 1
    drawn = torch.cat([data.draw(0, slice(start, start + 20)).real for start in (0, 20, 40)])
    assert torch.equal(drawn.sort(0).values, data.examples().sort(0).values)
