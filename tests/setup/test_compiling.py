"""The mode of a run: chosen, kept by a resumed run, recorded, and refused in one line. The compiler is a stand-in."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from gaussgan.compile.errors import NotCompiled
from gaussgan.config import compile_mode
from gaussgan.config.errors import ConfigError
from gaussgan.data.loader import Batch
from gaussgan.gan.module import GAN
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.runs.record import read_record
from gaussgan.setup import compiling
from gaussgan.setup.explain import explain
from gaussgan.simulation import simulate
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SHORT = ("trainer.max_steps=2", "~callbacks.pictures", "logger=none")
NO_COMPILER = "there is no compiler here"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[int], int]]:
    """Pretend that runs are compiled. Return the sizes and the threads of each of them."""
    calls: list[tuple[Sequence[int], int]] = []

    def compile_gan(gan: GAN, batches: Sequence[Batch], threads: int, build: bool) -> None:
        calls.append(([batch.real.shape[-2] for batch in batches], threads))

    monkeypatch.setattr(compiling, "compile_gan", compile_gan)
    return calls


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise NotCompiled(NO_COMPILER)

    monkeypatch.setattr(compiling, "compile_gan", fail)


def modes(run: Path) -> tuple[Any, ...]:
    """The mode of a run in each place where it is written down."""
    record = read_record(run)
    config = read_checkpoint(run / "checkpoints" / "last.ckpt")["config"]
    return record["compile"], record["settings"]["compile"], config["compile"]


@pytest.mark.parametrize(
    ("overrides", "mode"),
    [((), "off"), (("compile=on",), "on"), (("compile=off",), "off"), (("replicas=2", "compile=on"), "on")],
)
def test_the_mode_is_in_record_and_checkpoint(
    compose: Compose, tmp_path: Path, compiled: list[Any], overrides: Sequence[str], mode: str
) -> None:
    train(compose(*SHORT, *overrides))
    assert modes(tmp_path / "run") == (mode, mode, mode)
    assert len(compiled) == (mode == "on")


def test_booleans_of_yaml_files_are_recorded_as_modes(compose: Compose, tmp_path: Path, compiled: list[Any]) -> None:
    cfg = compose(*SHORT)
    cfg.compile = True
    train(cfg)
    assert modes(tmp_path / "run") == ("on", "on", "on")


@pytest.mark.extra  # it takes long
def test_a_program_has_every_size_of_batch_and_its_threads(
    compose: Compose, compiled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    short = (*SHORT, "compile=on", "data.num_examples=20")
    for i, (overrides, threads) in enumerate(
        [((), 1), (("replicas=5",), 3), (("replicas=2",), 2), (("replicas=5", "threads=4"), 4), (("threads=2",), 2)]
    ):
        train(compose(*short, *overrides, name=str(i)))
        assert compiled[-1] == ([4, 8], threads)
    assert torch.get_num_threads() == 2  # as given; without a number it is 1
    train(compose(*SHORT, name="last"))
    assert torch.get_num_threads() == 1


def test_auto_is_eager_where_nothing_can_be_compiled(
    compose: Compose, tmp_path: Path, broken: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(compile_mode, "RUN_ITERATIONS", 2)
    train(compose(*SHORT))
    assert modes(tmp_path / "run") == ("off", "off", "off")
    assert [line for line in caplog.messages if "compile" in line] == [f"compile=off, because {NO_COMPILER}"]


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("trainer.precision=bf16-true", "its precision is bf16-true"),
        ("trainer.detect_anomaly=true", "trainer.detect_anomaly=true watches each operation"),
        ("trainer=ddp", "trainer.devices=2 divides it among processes"),
        ("trainer.strategy=ddp_spawn", "trainer.strategy=ddp_spawn starts processes"),
    ],
)
def test_what_the_trainer_forbids_is_not_compiled(
    compose: Compose, compiled: list[Any], override: str, reason: str
) -> None:
    own = "+" if "anomaly" in override else ""
    accelerator = ("trainer.accelerator=cpu", "trainer.enable_progress_bar=false") if "ddp" in override else ()
    with pytest.raises(ConfigError, match=f"^compile must be off for this run, because {reason} \\(got on\\)$"):
        train(compose(*SHORT, "compile=on", own + override, *accelerator))
    assert not compiled


def test_on_is_refused_before_the_run_leaves_a_file(
    complaint: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, broken: None
) -> None:
    line = complaint("trainer=cpu compile=on logger=none")
    assert line == f"compile must be off for this run, because {NO_COMPILER} (got on)"


def test_a_resumed_run_keeps_its_mode(
    compose: Compose, tmp_path: Path, compiled: list[Any], caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    caplog.set_level(logging.INFO)
    train(compose(*SHORT, "compile=on"))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    more = ("trainer.max_steps=4", *SHORT[1:], f"ckpt_path={last}")
    caplog.clear()
    train(compose(*more, name="more"))
    assert modes(tmp_path / "more") == ("on", "on", "on")
    assert "compile=on, as in the checkpoint; for a new run, auto chooses off" in caplog.messages
    with pytest.raises(ConfigError, match=r"with compile=on; a resumed run must keep it \(got off\)$"):
        train(compose(*more, "compile=off", name="other"))

    def fail(*_: Any) -> None:
        raise NotCompiled(NO_COMPILER)

    monkeypatch.setattr(compiling, "compile_gan", fail)
    line = f"compile: {last} comes from a compiled run, which must stay compiled, but {NO_COMPILER}"
    with pytest.raises(ConfigError, match=f"^{line}$"):
        train(compose(*more, name="elsewhere"))


def test_a_checkpoint_from_before_there_were_modes_is_refused_for_its_numbers(compose: Compose, tmp_path: Path) -> None:
    train(compose(*SHORT))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint = read_checkpoint(last)
    del checkpoint["config"]["compile"], checkpoint["DataModule"]["scheme"]
    torch.save(checkpoint, last)
    with pytest.raises(ConfigError, match="draws other random numbers for the same seed"):
        train(compose(*SHORT, f"ckpt_path={last}", name="more"))


def test_an_eager_run_stays_eager_without_a_line(
    compose: Compose, tmp_path: Path, compiled: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    train(compose(*SHORT))
    train(compose("trainer.max_steps=4", *SHORT[1:], f"ckpt_path={tmp_path}/run/checkpoints/last.ckpt", name="more"))
    assert modes(tmp_path / "more") == ("off", "off", "off")
    assert not compiled
    assert not [line for line in caplog.messages if "compile" in line]


def test_simulate_has_a_mode_too(compiled: list[Any]) -> None:
    quick = ["trainer=cpu", "trainer.max_steps=2", "trainer.enable_progress_bar=false"]
    assert simulate(quick).config["compile"] == "off"
    assert simulate([*quick, "compile=on"]).config["compile"] == "on"
    assert len(compiled) == 1
    with pytest.raises(ConfigError, match=r"^compile must be auto, on or off here: "):
        simulate([*quick, "compile=explain"])


def test_explain_says_what_auto_does_and_why(
    complaint: Callable[[str], str], compose: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = "it chooses on for at least 10,000 iterations, or 100,000 iterations × replicas"
    assert complaint("trainer=cpu compile=explain") == "0"  # it leaves no files
    first, second, last = capsys.readouterr().out.splitlines()
    assert [first, second] == ["auto chooses off for 2,500 iterations", limits]
    assert re.fullmatch(r"this run can be compiled to C \(\d+ operations, .+\) for batches of 8 examples", last)
    lines = [*explain(compose("compile=explain", "replicas=200", "trainer.precision=bf16-true"))]
    assert lines[:2] == ["auto chooses on for 2,500 iterations × 200 replicas", limits]
    reason = "its precision is bf16-true; auto falls back to off"
    assert lines[-1] == f"this run cannot be compiled, because {reason}"
