"""Runs on the rows of a file, from the file to the record: a file that was drawn from a known Gaussian."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.config.errors import ConfigError
from gaussgan.evaluation.chunked import evaluator_of
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.networks import Linear
from gaussgan.rng import stream
from gaussgan.runs.evaluate import compare, measure
from gaussgan.runs.load import load_run
from gaussgan.runs.record import read_record, read_replicas
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]
A, B = torch.tensor([[1.0, 2], [-0.1, 0.5]]).double(), torch.tensor([10.0, -200]).double()
N = 4_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of a known Gaussian, N(B, AᵀA)."""
    x = torch.randn(N, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ A + B
    file = tmp_path_factory.mktemp("file") / "points.csv"
    np.savetxt(file, np.column_stack([x.numpy(), np.arange(N) % 3]), delimiter=",", header="a,b,label", comments="")
    return str(file)


def on(path: str, *more: str) -> tuple[str, ...]:
    small = (
        "data.num_examples=320",
        "data.batch_size=32",
        "trainer.max_epochs=2",
        "logger=none",
        "~callbacks.pictures",
    )
    return ("data=file", f"data.path={path}", "data.exclude=[label]", *small, *more)


def a_generator(data: Any, mean: torch.Tensor, scale: float = 1.0) -> Linear:
    """A generator of N(mean, scale² AᵀA), in the units of the file."""
    layout, network = data.distribution.layout, Linear(2, 2, 0.0, stream(0, "test"))
    with torch.no_grad():
        network.weight.copy_((scale * A / layout.scale).T)
        network.bias.copy_((mean - layout.shift) / layout.scale)
    return network


def test_distances_agree_with_the_known_values(compose: Compose, path: str) -> None:
    """Standard errors: those of a mean of n = 400 rows, and of density and coverage, measured over 200 seeds."""
    _, data, _ = assemble(compose("data=file", f"data.path={path}", "data.exclude=[label]"))
    evaluator: Any = evaluator_of(data)
    layout = data.distribution.layout  # type: ignore[attr-defined]
    unit = A / layout.scale
    for shift, scale in ((torch.zeros(2), 1.0), (torch.tensor([3.0, -6]), 1.0), (torch.zeros(2), 3.0)):
        generator = a_generator(data, B + shift, scale)
        known = gaussian_w2(
            torch.zeros(2), unit.T @ unit, shift.double() / layout.scale, scale**2 * unit.T @ unit
        ).item()
        measured = evaluator.quality(generator) | evaluator.distances(generator)
        noise = 6 * math.sqrt(2 / 400)
        assert abs(measured["val/frechet"].item() - known) < noise * scale
        assert measured["val/sliced_w2"].item() <= known / math.sqrt(2) + noise * scale
        if shift.any():  # the sliced distance of a shift is its length over the root of the dimension
            length = (shift.double() / layout.scale).norm().item()
            assert measured["val/sliced_w2"].item() == pytest.approx(length / math.sqrt(2), abs=noise)
            assert measured["val/coverage"] < 0.1
    truth = evaluator.reported(a_generator(data, B))
    assert truth["test/density"].item() == pytest.approx(1, abs=0.2)
    expected = 1 - math.prod((400 - i) / (800 - i) for i in range(1, 6))  # Naeem et al. 2020
    assert truth["test/coverage"].item() == pytest.approx(expected, abs=0.06)
    assert truth["test/memorisation_p"] > 1e-4


def test_a_generator_that_replays_training_rows_is_flagged(compose: Compose, path: str) -> None:
    _, data, _ = assemble(compose(*on(path, "data.num_examples=null")))
    train_rows = data.distribution.train  # type: ignore[attr-defined]

    class Replay(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return train_rows[(z[..., 0].abs() * 1e6).long() % len(train_rows)]

    values: Any = evaluator_of(data).reported(Replay())
    assert values["test/memorisation"] < -2
    assert values["test/memorisation_p"] < 1e-6
    assert values["test/coverage"] > 0.9


def test_a_run_records_both_held_out_parts_beside_their_baselines(
    compose: Compose, path: str, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cfg = compose(*on(path, "ema_half_life=5"))
    score = train(cfg)
    record: Any = read_record(Path(cfg.run_dir))
    assert "measures compare 320 generated rows with as many rows that are held out" in caplog.text
    assert score == record["val/sliced_w2"]
    assert record["val/w2"] is record["mle/w2"] is None
    names = ("sliced_w2", "frechet", "energy", "precision", "recall", "density", "coverage")
    for part in ("val", "test"):
        assert all(record[f"baseline/{part}/{name}"] >= 0 for name in names)
        assert all(math.isfinite(record[f"{part}/{name}"]) for name in (*names, "memorisation", "memorisation_p"))
    assert record["test/coverage_ema"] >= 0
    assert record["baseline/test/coverage"] > 0.9 > record["test/coverage"]
    printed = capsys.readouterr().out
    assert "sliced w2, to report by" in printed
    assert "training rows" in printed

    run = load_run(cfg.run_dir)
    _, data, _ = assemble(cfg)
    averaged: Any = evaluator_of(data).reported(run.best_generator)
    for tag, value in averaged.items():
        assert record[f"{tag}_ema"] == pytest.approx(value.item(), rel=1e-6), tag
    assert record["test/sliced_w2_ema"] != record["test/sliced_w2"]
    values = measure(run)
    for tag, value in values.items():
        assert value == pytest.approx(record[tag], rel=1e-6), tag
    assert [verdict.n for verdict in compare(run, sizes=(50, 1_000), permutations=19)] == [50, 400]
    alone, raw = replace(run, generator=run.best_generator, generator_ema=None), replace(run, generator_ema=None)
    ours, theirs, other = (next(compare(each, (50,), 19)).energy for each in (run, alone, raw))
    assert ours == theirs != other


def test_replicas_equal_single_runs(compose: Compose, path: str) -> None:
    many = compose(*on(path, "replicas=2", "compile=on"))
    train(many)
    rows: Any = read_replicas(Path(many.run_dir))
    shared: Any = read_record(Path(many.run_dir))
    for i in range(2):
        cfg = compose(*on(path, f"seed={i}", "compile=on"), name=f"alone{i}")
        train(cfg)
        alone: Any = read_record(Path(cfg.run_dir))
        for tag in (tag for tag in alone if tag.startswith(("val/", "test/")) and alone[tag] is not None):
            assert float(rows[i][tag]) == pytest.approx(alone[tag], rel=1e-5, abs=1e-9), tag
        for tag in (tag for tag in alone if tag.startswith("baseline/")):
            assert shared[tag] == alone[tag]


def test_a_run_goes_on_after_a_stop_but_not_on_other_rows(compose: Compose, path: str, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text(Path(path).read_text())
    whole = compose(*on(str(file)), name="whole")
    train(whole)
    stopped = compose(*on(str(file), "trainer.max_steps=13"), name="stopped")
    train(stopped)
    goes_on = on(str(file), f"ckpt_path={stopped.run_dir}/checkpoints/last.ckpt")
    resumed = compose(*goes_on, name="resumed")
    train(resumed)
    states = [
        torch.load(Path(cfg.run_dir) / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for cfg in (whole, resumed)
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])

    moved = file.rename(tmp_path / "moved.csv")
    assemble(compose(*on(str(moved), *goes_on[-1:]), name="moved"))
    moved.rename(file)

    lines = file.read_text().splitlines()
    lines[5] = "1.0,2.0,0"
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"the rows of .*points.csv are not those of the run: the file has changed"):
        assemble(compose(*goes_on, name="changed"))
    file.unlink()
    run = load_run(whole.run_dir)  # the file is not needed to use the networks
    assert run.layout is not None
    assert run.layout.names == ("a", "b")
    with pytest.raises(ConfigError, match=r"data.path: there is no file"):
        _ = run.distribution


def test_measures_of_quality_are_rare_and_can_be_left_out(compose: Compose, path: str) -> None:
    gan, data, trainer = assemble(compose(*on(path, "callbacks.evaluation.quality=false")))
    names = evaluation_of(trainer).names(gan, data)
    assert [name for name in names if name.startswith("val/")] == ["val/sliced_w2"]
    evaluator: Any = evaluation_of(trainer).evaluator(data)
    assert [*evaluator.reported(gan.generator)] == ["test/sliced_w2"]
    assert [*evaluator.baselines()] == ["baseline/val/sliced_w2", "baseline/test/sliced_w2"]


def test_distances_in_features_are_those_of_the_features(compose: Compose, path: str) -> None:
    """Of a feature that doubles all numbers, a distance is twice as large."""
    generator = None
    values = []
    for features in ((), ("+features._target_=test_runs_on_files.Double",)):
        _, data, trainer = assemble(compose(*on(path), *features))
        generator = generator or a_generator(data, B + 3)
        values.append(evaluation_of(trainer).evaluator(data).distances(generator)["val/sliced_w2"].item())
    assert values[1] == pytest.approx(2 * values[0], rel=1e-6)


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_measures_of_a_mixture_are_those_of_the_truth(compose: Compose) -> None:
    _, data, trainer = assemble(compose("data=ring", "generator=mlp", "callbacks.evaluation.quality=true"))
    evaluator: Any = evaluation_of(trainer).evaluator(data)
    assert 0.9 < evaluator.baselines()["baseline/val/density"] < 1.1

    class Truth(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return data.distribution.sample(z.shape[-2], stream(1, "truth"))

    values = evaluator.quality(Truth())
    assert values["val/density"].item() == pytest.approx(1, abs=0.1)
    assert values["val/coverage"] > 0.9
    assert values["val/memorisation_p"] > 1e-4
