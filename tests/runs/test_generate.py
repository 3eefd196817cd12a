"""Examples of a trained generator are G(z), in the units of the data. A file of them is whole or not there."""

import csv
import math
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from conftest import ROOT
from gaussgan import load_run
from gaussgan.config.errors import ConfigError
from gaussgan.data.layout import Layout
from gaussgan.rng import normal, stream
from gaussgan.runs import sample_files
from gaussgan.runs.directory import LAST
from gaussgan.runs.generate import ROWS, draw, generate
from gaussgan.runs.record import read_record, write_record
from gaussgan.runs.sample_files import GAP
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=40", "trainer.max_epochs=2", "~callbacks.pictures")


@pytest.fixture
def run(compose: Compose) -> Any:
    train(cfg := compose(*SMALL, "ema_half_life=5"))
    return load_run(cfg.run_dir)


def pixels(*shape: int) -> Layout:
    """Units of images whose numbers are from 0, black, to 255, white."""
    d = math.prod(shape)
    middle, zero = torch.full((d,), 127.5, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
    return Layout(tuple(f"pixel{i}" for i in range(d)), middle, middle, zero, 2 * middle, shape)  # type: ignore[arg-type]


def columns() -> Layout:
    """Units of a table with two columns."""
    shift, scale = torch.tensor([[1e9, 70.0], [10.0, 2.0]], dtype=torch.float64)
    return Layout(("height, cm", "weight"), shift, scale, shift - scale, shift + scale)


def with_layout(run: Any, layout: Layout) -> Any:
    return replace(run, layout=layout)


@pytest.mark.parametrize("average", [True, False])
def test_examples_are_the_generators_output(run: Any, tmp_path: Path, average: bool) -> None:
    n = 2 * ROWS + 100
    made = generate(run, n, tmp_path / "a.npy", seed=3, average=average)
    latents = torch.cat([normal(ROWS, 2, generator=stream(3, "generate", i)) for i in range(3)])[:n]
    network = run.generator_ema if average else run.generator
    written = np.load(tmp_path / "a.npy")
    assert made == (tmp_path / "a.npy", 2, average, 0)
    assert written.dtype == np.float32
    np.testing.assert_allclose(written, (latents @ network.weight.T + network.bias).detach(), rtol=1e-5)
    other = run.generator if average else run.generator_ema
    assert not np.allclose(written, (latents @ other.weight.T + other.bias).detach())


def test_their_moments_are_those_of_the_generator(run: Any, tmp_path: Path) -> None:
    n = 100_000
    with torch.no_grad():
        run.generator.weight.copy_(run.distribution.A.T)
        run.generator.bias.copy_(run.distribution.mean)
    generate(run, n, tmp_path / "a.npy", average=False)
    x = np.load(tmp_path / "a.npy").astype(np.float64)
    mean, cov = (moment.numpy() for moment in (run.distribution.mean, run.distribution.cov))
    deviations = np.sqrt(np.diag(cov))
    assert (np.abs(x.mean(0) - mean) < 5 * deviations / n**0.5).all()
    errors = np.sqrt((cov**2 + np.outer(deviations, deviations) ** 2) / n)  # of a Gaussian's sample covariance
    assert (np.abs(np.cov(x.T) - cov) < 5 * errors).all()


@pytest.mark.parametrize("overrides", [("generator=mlp", "generator.batch_norm=true"), ("trainer.precision=64-true",)])
def test_the_first_examples_do_not_depend_on_how_many_follow(
    compose: Compose, tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    train(cfg := compose(*SMALL, *overrides))
    run = load_run(cfg.run_dir)
    for n in (1, 7, 100, 1500):
        generate(run, n, tmp_path / f"{n}.npy")
        generate(run, n, tmp_path / f"{n}.csv")
    arrays = {n: np.load(tmp_path / f"{n}.npy") for n in (1, 7, 100, 1500)}
    for n, array in arrays.items():
        assert array.shape == (n, 2)
        np.testing.assert_array_equal(array, arrays[1500][:n])
        with (tmp_path / f"{n}.csv").open() as file:
            names, *rows = csv.reader(file)
        assert names == ["x0", "x1"]
        np.testing.assert_array_equal(np.array(rows, dtype=array.dtype), array)
    generate(run, 100, tmp_path / "other.npy", seed=1)
    assert not np.isclose(np.load(tmp_path / "other.npy"), arrays[100]).any()
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.name[0] == ".") == []


def test_columns_have_their_names_and_units(run: Any, tmp_path: Path) -> None:
    for out in ("a.npy", "a.csv"):
        generate(with_layout(run, columns()), 50, tmp_path / out)
    expected = columns().original(next(draw(run))[:50]).numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
    with (tmp_path / "a.csv").open() as file:
        names, *rows = csv.reader(file)
    assert names == ["height, cm", "weight"]
    np.testing.assert_array_equal(np.array(rows, dtype=float), expected)


@pytest.mark.parametrize("shape", [(1, 3, 2), (3, 1, 2)])
def test_pictures_hold_the_pixels(compose: Compose, tmp_path: Path, shape: tuple[int, int, int]) -> None:
    six = ("data=random_gaussian", "data.distribution.dim=6", "generator.in_features=6")
    train(cfg := compose(*SMALL, *six))
    run = with_layout(load_run(cfg.run_dir), pixels(*shape))
    expected = (255 * run.layout.pixels(next(draw(run)))).round().numpy()
    generate(run, 5, f"{tmp_path}/folder/")
    generate(run, 5, tmp_path / "grid.png", columns=2)
    generate(run, 5, tmp_path / "grid2.png")
    generate(run, 5, tmp_path / "vectors.npy")
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [f"0000{i}.png" for i in range(5)]
    _, height, width = shape
    scale = 64 // max(height, width)
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape[:2] == (3 * (scale * height + GAP) - GAP, 2 * (scale * width + GAP) - GAP)
    assert np.asarray(Image.open(tmp_path / "grid2.png")).shape[1] == 3 * (scale * width + GAP) - GAP
    for i in range(5):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "folder" / f"0000{i}.png")), expected[i])
        top, left = i // 2 * (scale * height + GAP), i % 2 * (scale * width + GAP)
        tile = grid[top : top + scale * height, left : left + scale * width]
        np.testing.assert_array_equal(tile[::scale, ::scale], expected[i])
    vectors = np.load(tmp_path / "vectors.npy")
    np.testing.assert_allclose(vectors, run.layout.original(next(draw(run))[:5]), rtol=1e-6)


@pytest.mark.parametrize("out", ["a.npy", "a.csv", "a"])
def test_nothing_is_left_after_an_error(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    def draws(*_: Any) -> Any:
        yield torch.zeros(ROWS, 2)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gaussgan.runs.generate.draw", draws)
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match=f"--out: cannot write to .*{out} \\(No space left"):
        generate(with_layout(run, pixels(1, 1, 2)), 2 * ROWS, tmp_path / "out" / out)
    assert [*(tmp_path / "out").iterdir()] == []


@pytest.fixture
def script(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Runs scripts/generate.py in a directory of its own, and returns what it prints or the line of its error."""
    (tmp_path / "here").mkdir()

    def script(*arguments: str, directory: Path = run.directory) -> str:
        monkeypatch.chdir(tmp_path / "here")
        monkeypatch.setattr(sys, "argv", ["generate.py", str(directory), *arguments])
        monkeypatch.setattr(sys, "path", [*sys.path])
        capsys.readouterr()
        try:
            runpy.run_path(str(ROOT / "scripts" / "generate.py"), run_name="__main__")
        except SystemExit as error:
            return str(error.code)
        return capsys.readouterr().out

    return script


@pytest.mark.parametrize(
    "arguments, line",
    [
        ("--n 0 --out a.npy", "--n must be at least 1 (got 0)"),
        ("--out a.xyz", "--out must end in .npy, .csv or .png, or be a folder for PNGs (got a.xyz)"),
        ("--out nowhere/a.npy", "--out: nowhere/a.npy cannot be written, because there is no directory"),
        ("--out a.png", "--out must end in .npy or .csv for this run, because its examples are not images"),
        ("--out folder/", "--out must end in .npy or .csv for this run, because its examples are not images"),
        ("--out there.npy", "--out: there.npy already exists; --force replaces it"),
        ("--out there", "--out: there is a folder that is not empty; choose another folder"),
        ("--out there.npy/", "--out: there.npy is a file; choose another folder"),
        ("--out a.npy --columns 3", "--columns needs a grid, so --out must end in .png (got 3)"),
        ("--out a.npy --replica 1", "replica must be a number from 0 to 0 for a run with replicas=1 (got 1)"),
        ("--n 10000000000000000 --out a.npy", "--out: a.npy needs at least 80,000,000 GB, but its disk has only"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(script: Callable, tmp_path: Path, arguments: str, line: str) -> None:
    (tmp_path / "here" / "there").mkdir()
    (tmp_path / "here" / "there" / "precious").touch()
    (tmp_path / "here" / "there.npy").write_text("precious")
    before = sorted((tmp_path / "here").rglob("*"))
    message = script(*arguments.split())
    assert line in message
    assert len(message.splitlines()) == 1
    assert sorted((tmp_path / "here").rglob("*")) == before
    assert (tmp_path / "here" / "there.npy").read_text() == "precious"


def test_a_file_is_replaced_by_force(script: Callable, tmp_path: Path) -> None:
    (tmp_path / "here" / "a.npy").write_text("old")
    printed = script("--n", "10", "--out", "a.npy", "--force", "--no-average", "--best")
    assert printed == "a.npy: 10 examples of 2 numbers, by the generator after 10 iterations (seed 0)\n"
    assert np.load(tmp_path / "here" / "a.npy").shape == (10, 2)
    assert "by the moving average of the generator" in script("--out", "all.csv")
    assert len((tmp_path / "here" / "all.csv").read_text().splitlines()) == 10_001


def test_a_directory_without_a_run(script: Callable, tmp_path: Path) -> None:
    assert "is not a run directory" in script("--out", "a.npy", directory=tmp_path)


def test_one_of_several_replicas(compose: Compose, script: Callable, tmp_path: Path) -> None:
    train(cfg := compose(*SMALL, "replicas=3", name="replicas"))
    several, out = Path(cfg.run_dir), tmp_path / "here" / "a.npy"
    message = script("--out", "a.npy", directory=several)
    assert "replica must be a number from 0 to 2 for a run with replicas=3 (got None)" in message
    assert not out.exists()
    script("--n", "5", "--out", "a.npy", "--replica", "1", directory=several)
    one = load_run(several, LAST, replica=1)
    np.testing.assert_array_equal(np.load(out), next(draw(one))[:5])


def test_a_diverged_run_says_so_and_counts_what_is_not_finite(script: Callable, run: Any) -> None:
    record = {**read_record(run.directory), "status": "diverged", "error": "loss_g is not finite at iteration 3"}
    write_record(run.directory, record)
    checkpoint = torch.load(run.directory / LAST, weights_only=True)
    checkpoint["state_dict"]["generator.weight"].fill_(3e38)
    torch.save(checkpoint, run.directory / LAST)
    first, second, _ = script("--n", "200", "--out", "a.npy", "--no-average").splitlines()
    assert first == "loss_g is not finite at iteration 3: the examples are from the last checkpoint before that"
    bad = int((~np.isfinite(np.load("a.npy")).all(1)).sum())
    assert second == f"{bad} of the 200 examples are not finite"
    assert 0 < bad < 200


def test_one_picture_has_room_for_so_many_images(run: Any, tmp_path: Path) -> None:
    n = sample_files.MOST_PIXELS // 1000
    with pytest.raises(ConfigError, match="--n must be smaller for one picture"):
        generate(with_layout(run, pixels(1, 1, 2)), n, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
