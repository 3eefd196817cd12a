"""Whether a run can go on from a checkpoint, found out before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytorch_lightning
import torch
from packaging.version import Version
from pytorch_lightning import Trainer
from torch.optim.lr_scheduler import LambdaLR

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.data.loader import Batch
from gaussgan.gan.module import GAN
from gaussgan.runs.checkpoint import check_form


def check_state(checkpoint: Mapping[str, Any], gan: GAN, data: GaussianDataModule, trainer: Trainer) -> None:
    """Check that a checkpoint holds what this run itself would save, by two iterations of a copy of its players.

    Raises:
        ValueError: naming what has another type or shape.
        Exception: whatever an update rule or a callback raises at what it should remember.
    """
    if Version(checkpoint["pytorch-lightning_version"]).major != Version(pytorch_lightning.__version__).major:
        raise ValueError("it was written by another major version of Lightning")
    twin = deepcopy(gan)
    twin.schedule = None
    twin.on_load_checkpoint({**checkpoint, "update": deepcopy(checkpoint["update"])})
    optimizers, _ = twin.configure_optimizers()
    schedulers = [] if gan.schedule is None else [LambdaLR(optimizer, lambda _: 1.0) for optimizer in optimizers]
    states = [deepcopy(optimizer.state_dict()) for optimizer in optimizers]  # as before the first iteration
    twin.update(twin.discriminator_player, twin.generator_player, _some_batch(gan, data))
    if checkpoint["global_step"]:
        states = [optimizer.state_dict() for optimizer in optimizers]
    pairs = zip(checkpoint["update"], getattr(twin.update, "memory", []), strict=False)
    loops = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
    path = checkpoint.get("trajectory", torch.empty(0))
    theta = torch.cat([twin.generator_player.theta, twin.discriminator_player.theta], -1).double()
    for key, value, form in (
        ("state_dict", dict(checkpoint["state_dict"]), dict(gan.state_dict())),
        ("optimizer_states", checkpoint["optimizer_states"], states),
        ("lr_schedulers", checkpoint["lr_schedulers"], [scheduler.state_dict() for scheduler in schedulers]),
        *((f"update.{i}", *pair) for i, pair in enumerate(pairs)),
        ("loops", checkpoint["loops"], {loop: getattr(trainer, loop).state_dict() for loop in loops}),
        ("trajectory", [*path], [theta] * len(path)),
    ):
        check_form(value, form, key)
    for optimizer, state, own in zip(optimizers, checkpoint["optimizer_states"], states, strict=True):
        if [group["params"] for group in state["param_groups"]] != [group["params"] for group in own["param_groups"]]:
            raise ValueError("optimizer_states are of other parameters")
        optimizer.load_state_dict(deepcopy(state))
    twin.update(twin.discriminator_player, twin.generator_player, _some_batch(gan, data))
    _check_counts(checkpoint, data)
    names = evaluation_of(trainer).names(gan, data)
    if checkpoint["history"]["names"] not in ([], names):
        raise ValueError("history.names are not those of this run")
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if state := checkpoint["callbacks"].get(callback.state_key):
            callback.load_state_dict(deepcopy(state))


def _some_batch(gan: GAN, data: GaussianDataModule) -> Batch:
    leading, rows = [gan.replicas] if gan.replicas > 1 else [], 2 * data.batches_per_iteration
    widths = (data.distribution.dim, data.latent_dim, 1)
    return Batch(*(torch.ones(*leading, rows, width).to(gan.placed) for width in widths))


def _check_counts(checkpoint: Mapping[str, Any], data: GaussianDataModule) -> None:
    """Check that all that counts iterations has counted the same."""
    done, place, loop = checkpoint["global_step"], checkpoint["GaussianDataModule"], checkpoint["loops"]["fit_loop"]
    counts = loop["epoch_loop.manual_optimization.optim_step_progress"]["total"]
    epochs = (place["epoch"], place["epoch"] + (place["position"] == data.iterations))
    if (
        {*counts.values(), place["epoch"] * data.iterations + place["position"]} != {done}
        or not 0 <= place["blocks"] <= place["position"] <= data.iterations
        or loop["epoch_progress"]["current"]["processed"] not in epochs
        or loop["epoch_loop.batch_progress"]["current"]["ready"] != place["blocks"]
        or loop["state_dict"].get("combined_loader", [place]) != [place]
        or any(iteration > done for iteration in _column(checkpoint["history"], "iteration"))
    ):
        raise ValueError("its counts of iterations differ")


def _column(history: Mapping[str, Any], name: str) -> list[float]:
    rows = history["rows"]
    return rows[:, history["names"].index(name)].flatten().tolist() if len(rows) else []
