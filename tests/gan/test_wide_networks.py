"""Networks whose matrix products are large are compiled by Inductor, or not at all."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from gaussgan.compile import limits
from gaussgan.config import compile_mode
from gaussgan.config.errors import ConfigError
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.runs.record import read_record
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=32", "trainer.max_epochs=2", "~callbacks.pictures", "logger=none")
RECIPE = (*SMALL, "trainer.precision=64-true", "schedule=linear", "ema_half_life=4", "update=optimistic")
BATCH_NORM = ("generator=mlp", "generator.widths=[4]", "generator.batch_norm=true", "optimizer_g.eps=1e-3")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count all networks as wide."""
    monkeypatch.setattr(limits, "LARGEST_WORK", 0)
    monkeypatch.setattr(limits, "LARGEST_MEMORY", 0)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Call the traced graph itself instead of what Inductor makes of it. Return the arguments of each compilation."""
    calls: list[dict[str, Any]] = []

    def compiled(graph: Any, **options: Any) -> Any:
        calls.append(options)
        return graph

    monkeypatch.setattr(torch, "compile", compiled)
    return calls


def end(cfg: DictConfig) -> dict[str, Any]:
    checkpoint = read_checkpoint(Path(cfg.run_dir) / "checkpoints" / "last.ckpt")
    keys = ("state_dict", "optimizer_states", "memory", "average_weight", "epoch_sums")
    return {key: checkpoint[key] for key in keys}


def assert_eager(compose: Compose, *recipe: str) -> None:
    on, off = (compose(*recipe, f"compile={mode}", name=mode) for mode in ("on", "off"))
    assert train(on) == pytest.approx(train(off), abs=1e-10)
    torch.testing.assert_close(end(on), end(off), rtol=0, atol=1e-10)


def test_a_wide_network_is_trained_as_in_the_eager_mode(
    compose: Compose, narrow: None, interpreted: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert_eager(compose, *RECIPE)
    assert len(interpreted) == 1
    assert "this run is compiled by Inductor for batches of 8 examples" in caplog.messages


@pytest.mark.extra
def test_batch_norm_in_a_wide_network(compose: Compose, narrow: None, interpreted: list[Any]) -> None:
    assert_eager(compose, *RECIPE, *BATCH_NORM, "data.num_examples=36")


@pytest.mark.extra
def test_inductor_computes_what_the_eager_mode_computes(compose: Compose, narrow: None) -> None:
    assert_eager(compose, *RECIPE)


@pytest.mark.extra
def test_a_run_resumed_within_an_epoch_is_the_undisturbed_one(
    compose: Compose, narrow: None, interpreted: list[Any]
) -> None:
    recipe = (*RECIPE, "schedule=constant", "compile=on")
    whole, part = (compose(*recipe, name=name) for name in ("whole", "part"))
    train(whole)
    train(compose(*recipe, "trainer.max_steps=6", name="part"))
    train(compose(*recipe, f"ckpt_path={part.run_dir}/checkpoints/last.ckpt", name="part"))
    ours, theirs = end(part), end(whole)
    torch.testing.assert_close(ours.pop("epoch_sums"), theirs.pop("epoch_sums"))  # two blocks
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_divergence_names_the_iteration(compose: Compose, narrow: None, interpreted: list[Any], tmp_path: Path) -> None:
    recipe = (*SMALL, "trainer.precision=64-true", "optimizer_d.lr=1e308")
    for mode in ("on", "off"):
        train(compose(*recipe, f"compile={mode}", name=mode))
    errors = [read_record(tmp_path / mode)["error"] for mode in ("on", "off")]
    assert errors[0] == errors[1]
    assert errors[0].startswith("diverged: ")


def test_wide_replicas_are_eager(compose: Compose, narrow: None, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(compile_mode, "RUN_ITERATIONS", 2)
    train(compose(*SMALL, "replicas=2"))
    [line] = [line for line in caplog.messages if "compile" in line]
    assert line.startswith("compile=off, because compiled replicas with networks so wide would be slower: ")
    with pytest.raises(
        ConfigError, match=r"^compile must be off for this run, because compiled replicas .* \(got on\)$"
    ):
        train(compose(*SMALL, "replicas=2", "compile=on", name="on"))
