"""Between two saves nothing is lost that a run needs, wherever it ends."""

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer

from gaussgan.callbacks import checkpoints
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.runs.directory import BEST, LAST
from gaussgan.train import train

Compose = Callable[..., DictConfig]
RECIPE = (
    "data.num_examples=40", "data.steps_per_execution=2", "trainer.max_epochs=9", "~callbacks.pictures", "~logger",
    "optimizer_g.lr=0.05", "seed=3",  # its best epoch is not among the last ones
)  # fmt: skip
NEVER = "callbacks.checkpoints.seconds=1000"


class Watch(Callback):
    """Stores the iterations of last.ckpt and best.ckpt on the disk when each epoch begins. May end the process."""

    seen: list[tuple[int, int | None]]

    def __init__(self, directory: str, die_at: int | None = None) -> None:
        self.directory, self.die_at = Path(directory), die_at

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == 0:
            Watch.seen = []
        Watch.seen.append((step(self.directory / LAST), step(self.directory / BEST)))  # type: ignore[arg-type]
        if trainer.current_epoch == self.die_at:
            os._exit(9)


def step(path: Path) -> int | None:
    return read_checkpoint(path)["global_step"] if path.exists() else None


def watch(die_at: int | None = None) -> str:
    return (
        f"+callbacks.watch={{_target_: test_checkpoints.Watch, directory: '${{run_dir}}', die_at: {die_at or 'null'}}}"
    )


def same(one: Path, other: Path) -> bool:
    ours, theirs = (read_checkpoint(path) for path in (one, other))
    equal = all(torch.equal(value, theirs["state_dict"][key]) for key, value in ours["state_dict"].items())
    least = [each["callbacks"]["Checkpoints"]["least"] for each in (ours, theirs)]
    return equal and ours["global_step"] == theirs["global_step"] and least[0] == least[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from conftest import composed

    cfg = composed(*RECIPE, "callbacks.checkpoints.seconds=0").copy()
    cfg.run_dir = str(tmp_path_factory.mktemp("alone") / "run")
    train(cfg)
    return Path(cfg.run_dir)


def test_files_are_saved_by_time_and_at_the_end(compose: Compose, alone: Path) -> None:
    cfg = compose(*RECIPE, NEVER, watch())
    train(cfg)
    assert Watch.seen == [(0, None)] + [(5, 5)] * 8  # the first best.ckpt is saved at once
    assert all(same(Path(cfg.run_dir) / name, alone / name) for name in (LAST, BEST))
    assert 5 < step(alone / BEST) < step(alone / LAST)  # type: ignore[operator]
    cfg = compose(*RECIPE, "callbacks.checkpoints.seconds=0", watch(), name="each")
    train(cfg)
    assert [last for last, _ in Watch.seen] == [*range(0, 45, 5)]


@pytest.mark.parametrize("seconds", [1000, pytest.param(1e-9, marks=pytest.mark.extra)])
def test_a_killed_run_goes_on_from_the_older_file(compose: Compose, alone: Path, seconds: float) -> None:
    recipe = (*RECIPE, f"callbacks.checkpoints.seconds={seconds}")
    cfg = compose(*recipe, watch(die_at=7))
    if (child := os.fork()) == 0:
        try:
            train(cfg)
        finally:
            os._exit(1)  # the tests go on in the parent alone
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    directory = Path(cfg.run_dir)
    assert step(directory / LAST) == (5 if seconds == 1000 else 35)
    train(compose(*recipe, f"ckpt_path={directory / LAST}"))
    assert all(same(directory / name, alone / name) for name in (LAST, BEST))


def test_time_also_passes_within_an_epoch(compose: Compose, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, steps = checkpoints.save_checkpoint, []

    def note(checkpoint: dict[str, Any], path: Path) -> None:
        save(checkpoint, path)
        steps.append(checkpoint["global_step"])
        if steps[-1] == 14:  # within the third epoch, at the end of a block
            path.with_name("14.ckpt").write_bytes(path.read_bytes())

    monkeypatch.setattr(checkpoints, "save_checkpoint", note)
    recipe = (*RECIPE, "callbacks.checkpoints.seconds=1e-9", "evaluate_every=20")
    train(compose(*recipe))
    assert (steps[0], steps[-1]) == (0, 45)
    assert all(0 < later - earlier <= 2 for earlier, later in pairwise(steps))
    monkeypatch.undo()
    start = Path(compose().run_dir) / "checkpoints" / "14.ckpt"
    train(compose(*RECIPE, f"ckpt_path={start}", name="resumed"))
    ours, theirs = (read_checkpoint(path / LAST) for path in (Path(compose(name="resumed").run_dir), alone))
    assert all(torch.equal(value, theirs["state_dict"][key]) for key, value in ours["state_dict"].items())


@pytest.mark.parametrize("end", ["diverges", "fails", "too large to keep"])
def test_no_end_loses_what_is_kept_in_memory(
    compose: Compose, alone: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    from gaussgan.gan.divergence import Diverged
    from gaussgan.gan.module import GAN

    training_step = GAN.training_step
    error: Exception = Diverged(39, "a loss") if end == "diverges" else RuntimeError("broken")

    def stop(gan: GAN, block: Any, index: int) -> None:
        if gan.global_step == 38:
            raise error
        training_step(gan, block, index)

    monkeypatch.setattr(GAN, "training_step", stop)
    if end == "too large to keep":
        monkeypatch.setattr(checkpoints, "LARGE", 0)
        monkeypatch.setattr(checkpoints.Checkpoints, "on_exception", lambda *_: None)
    cfg = compose(*RECIPE, NEVER)
    if end == "diverges":
        train(cfg)
    else:
        with pytest.raises(RuntimeError, match="broken"):
            train(cfg)
    assert step(Path(cfg.run_dir) / LAST) == 35  # the last evaluated epoch
    assert same(Path(cfg.run_dir) / BEST, alone / BEST)


def test_the_interval_is_a_number(compose: Compose) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.checkpoints\.seconds must be a finite number of at least 0"):
        check(compose("callbacks.checkpoints.seconds=-1"))
