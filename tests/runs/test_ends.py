"""After any end of a run its directory can be used again. An impossible run is refused in one line. A long run logs its
progress."""

import errno
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback
from rich.console import Console

from conftest import ROOT
from gaussgan import train as training
from gaussgan.callbacks import checkpoints
from gaussgan.callbacks import drawing as pictures
from gaussgan.callbacks import progress as console
from gaussgan.config.errors import ConfigError, shortage
from gaussgan.networks import build
from gaussgan.runs import signals
from gaussgan.runs.directory import LAST, refuse_if_taken
from gaussgan.runs.record import RECORD, read_record, write_record
from gaussgan.setup import memory
from gaussgan.setup.memory import check_memory, needed, training_needs, validation_needs
from gaussgan.train import train

Compose = Callable[..., DictConfig]
RECIPE = ("data.num_examples=40", "data.steps_per_execution=2", "trainer.max_epochs=2", "~logger")


def ending(directory: Path | str) -> torch.Tensor:
    state = torch.load(Path(directory) / LAST, weights_only=True)["state_dict"]
    return torch.cat([value.flatten() for value in state.values()])


def send(signums: Sequence[int]) -> None:
    """Send signals one after the other, even if earlier ones raise."""
    try:
        os.kill(os.getpid(), signums[0])
    finally:
        if signums[1:]:
            send(signums[1:])


class Bomb(Callback):
    """Sends signals once, at a hook."""

    signums: Sequence[int] = ()

    def __init__(self, hook: str) -> None:
        def explode(*_: Any) -> None:
            send_once(Bomb.signums)

        setattr(self, hook, explode)


def send_once(signums: Sequence[int]) -> None:
    if signals.received() is None:
        send(signums)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    import hydra

    directory = tmp_path_factory.mktemp("alone")
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        quiet = ("trainer=cpu", "trainer.enable_progress_bar=false", f"run_dir={directory}")
        cfg = hydra.compose("train", [*quiet, *RECIPE])
    train(cfg)
    return ending(directory)


def run_again(compose: Compose, *overrides: str) -> Path:
    """Run `RECIPE` again, from its checkpoint if there is one."""
    directory = Path(compose().run_dir)
    checkpoint = (f"ckpt_path={directory / LAST}",) if (directory / LAST).exists() else ()
    train(compose(*RECIPE, *overrides, *checkpoint))
    assert json.loads((directory / RECORD).read_text())["status"] == "completed"
    assert not [*directory.rglob("*.tmp")]
    return directory


AT = {  # when signals are sent: by a wrapper around a function, or by a callback's hook
    "while it is assembled": (training, "assemble"),
    "before the first checkpoint": "on_fit_start",
    "while a checkpoint is written": (checkpoints, "save_checkpoint"),
    "before the first block": "on_train_start",
    "within an epoch": "on_train_batch_end",
    "while figures are drawn": (pictures, "game"),
    "at the end": "on_fit_end",
}


@pytest.mark.every_second
@pytest.mark.parametrize("moment", AT)
@pytest.mark.parametrize("signums", [(15,), (1, 2), (2, 15, 2)], ids=["TERM", "HUP, INT", "INT, TERM, INT"])
def test_a_run_that_a_signal_ended_resumes_or_starts_again(
    compose: Compose, alone: torch.Tensor, monkeypatch: pytest.MonkeyPatch, moment: str, signums: Sequence[int]
) -> None:
    at, bomb = AT[moment], ()
    if isinstance(at, str):
        monkeypatch.setattr(Bomb, "signums", signums)
        bomb = ("+callbacks.bomb._target_=test_ends.Bomb", f"+callbacks.bomb.hook={at}")
    else:
        action = getattr(*at)
        monkeypatch.setattr(*at, lambda *args: (send_once(signums), action(*args))[1])
    done = moment in ("while figures are drawn", "at the end") and len(signums) == 1  # one figure, after the last epoch
    with nullcontext() if done else pytest.raises(SystemExit, match=str(128 + signums[0])):
        train(compose(*RECIPE, *bomb))
    record = json.loads((Path(compose().run_dir) / RECORD).read_text())
    assert record["status"] in ("interrupted", "completed")
    assert record["error"] in (f"stopped by {signal.Signals(signums[0]).name}", None)
    monkeypatch.undo()
    assert torch.equal(ending(run_again(compose)), alone)


def test_building_replicas_can_be_stopped(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, drawn = build.stream, []

    def stop(*args: Any) -> torch.Generator:
        drawn.append(args)
        if len(drawn) == 10:
            send((signal.SIGTERM,))
        return draw(*args)

    monkeypatch.setattr(build, "stream", stop)
    with pytest.raises(SystemExit):
        train(compose("replicas=50", *RECIPE))
    assert len(drawn) == 10
    assert json.loads((Path(compose().run_dir) / RECORD).read_text())["status"] == "interrupted"


@pytest.mark.parametrize("status", [None, "failed", "interrupted", "completed", "diverged"])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_which_runs_can_be_started_again(tmp_path: Path, status: str | None, checkpoint: bool) -> None:
    if status is not None:
        write_record(tmp_path, {"status": status})
    if checkpoint:
        (tmp_path / LAST).parent.mkdir()
        (tmp_path / LAST).touch()
    if checkpoint or status in ("completed", "diverged"):
        with pytest.raises(ConfigError, match="already holds a run"):
            refuse_if_taken(tmp_path, None)
    else:
        refuse_if_taken(tmp_path, None)
    refuse_if_taken(tmp_path, str(tmp_path / LAST))


def test_a_full_disk_is_reported_in_one_line(
    compose: Compose, alone: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file is the first that cannot be written, and half of it is."""
    save, room = torch.save, 0

    def cramped(file: IO[bytes], content: bytes) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            file.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(content)

    def write_bytes(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            cramped(file, content)

    def save_checkpoint(checkpoint: dict[str, Any], file: IO[bytes]) -> None:
        save(checkpoint, content := io.BytesIO())
        (file.write if isinstance(file, io.BytesIO) else partial(cramped, file))(content.getvalue())

    directory, left = Path(compose().run_dir), 0
    for left in range(9):
        room = left
        monkeypatch.setattr(Path, "write_bytes", write_bytes)
        monkeypatch.setattr(torch, "save", save_checkpoint)
        monkeypatch.setattr(shutil, "copyfile", lambda source, target: write_bytes(target, source.read_bytes()))
        line = ""
        try:
            train(compose(*RECIPE, "~callbacks.pictures"))
        except ConfigError as error:
            line = str(error)
        monkeypatch.undo()
        if not line:
            break
        assert line.startswith(f"hydra.run.dir: cannot write to {directory}")
        assert line.endswith("(No space left on device)")
        if (directory / RECORD).exists():  # it was written at the beginning, and could not be replaced
            assert read_record(directory)["status"] == "running"
        assert not [*directory.rglob("*.tmp")]
        assert torch.equal(ending(run_again(compose, "~callbacks.pictures")), alone)
        for path in (directory / RECORD, directory / LAST):
            path.unlink()
    assert left > 5


def test_a_limit_of_file_size_is_one_line_and_leaves_a_record(tmp_path: Path) -> None:
    """The limit affects TensorBoard's thread, the log and the checkpoints, so the run has its own process."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_500, 9_500))

    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "trainer=cpu", f"hydra.run.dir={tmp_path}/run"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, preexec_fn=limit)
    assert ended.returncode == 1
    *_, line = ended.stderr.splitlines()
    assert line.startswith("hydra.run.dir: cannot write to")
    assert "Traceback" not in ended.stderr
    record = json.loads((tmp_path / "run" / RECORD).read_text())
    assert record["status"] == "failed"
    assert record["error"].startswith("hydra.run.dir: cannot write to")
    assert not [*tmp_path.rglob("*.tmp")]


def test_checkpoints_of_any_callback_are_written_atomically(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    directory = Path(compose().run_dir)
    mine = {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": str(directory / "of" / "mine")}
    cfg = compose(*RECIPE, *(f"+callbacks.mine.{key}={value}" for key, value in mine.items()))
    train(cfg)
    assert [*(directory / "of" / "mine").glob("*.ckpt")]


def test_a_directory_that_disappears_is_reported_in_one_line(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, save = Path(compose().run_dir), checkpoints.save_checkpoint

    def take_away(checkpoint: dict[str, Any], path: Path) -> None:
        save(checkpoint, path)
        directory.rename(directory.with_name("elsewhere"))

    monkeypatch.setattr(checkpoints, "save_checkpoint", take_away)
    with pytest.raises(ConfigError, match=r"cannot write to .* \(No such file or directory\)"):
        train(compose(*RECIPE))
    assert not directory.exists()


TOO_MUCH = (
    ("replicas=10000000",),
    ("data.num_examples=10000000000",),
    ("data.num_examples=1000000000000000000000000000000",),
    ("data.num_examples=300000000", "data.batch_size=300000000"),
    ("generator=mlp", "generator.widths=[1000000,1000000]"),
    ("discriminator.widths=[100000000,10000000000]",),
    ("generator.in_features=1000000000",),
    ("data=random_gaussian", "data.distribution.dim=1000000"),
    ("data=ring", "data.distribution.modes=100000000000"),
    ("data=grid", "data.distribution.side=100000"),
    ("data=ring", "generator=mlp", "data.distribution.modes=100000000"),
)


@pytest.mark.parametrize("overrides", TOO_MUCH[:-1], ids="; ".join)
def test_a_run_that_does_not_fit_in_memory_is_refused(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...]
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 24e9)
    config = OmegaConf.to_container(compose(*overrides), resolve=True)
    with pytest.raises(ConfigError, match=r"^the run needs about .* GB of memory, but this machine has only .* GB"):
        check_memory(config)


def test_a_run_that_does_not_fit_on_the_gpu_is_refused(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 0.35e9))
    for accelerator in ("gpu", "cuda", "auto"):
        config = OmegaConf.to_container(compose("replicas=4096", f"trainer.accelerator={accelerator}"), resolve=True)
        check_memory({**config, "replicas": 16})
        with pytest.raises(ConfigError, match=r"^the run needs about .* GB of memory, but the GPU has only 0\.\d GB"):
            check_memory(config)
    check_memory(OmegaConf.to_container(compose("replicas=4096"), resolve=True))


def test_a_machine_with_less_memory_refuses_more_runs(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose("replicas=4096")
    config = OmegaConf.to_container(cfg, resolve=True)
    monkeypatch.setattr(memory, "available_memory", lambda: 0.5e9)
    check_memory({**config, "replicas": 2})
    with pytest.raises(ConfigError, match="replicas=4096"):
        training.train(cfg)
    assert not (Path(cfg.run_dir) / LAST).exists()


@pytest.mark.every_second
@pytest.mark.parametrize(
    "gigabytes, overrides",
    [  # measured gigabytes
        (0.37, ("trainer.max_epochs=2",)),
        (1.66, ("data.num_examples=4000000",)),
        (1.72, ("data.num_examples=20000000", "data.batch_size=10000")),
        (0.73, ("replicas=4096",)),
        (1.70, ("replicas=20000", "data.num_examples=100")),
        (1.53, ("generator=mlp", "generator.widths=[6000,6000]", "data.num_examples=16")),
        (0.73, ("data.num_examples=1000000", "data.batch_size=1000000")),
        (1.41, ("data=random_gaussian", "data.distribution.dim=2000", "generator.in_features=2000")),
        (5.86, ("generator.in_features=100000",)),
        (0.84, ("replicas=500", "data=ring", "generator=mlp")),
    ],
)
def test_the_estimate_is_between_half_of_the_measured_memory_and_all_of_it(
    compose: Compose, gigabytes: float, overrides: tuple[str, ...]
) -> None:
    from hydra.utils import instantiate

    config = OmegaConf.to_container(compose(*overrides), resolve=True)
    data = instantiate(config["data"]["distribution"])
    assert 0.5 < needed({**training_needs(config, data), **validation_needs(config, data)}) / (gigabytes * 1e9) < 1


def test_the_error_of_an_allocator_becomes_one_line() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(10**15)
    assert shortage(refused.value) == "there is not enough memory (one array needs 4,000,000 GB)"
    assert shortage(MemoryError()) == "there is not enough memory"
    cuda = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.19 GiB …"
    assert shortage(torch.OutOfMemoryError(cuda)) == "there is not enough memory on the GPU (one array needs 20.00 GiB)"
    context = RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later")
    assert shortage(context) == "there is not enough memory on the GPU"
    handle = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert shortage(handle) == "there is not enough memory on the GPU"
    assert shortage(RuntimeError("mat1 and mat2 cannot be multiplied")) is None


def test_a_full_disk_that_caused_another_error() -> None:
    """TensorBoard's logger turns every error into one about the type of the number."""
    error = ValueError("you tried to log 0.5 which is currently not supported")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert shortage(error) == "hydra.run.dir: cannot write to the disk (No space left on device)"
    named = ConfigError("report: cannot write to sweep.csv (No space left on device)")
    named.__cause__ = error.__cause__
    assert shortage(named) is None
    assert shortage(FileNotFoundError(errno.ENOENT, "no such file")) is None


class Clock:
    """A clock that moves forward by a number of seconds at each reading."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


@pytest.mark.parametrize("seconds, most", [(1, 30), (100, 110)])
def test_the_log_gets_a_progress_line_from_time_to_time(
    compose: Compose,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    most: int,
) -> None:
    recipe = ("data.num_examples=1200", "data.steps_per_execution=1", "trainer.max_epochs=1", "~callbacks.pictures")
    monkeypatch.setattr(console, "perf_counter", Clock(seconds))
    with caplog.at_level("INFO"):
        train(compose(*recipe, "~logger", "trainer.enable_progress_bar=true", name="lines"))
        lines = [message for message in caplog.messages if " left  " in message]
        assert most / 3 < len(lines) <= most
        assert "/150  " in lines[0]
        assert all(word in lines[0] for word in ("loss_d", "loss_g", "ex/s"))
        caplog.clear()
        train(compose(*recipe, "~logger", "trainer.enable_progress_bar=false", name="quiet"))
        assert not [message for message in caplog.messages if " left  " in message]


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("overrides", [(), ("replicas=2", "data=ring")])
def test_the_bar_fits_and_shows_the_time_left(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, columns: int, overrides: tuple[str, ...]
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        console, "Console", lambda **_: Console(file=screen, width=columns, force_terminal=True, color_system=None)
    )
    monkeypatch.setattr(console, "REFRESH_SECONDS", 0)
    train(compose(*RECIPE, "~callbacks.pictures", *overrides, "trainer.enable_progress_bar=true"))
    drawn = [
        line for line in screen.getvalue().replace("\x1b[2K", "\n").replace("\r", "\n").splitlines() if "/10" in line
    ]
    assert drawn
    assert all(len(line) <= columns for line in drawn)
    assert all(" left" in line or " in all" in line for line in drawn)
    if columns >= 80:
        assert all("loss_g" in line for line in drawn)
