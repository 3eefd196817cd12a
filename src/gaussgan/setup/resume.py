"""Check, before a run begins, that it can resume from its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytorch_lightning
import torch
from omegaconf import DictConfig, OmegaConf
from packaging.version import Version
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer
from torch.optim.lr_scheduler import LambdaLR

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.callbacks.frames import frames_of
from gaussgan.config.dotted import flatten
from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import differences
from gaussgan.data.datamodule import DataModule
from gaussgan.data.examples import Examples
from gaussgan.data.iterations import iteration_limits
from gaussgan.gan.module import GAN
from gaussgan.rng import SCHEME
from gaussgan.runs.checkpoint import check_form, expecting_checkpoint, read_checkpoint
from gaussgan.runs.record import STARTED_FROM


def check_checkpoint(cfg: DictConfig, gan: GAN, data: DataModule, trainer: Trainer) -> int:
    """Check that a run can resume from the checkpoint to which `ckpt_path` points. Return the checkpoint's iteration.

    If the run started from another run, note in its configuration from which checkpoint, as the checkpoint says.

    Raises:
        ConfigError: for the first reason why the run cannot resume, such as another learning rate in the checkpoint.
    """
    path = cfg.ckpt_path
    with naming_ckpt_path():
        checkpoint = read_checkpoint(path)
    if checkpoint["DataModule"].get("scheme") != SCHEME:
        raise ConfigError(
            f"ckpt_path: {path} comes from a version of gaussgan that draws other random numbers for the same seed;"
            " finish the run with that version, or start a new run"
        )
    differing = differences(checkpoint["config"], gan.config)
    if isinstance(data.distribution, Examples):
        differing.pop("data.path", None)  # a file may move, because its rows are compared below
    if differing:
        typed = flatten(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
        key = min(differing, key=lambda key: "${" in str(typed.get(key)))  # prefer a key that the user set directly
        theirs, ours = differing[key]
        raise ConfigError(
            f"ckpt_path: {path} comes from a run with {key}={theirs!s:.200}; a resumed run must keep it"
            f" (got {ours!s:.200})"
        )
    if isinstance(data.distribution, Examples):
        with naming_ckpt_path(), expecting_checkpoint(path):
            data.distribution.check_same(checkpoint["DataModule"]["fingerprint"])
    if start := checkpoint["config"].get(STARTED_FROM):
        gan.config[STARTED_FROM] = start
    done: int = checkpoint["global_step"]
    for key, end in iteration_limits(trainer, data).items():
        if end < done:
            raise ConfigError(
                f"ckpt_path: {path} is at iteration {done}, after the end of this run:"
                f" trainer.{key}={getattr(trainer, key)} allows {end} iterations; give a larger value"
            )
    planned = min(iteration_limits(trainer, data).values())
    if gan.schedule is not None and checkpoint.get("planned_iterations", planned) != planned:
        raise ConfigError(
            f"ckpt_path: {path} comes from a run whose schedule ends at iteration {checkpoint['planned_iterations']};"
            f" give trainer.max_epochs and trainer.max_steps of that run (the given values end at iteration {planned})"
        )
    with naming_ckpt_path(), expecting_checkpoint(path):
        check_state(checkpoint, gan, data, trainer)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Timer) and (left := callback.time_remaining()) is not None and left <= 0:
            raise ConfigError(f"ckpt_path: {path} has used all of its trainer.max_time; give a longer time, or null")
    return done


@contextmanager
def naming_ckpt_path() -> Iterator[None]:
    """Use this function in a with statement. It puts "ckpt_path: " before the message of a ConfigError in the block."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"ckpt_path: {error}") from error


def twin_with_optimizers(gan: GAN, trainer: Trainer, stepped: bool) -> tuple[GAN, list[torch.optim.Optimizer]]:
    """Return a copy of a GAN, and the optimizers of its discriminator and of its generator.

    Args:
        gan: the GAN.
        trainer: the trainer of the run.
        stepped: true to make a step with a gradient of 0. The first step creates the state of a torch optimizer.
    """
    twin = deepcopy(gan)
    twin.schedule = None
    optimizers, _ = twin.configure_optimizers()
    if stepped:  # the step count has the default precision of the run
        with trainer.precision_plugin.train_step_context():
            for player in (twin.discriminator_player, twin.generator_player):
                player.apply(torch.zeros_like(player.theta))
    return twin, optimizers


def check_state(checkpoint: Mapping[str, Any], gan: GAN, data: DataModule, trainer: Trainer) -> None:
    """Check that the entries of a checkpoint have the same types and shapes as the entries that this run would save.

    Also check the version of Lightning, the names in the history, and the counts of iterations.

    Raises:
        ValueError: for the first entry that does not fit the run.
        KeyError: when an entry is missing.
        Exception: any error that an optimizer or a callback raises while it loads its state from the checkpoint.
    """
    if Version(checkpoint["pytorch-lightning_version"]).major != Version(pytorch_lightning.__version__).major:
        raise ValueError("another major version of Lightning wrote it")
    twin, optimizers = twin_with_optimizers(gan, trainer, stepped=checkpoint["global_step"] > 0)
    state, scheduled = twin.state, [] if gan.schedule is None else optimizers
    loops = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
    path = checkpoint.get("trajectory", torch.empty(0))
    thetas = torch.cat([state.generator.theta, state.discriminator.theta], -1).double()
    names = evaluation_of(trainer).names(gan, data)
    own = {
        "state_dict": dict(gan.state_dict()),
        "optimizer_states": [optimizer.state_dict() for optimizer in optimizers],
        "lr_schedulers": [LambdaLR(optimizer, lambda _: 1.0).state_dict() for optimizer in scheduled],
        "memory": state.remembered(),
        "average_weight": None if state.average is None else state.average.weight,
        "loops": {loop: getattr(trainer, loop).state_dict() for loop in loops},
    }
    if checkpoint["state_dict"].keys() != gan.state_dict().keys():
        raise ValueError("state_dict belongs to other networks")
    for key, form in own.items():
        check_form(checkpoint[key], form, key)
    check_form([*path], [thetas] * len(path), "trajectory")
    recorder = frames_of(trainer)
    if recorder is not None and "frames" in checkpoint:
        recorder.check(checkpoint["frames"], checkpoint["global_step"], twin, data)
    for optimizer, saved in zip(optimizers, checkpoint["optimizer_states"], strict=True):
        optimizer.load_state_dict(deepcopy(saved))
    if checkpoint["history"]["names"] not in ([], names):
        raise ValueError("history.names differ from those of this run")
    _check_counts(checkpoint, data)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if saved := checkpoint["callbacks"].get(callback.state_key):
            callback.load_state_dict(deepcopy(saved))


def _check_counts(checkpoint: Mapping[str, Any], data: DataModule) -> None:
    """Check that the entries of a checkpoint do not contradict each other about the number of finished iterations.

    Raises:
        ValueError: when they do.
    """
    done, place, history = checkpoint["global_step"], checkpoint["DataModule"], checkpoint["history"]
    loop = checkpoint["loops"]["fit_loop"]["epoch_loop.manual_optimization.optim_step_progress"]
    rows = history["rows"]
    recorded = rows[:, history["names"].index("iteration")].max().item() if len(rows) else 0
    counts = {loop["total"]["completed"], place["epoch"] * data.iterations + place["position"]}
    if counts != {done} or not 0 <= place["position"] <= data.iterations or recorded > done:
        raise ValueError("its entries disagree on the number of finished iterations")
