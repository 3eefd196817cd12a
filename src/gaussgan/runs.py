"""A run directory: claiming it, writing its record, and loading it back as plain modules."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from gaussgan.config import ConfigError, one_line
from gaussgan.distributions import AffineGaussian
from gaussgan.streams import stream

RECORD, LAST, BEST = "metrics.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"

FIELDS = (
    "status", "error", "seed", "replicas", "iterations", "examples", "seconds", "examples_per_second", "val/w2",
    "val/kl", "mle/w2", "train/loss_d", "train/loss_g",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What a run left behind: its trained networks as plain modules, its law, and its configuration."""

    directory: Path
    config: dict[str, Any]
    generator: nn.Module
    discriminator: nn.Module
    distribution: AffineGaussian
    iterations: int


def load_run(directory: str | Path, checkpoint: str = LAST) -> Run:
    """Load a run from its directory.

    Args:
        checkpoint: which parameters, `checkpoints/last.ckpt` or `checkpoints/best.ckpt`.

    Raises:
        ConfigError: when the directory holds no run, or its checkpoint cannot be read.
    """
    directory = Path(directory)
    path = directory / checkpoint
    if not path.is_file():
        raise ConfigError(f"{directory} is no run directory: it holds no {checkpoint}")
    state = read_checkpoint(path)
    config = state["config"]
    distribution = instantiate(config["data"]["distribution"])
    modules = build_networks(config, distribution.dim)
    for name, module in modules.items():
        prefix = f"{name}."
        weights = {k.removeprefix(prefix): v for k, v in state["state_dict"].items() if k.startswith(prefix)}
        module.to(next(iter(weights.values())).dtype).load_state_dict(weights)
        module.eval()
    return Run(directory, config, distribution=distribution, iterations=state["global_step"], **modules)


def build_networks(config: Mapping[str, Any], dim: int) -> dict[str, nn.Module]:
    """The generator and the discriminator of a configuration, as they start. A null in it is the law's dimension.

    Raises:
        ConfigError: when one of them cannot be made.
    """
    networks = {}
    for name in ("generator", "discriminator"):
        widths = {key: dim for key, value in config[name].items() if value is None}
        try:
            networks[name] = instantiate(config[name], **widths, rng=stream(config["seed"], f"init_{name}"))
        except InstantiationException as error:
            raise ConfigError(f"{name}: {one_line(error)}") from error
    return networks


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of this package, loaded with weights_only on the CPU.

    Raises:
        ConfigError: when the file does not exist, is not whole, or is something else.
    """
    if not Path(path).is_file():
        raise ConfigError(f"{path} does not exist")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["config"], checkpoint["state_dict"]
    except Exception as error:
        raise ConfigError(f"{path} is no whole checkpoint of gaussgan ({type(error).__name__})") from error
    return checkpoint


@contextmanager
def claim(directory: Path, resuming: bool) -> Iterator[None]:
    """Hold a run directory for one process, until it ends however it ends.

    Raises:
        ConfigError: when another process holds it, when it holds a finished run that this one does not resume, or when
            it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock", blocking=False)
        lock.acquire()
    except Timeout:
        raise ConfigError(f"hydra.run.dir: another run is under way in {directory}") from None
    except OSError as error:
        raise ConfigError(f"hydra.run.dir: cannot write to {directory} ({error.strerror})") from error
    try:
        if not resuming and holds_a_run(directory):
            raise ConfigError(
                f"hydra.run.dir: {directory} already holds a run; name another directory, or resume it with"
                f" ckpt_path={directory / LAST}"
            )
        yield
    finally:
        lock.release()


def holds_a_run(directory: Path) -> bool:
    """Whether a directory holds what a new run would destroy: a checkpoint, or the record of more than a failure."""
    record = directory / RECORD
    return (directory / LAST).exists() or (record.exists() and read_record(directory)["status"] != "failed")


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    """Write metrics.json, whole or not at all. What is not known, or is no finite number, is null."""
    values = {field: record.get(field) for field in FIELDS} | {"versions": versions()}
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    temporary = directory / f".{RECORD}.tmp"
    temporary.write_text(json.dumps(finite, indent=2) + "\n")
    temporary.replace(directory / RECORD)


def read_record(directory: Path) -> dict[str, Any]:
    """The contents of metrics.json."""
    return json.loads((directory / RECORD).read_text())


def versions() -> dict[str, str]:
    packages = ("gaussgan", "torch", "pytorch-lightning", "hydra-core", "numpy")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}
