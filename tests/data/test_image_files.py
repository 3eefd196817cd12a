"""Images become numbers in [−1, 1], and what is done to them is said."""

import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from gaussgan.data import image_files
from gaussgan.data.image_files import read_digits, read_images

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
OTHER = Image.fromarray(RGB[0])


def pixels(images: torch.Tensor, channels: int = 3) -> np.ndarray:
    """Levels from 0 to 255, [n, H, W, C], of images of 6 × 6."""
    return images.reshape(-1, channels, 6, 6).movedim(1, -1).numpy() * 127.5 + 127.5


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO)
    return lambda: [line.replace(f"{tmp_path}", "DIR") for line in caplog.messages]


def refusal(path: Path, size: Any = 6, channels: Any = 3) -> str:
    with pytest.raises(ValueError) as error:
        read_images(path, size, channels)
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{path}", "DIR")


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff", "webp", "GIF"])
def test_pixels_are_those_of_the_file(suffix: str, tmp_path: Path, said: Callable[[], list[str]]) -> None:
    levels = RGB if suffix != "GIF" else RGB[:, :, :, :1].repeat(3, -1)  # 36 colours fit a palette
    for i, each in enumerate(levels):
        Image.fromarray(each).save(tmp_path / f"{i}.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    images = read_images(tmp_path, 6, 3)
    assert images.dtype == torch.float32
    assert images.shape == (2, 108)
    assert np.abs(pixels(images) - levels).max() < 1e-4
    assert said() == ["data.path: DIR has 2 images"]


def test_jpeg_is_decoded_as_pillow_does(tmp_path: Path) -> None:
    for i, each in enumerate(RGB):
        Image.fromarray(each).save(tmp_path / f"{i}.jpg")
    decoded = [np.asarray(Image.open(tmp_path / f"{i}.jpg")) for i in range(2)]
    assert np.abs(pixels(read_images(tmp_path, 6, 3)) - decoded).max() < 1e-4


def test_channels_come_first_and_black_is_minus_one(tmp_path: Path) -> None:
    for i in range(2):
        Image.new("RGB", (6, 6), (255, 0, 51)).save(tmp_path / f"{i}.png")
    channels = read_images(tmp_path, 6, 3).reshape(2, 3, 36)
    assert torch.equal(channels, torch.tensor([1, -1, -0.6]).reshape(1, 3, 1).expand(2, 3, 36))


def test_order_is_that_of_paths_and_hidden_files_are_skipped(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    names = ["b/1.png", "a/2.png", "a/10.png", "a b/0.png", "Z.png", "ä/0.png"]
    for level, name in enumerate(sorted(names, key=lambda name: Path(name).parts)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (6, 6), level).save(tmp_path / name)
    for name in (".hidden.png", ".thumbnails/x.png", "labels.csv", "a/README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    levels = pixels(read_images(tmp_path, 6, 1), 1)[:, 0, 0, 0]
    assert levels.round().tolist() == [0, 1, 2, 3, 4, 5]
    assert said() == ["data.path: DIR has 6 images; 2 other files are skipped"]


def test_other_sizes_are_cropped_and_resized_and_said(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    big = Image.fromarray(RNG.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    wide = Image.fromarray(RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8))
    for name, image in {"0": OTHER, "1": big, "2": wide}.items():
        image.save(tmp_path / f"{name}.png")
    images = pixels(read_images(tmp_path, 6, 3))
    expected = [
        OTHER,
        big.resize((6, 6), Image.Resampling.LANCZOS),
        ImageOps.fit(wide, (6, 6), Image.Resampling.LANCZOS),
    ]
    assert np.abs(images - np.stack([np.asarray(image) for image in expected])).max() < 1e-4
    assert said() == [
        "data.path: DIR has 3 images; 1 are resized to 6×6; 1 are resized to 6×6 after cropping to a square"
    ]


def test_a_checkerboard_becomes_grey(tmp_path: Path) -> None:
    """Without a filter against aliasing it would be black or white."""
    board = (np.indices((60, 60)).sum(0) % 2 * 255).astype(np.uint8)
    for i in range(2):
        Image.fromarray(board).save(tmp_path / f"{i}.png")
    assert read_images(tmp_path, 6, 1).abs().max() < 0.05


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA", "PA", "I;16"])
def test_modes(mode: str, channels: int, tmp_path: Path) -> None:
    grey = np.arange(36, dtype=np.uint8).reshape(6, 6) * 7
    if mode == "I;16":
        image: Image.Image = Image.fromarray(grey.astype(np.uint16) * 257 + 128)
    elif mode == "1":
        image = Image.fromarray(grey > 100)
        grey = (grey > 100) * np.uint8(255)
    elif mode in ("P", "PA"):
        image = Image.fromarray(grey).convert("P")
    else:
        image = Image.fromarray(grey).convert("RGB").convert(mode)
    if mode in ("LA", "RGBA", "PA"):
        image = image.convert("RGBA")
        image.putalpha(Image.fromarray((grey > 100) * np.uint8(255)))
        image = image.convert("LA") if mode == "LA" else image
        grey = np.where(grey > 100, grey, 255)
    suffix = "tiff" if mode == "CMYK" else "png"
    for i in range(2):
        image.save(tmp_path / f"{i}.{suffix}")
    images = pixels(read_images(tmp_path, 6, channels), channels)
    fine = 128 / 257 if mode == "I;16" and channels == 1 else 0
    assert np.abs(images - grey[..., None] - fine).max() < 1e-4


def test_a_transparent_palette_is_put_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (6, 6), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    for i in range(2):
        image.save(tmp_path / f"{i}.png", transparency=0)
        image.save(tmp_path / f"{i}.gif", transparency=0)
    for levels in pixels(read_images(tmp_path, 6, 3)).round():
        assert levels[0, 0].tolist() == [255, 255, 255]
        assert levels[1, 1].tolist() == [0, 0, 255]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_exif_turns_an_image(suffix: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (6, 6), "white")
    image.paste("black", (0, 0, 6, 3))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    for i in range(2):
        image.save(tmp_path / f"{i}.{suffix}", exif=exif, **({"quality": 95} if suffix == "jpg" else {}))
    levels = pixels(read_images(tmp_path, 6, 3))
    assert levels[:, :, :3].mean() > 250
    assert levels[:, :, 3:].mean() < 5


def test_the_first_frame_of_an_animation(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    frames = [Image.new("L", (6, 6), level) for level in (0, 128, 255)]
    for i in range(2):
        frames[0].save(tmp_path / f"{i}.gif", save_all=True, append_images=frames[1:])
    assert torch.equal(read_images(tmp_path, 6, 1), -torch.ones(2, 36))
    assert said() == ["data.path: DIR has 2 images; 2 are animations, of which the first frame is used"]


def test_colours_become_grey_by_their_luma(tmp_path: Path) -> None:
    for i, each in enumerate(RGB):
        Image.fromarray(each).save(tmp_path / f"{i}.png")
    luma = RGB @ [0.299, 0.587, 0.114]
    assert np.abs(pixels(read_images(tmp_path, 6, 1), 1)[..., 0] - luma).max() < 1


def test_damaged_images_are_named(tmp_path: Path) -> None:
    big = Image.fromarray(RNG.integers(0, 256, (50, 50, 3), dtype=np.uint8))
    for suffix in ("png", "jpg", "webp", "bmp", "gif", "tiff", "ppm"):
        directory = tmp_path / suffix
        directory.mkdir()
        for name in ("a", "b", "c"):
            big.save(directory / f"{name}.{suffix}")
        whole = (directory / f"b.{suffix}").read_bytes()
        for content in (
            whole[: len(whole) // 2],
            b"",
            b"no image",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        ):
            (directory / f"b.{suffix}").write_bytes(content)
            assert refusal(directory).startswith(f"data.path: DIR/b.{suffix} is not an image, or is damaged (")
    content = bytearray((tmp_path / "png" / "a.png").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "png" / "b.png").write_bytes(content)
    assert refusal(tmp_path / "png").startswith("data.path: DIR/b.png is not an image, or is damaged (")


def test_an_image_of_very_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OTHER.save(tmp_path / "a.png")
    Image.new("1", (100, 100)).save(tmp_path / "bomb.png")
    for most, reason in ((9_999, "it has 10,000 pixels, more than 9,999"), (100, "Image size (10000 pixels) exceeds")):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        assert refusal(tmp_path).startswith(f"data.path: DIR/bomb.png is not an image, or is damaged ({reason}")


def test_levels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    OTHER.save(tmp_path / "a.png")
    Image.fromarray(np.zeros((6, 6), np.float32)).save(tmp_path / "b.tiff")
    assert "b.tiff is not an image, or is damaged (its levels are floats, whose range is unknown)" in refusal(tmp_path)
    Image.fromarray(np.full((6, 6), 70_000, np.int32)).save(tmp_path / "b.tiff")
    assert "(its levels must be from 0 to 65,535 (they are 70000.0…70000.0))" in refusal(tmp_path)


def test_bad_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = (
        "data.path: DIR must have at least 2 images (.png, .jpg, .jpeg, .webp, .bmp, .gif, .tif, .tiff, .ppm, .pgm); it"
    )
    assert refusal(tmp_path) == f"{few} has 0 in 0 files"
    OTHER.save(tmp_path / "a.png")
    (tmp_path / "b.txt").write_text("")
    assert refusal(tmp_path) == f"{few} has 1 in 2 files"
    assert refusal(tmp_path / "a.png") == "data.path must be a directory of images (DIR is a file)"
    assert refusal(tmp_path / "no") == "data.path must be a directory of images (DIR does not exist)"
    for size in (0, 2.5, True, None):
        assert refusal(tmp_path, size=size) == f"data.size must be a whole number of at least 1 (got {size})"
    for channels in (2, 4, True, "3"):
        assert refusal(tmp_path, channels=channels) == f"data.channels must be 1 for grey or 3 for RGB (got {channels})"
    OTHER.save(tmp_path / "b.png")
    monkeypatch.setattr(image_files, "available_memory", lambda: 1e9)
    assert refusal(tmp_path, size=10_000) == (
        "data.size=10000: 2 images need 2.4 GB of memory, but this machine has only 1.0 GB"
    )
    (tmp_path / "b.png").unlink()
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    assert refusal(tmp_path).startswith("data.path: DIR/b.png is not an image, or is damaged (")


def test_metadata_do_not_warn(tmp_path: Path) -> None:
    image = Image.new("P", (6, 6))
    for i in range(2):
        image.save(tmp_path / f"{i}.png", transparency=bytes(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_images(tmp_path, 6, 3)


@pytest.mark.extra
def test_digits() -> None:
    from sklearn.datasets import load_digits

    digits = read_digits()
    assert digits.shape == (1797, 64)
    assert digits.dtype == torch.float32
    assert np.array_equal(8 * digits.numpy() + 8, load_digits().images.reshape(-1, 64))


def test_the_extra_of_the_digits_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match=r"^data=digits needs the package scikit-learn: pip install .*\.\[images\]'"):
        read_digits()
