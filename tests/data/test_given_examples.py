"""Examples from files and folders: the values of black and white, and what is read again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gaussgan.data.files import file_data, image_folder_data

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
