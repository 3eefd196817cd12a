"""Start a run from the networks of another run: the keys init_from, init_replica and init_optimizers.

Of the other run, only the checkpoint is read, and no code that its configuration names is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.config.init_from import checkpoint_of
from gaussgan.gan.module import GAN
from gaussgan.gan.state import Start
from gaussgan.runs.checkpoint import expecting_checkpoint, read_checkpoint
from gaussgan.runs.record import STARTED_FROM
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.setup.resume import twin_with_optimizers

NETWORKS = ("generator", "discriminator", "generator_ema")


def start_from(config: Mapping[str, Any], gan: GAN, trainer: Trainer) -> str:
    """Let the networks of a new run start from those of the run `init_from`. Return a line for the log.

    The generator, the discriminator and their buffers are copied. If both runs keep a moving average of the generator,
    the average is copied, too, and goes on; otherwise the average of this run begins anew. The optimizers begin anew,
    or, with `init_optimizers=keep`, from the states of the optimizers of the other run. All else begins anew: the
    data, the learning rates and their schedule, what the update rule and the penalties remember, and the count of
    iterations.

    In the configuration of `gan`, the entry "started_from" then says which checkpoint was read: its path, its iteration
    and a hash of its networks. It is saved in the checkpoints and in metrics.json.

    Args:
        config: the run's configuration as plain dicts and lists.
        gan: the GAN of the run, on the CPU, in the precision of the run.
        trainer: the trainer of the run.

    Raises:
        ConfigError: when the checkpoint cannot be read, or for the first reason why its networks or optimizers do not
            fit those of this run.
    """
    path = checkpoint_of(config["init_from"])
    with naming_init_from(), expecting_checkpoint(path):
        whole = read_checkpoint(path)
        checkpoint = _chosen(whole, config)
        weights = {key.replace("stacked.", "", 1): value for key, value in checkpoint["state_dict"].items()}
        single = checkpoint["config"]["replicas"] == 1
        averaged = gan.generator_ema is not None and any(key.startswith("generator_ema.") for key in weights)
        for name in NETWORKS:
            if (network := getattr(gan, name)) is not None:
                source = "generator" if name == "generator_ema" and not averaged else name
                theirs = {k: value for k, value in weights.items() if k.startswith(f"{source}.")}
                own = {f"{source}.{k.replace('stacked.', '', 1)}": value for k, value in network.state_dict().items()}
                _copy(own, theirs, path, leading=gan.replicas > 1, shared=single)
        optimizers = _optimizers(checkpoint, config, gan, trainer, path) if config["init_optimizers"] == "keep" else []
    gan.start = Start(optimizers, averaged)
    gan.config[STARTED_FROM] = {
        "path": str(path.absolute()),
        "iteration": checkpoint["global_step"],
        "sha256": _hash(checkpoint["state_dict"]),
    }
    kept = f"the optimizers are {'kept' if optimizers else 'fresh'}"
    taken = range(gan.replicas) if config["init_replica"] is None else [config["init_replica"]]
    diverged = len({*taken} & {*whole["diverged"]})
    lost = f"; {diverged} of its replicas diverged, and are taken as they were before that" if diverged else ""
    return f"the networks start from {path} at iteration {checkpoint['global_step']:,}; {kept}{lost}"


def check_single_start(config: Mapping[str, Any]) -> None:
    """Check that `init_from` gives a single run one network to start from.

    Raises:
        ConfigError: when it names a run with several replicas, and `init_replica` does not choose one.
    """
    if config["init_from"] is not None:
        with naming_init_from():
            _chosen(read_checkpoint(checkpoint_of(config["init_from"])), {**config, "replicas": 1})


@contextmanager
def naming_init_from() -> Iterator[None]:
    """Inside a with block, put "init_from: " before the message of a ConfigError that begins with no key."""
    try:
        yield
    except ConfigError as error:
        line = str(error)
        raise ConfigError(line if line.startswith("init_") else f"init_from: {line}") from error


def _chosen(checkpoint: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checkpoint of the replica that `init_replica` chooses, or else the whole checkpoint."""
    path, i = config["init_from"], config["init_replica"]
    theirs, ours = checkpoint["config"]["replicas"], config["replicas"]
    if i is not None:
        if i >= theirs:
            raise ConfigError(
                f"init_replica must be a number from 0 to {theirs - 1}, because {path} is a run with replicas={theirs}"
                f" (got {i})"
            )
        return single_checkpoint(checkpoint, i) if theirs > 1 else checkpoint
    if theirs not in (1, ours):
        raise ConfigError(
            f"init_replica must choose one of the replicas 0 to {theirs - 1} of {path}, because this run has"
            f" replicas={ours} (got null)"
        )
    return checkpoint


@torch.no_grad()
def _copy(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], path: Path, leading: bool, shared: bool) -> None:
    """Copy the tensors of a network into those of this run.

    Args:
        own: the names of the tensors of this run, and the tensors.
        theirs: the same for the other run.
        path: the checkpoint of the other run, for error messages.
        leading: whether the tensors of this run have a first dimension for replicas.
        shared: whether those of the other run have none, so that all replicas share them.
    """
    for key in {**own, **theirs}:
        a = [*own[key].shape[leading:]] if key in own else None
        b = [*theirs[key].shape[not shared :]] if key in theirs else None
        if a != b:
            raise ConfigError(f"{key} {_shape(b)} in {path}, and {_shape(a)} in this run")
    for key, tensor in own.items():
        tensor.copy_(theirs[key])


def _optimizers(
    checkpoint: Mapping[str, Any], config: Mapping[str, Any], gan: GAN, trainer: Trainer, path: Path
) -> list[dict[str, Any]]:
    """Return the state of D's and of G's optimizer in a checkpoint, in the shapes that this run needs."""
    states = []
    _, optimizers = twin_with_optimizers(gan, trainer, stepped=True)
    names = ("optimizer_d", "optimizer_g")
    for name, optimizer, saved in zip(names, optimizers, checkpoint["optimizer_states"], strict=True):
        ours, theirs = config[name]["_target_"], checkpoint["config"][name]["_target_"]
        if ours != theirs:
            raise ConfigError(f"init_optimizers must be fresh, because {name} is {theirs} in {path} (got {ours})")
        needed, state = optimizer.state_dict()["state"].get(0, {}), saved["state"].get(0, {})
        for key in {**needed, **state}:
            a, b = ([*each[key].shape] if isinstance(each.get(key), Tensor) else None for each in (needed, state))
            if (key in needed) != (key in state) or not _fits(state[key], needed[key]):
                raise ConfigError(
                    f"init_optimizers must be fresh, because {key} of {name} {_shape(b)} in {path}, and {_shape(a)} in"
                    " this run (got keep)"
                )
        states.append({key: _like(value, needed[key]) for key, value in state.items()})
    return states


def _fits(value: Any, needed: Any) -> bool:
    if not isinstance(needed, Tensor):
        return type(value) is type(needed)
    return isinstance(value, Tensor) and value.shape in (needed.shape, needed.shape[1:])


def _like(value: Any, needed: Any) -> Any:
    return value.expand(needed.shape).clone() if isinstance(needed, Tensor) else value


def _shape(shape: list[int] | None) -> str:
    return "does not exist" if shape is None else f"has the shape {shape}"


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 of the names, precisions, shapes and values of tensors."""
    total = sha256()
    for key, tensor in sorted(tensors.items()):
        total.update(f"{key} {tensor.dtype} {[*tensor.shape]}\n".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
