"""Make the Trainer of a run, and check that its arguments fit the run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy, StrategyRegistry

from gaussgan.callbacks.check import check_monitors
from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.callbacks.progress import IterationsBar
from gaussgan.config.errors import ConfigError
from gaussgan.data.datamodule import DataModule
from gaussgan.data.iterations import iteration_limits
from gaussgan.gan.module import GAN
from gaussgan.setup.check_batches import check_batches

for library in ("pytorch_lightning", "lightning_fabric", "matplotlib"):  # these INFO messages do not help users
    logging.getLogger(library).setLevel(logging.WARNING)
for module in ("profilers", "callbacks.model_summary", "callbacks.early_stopping"):
    logging.getLogger(f"pytorch_lightning.{module}").setLevel(logging.INFO)
warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")  # inside Lightning
warnings.filterwarnings("ignore", message="GPU available but not used")  # for a small network, the CPU is faster
# Two wrong warnings are hidden. The first counts Lightning's batches, but here such a batch is a block of iterations.
# The second warns that a checkpoint holds the state after a step, which is right here.
warnings.filterwarnings("ignore", message=".*is smaller than the logging interval")
warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")

AUTO = (None, "auto", -1, "-1")  # values of trainer.devices that fit every machine


def make_trainer(cfg: DictConfig, callbacks: Mapping[str, Callback]) -> Trainer:
    """Make a Trainer without loggers.

    If trainer.enable_progress_bar is true and no callback is a progress bar, add the progress bar `IterationsBar`.

    Args:
        callbacks: maps the name of each callback in the configuration to the callback.
    """
    bar = cfg.trainer.enable_progress_bar and not any(isinstance(each, ProgressBar) for each in callbacks.values())
    # With log_every_n_steps=0, the Trainer logs the metrics of callbacks at the end of each block of iterations.
    log_every = cfg.trainer.get("log_every_n_steps", 0)
    _set_verbosity(callbacks.values())
    return instantiate(
        cfg.trainer,
        callbacks=[*callbacks.values(), *([IterationsBar()] if bar else [])],
        logger=False,
        log_every_n_steps=1 if log_every == 0 else log_every,
        default_root_dir=cfg.run_dir,
        enable_autolog_hparams=False,
        deterministic=cfg.trainer.deterministic or _off_or_none(),
        _convert_="all",
    )


def _off_or_none() -> bool | None:
    """Return False if torch's deterministic algorithms are on, as an earlier run of this process may leave them.

    Otherwise return None, so that Lightning does not switch them off again: torch would import its compiler for that,
    which takes a second.
    """
    return False if torch.are_deterministic_algorithms_enabled() else None


def check_machine(trainer: DictConfig) -> None:
    """Check that this machine has the Trainer's accelerator, and that gaussgan supports the Trainer's strategy.

    Args:
        trainer: the section `trainer` of the configuration.

    Raises:
        ConfigError: when the accelerator or the strategy cannot be used. The message says which ones are valid.
    """
    here = sorted(name for name, entry in AcceleratorRegistry.items() if entry["accelerator"].is_available())
    accelerators = ["auto", *here, *(["gpu"] if {"cuda", "mps"} & {*here} else [])]
    if (name := trainer.accelerator) not in accelerators:
        raise ConfigError(f"trainer.accelerator must be one of {', '.join(accelerators)} on this machine (got {name})")
    _check_gpus(trainer, here)
    strategies = [name for name in StrategyRegistry.available_strategies() if name.startswith(("ddp", "single_device"))]
    if isinstance(name := trainer.get("strategy"), str) and name not in ("auto", *strategies):
        raise ConfigError(
            f"trainer.strategy must be auto, ddp or another ddp strategy of Lightning, such as ddp_spawn (got {name})"
        )


def _check_gpus(trainer: DictConfig, here: Sequence[str]) -> None:
    """Check that this machine has the GPUs that trainer.devices asks for: a number of them, or their indices.

    Args:
        here: the names of the accelerators of this machine.
    """
    gpu = next((name for name in ("cuda", "mps") if name in here), None)
    if gpu is None or trainer.accelerator not in ("auto", "gpu", gpu) or (devices := trainer.get("devices")) in AUTO:
        return
    count = AcceleratorRegistry.get(gpu).auto_device_count()
    listed = devices.split(",") if isinstance(devices, str) and "," in devices else devices
    most = int(listed) - 1 if isinstance(listed, int | str) else max(int(index) for index in listed if index != "")
    if most >= count:
        raise ConfigError(
            f"trainer.devices must fit the GPUs of this machine, whose indices are {[*range(count)]} (got {devices})"
        )


def check_trainer(trainer: Trainer, callbacks: Mapping[str, Callback], gan: GAN, data: DataModule) -> None:
    """Check that a Trainer, the callbacks, the networks and the data of a run fit each other.

    Raises:
        ConfigError: for the first mistake. The message names the key that must change.
    """
    _check_strategy(trainer, gan.replicas)
    _check_minimum_length(trainer, data)
    evaluation = evaluation_of(trainer)
    try:
        evaluation.check(gan.generator, data.distribution)
    except ValueError as error:
        raise ConfigError(f"callbacks.evaluation.{error}") from error
    if evaluation.features is not None:
        evaluation.evaluator(data)  # raises an error if the features do not fit the examples
    every = gan.config.get("evaluate_every")
    check_monitors(callbacks, lambda: evaluation.metrics(gan, data), every)
    try:
        data.check_shards(trainer.world_size)
    except ValueError as error:
        raise ConfigError(f"data.{error}") from error
    check_batches(gan, data, trainer.world_size)


def _check_strategy(trainer: Trainer, replicas: int) -> None:
    if not isinstance(trainer.strategy, DDPStrategy | SingleDeviceStrategy):
        raise ConfigError(f"trainer.strategy must be auto or ddp (got {type(trainer.strategy).__name__})")
    if replicas > 1 and trainer.world_size > 1:
        raise ConfigError(f"trainer.devices must be 1 with replicas={replicas} (got {trainer.world_size})")
    sweeping = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    # A launcher of Lightning that has a cluster environment runs the whole script in each process.
    if sweeping and hasattr(trainer.strategy.launcher, "cluster_environment"):
        raise ConfigError(
            "trainer.strategy must be ddp_spawn in a sweep: with ddp, each process would run the whole sweep again"
        )


def _check_minimum_length(trainer: Trainer, data: DataModule) -> None:
    """Check that trainer.min_epochs and trainer.min_steps ask for no more iterations than the run has."""
    planned = min(iteration_limits(trainer, data).values())
    for key, iterations in (("min_epochs", data.iterations), ("min_steps", 1)):
        minimum = getattr(trainer, key) or 0
        if minimum * iterations > planned:
            raise ConfigError(
                f"trainer.{key}={minimum} asks for {minimum * iterations} iterations, but the run has only {planned}"
            )


def _set_verbosity(callbacks: Iterable[Callback]) -> None:
    """Show Lightning's INFO messages if the attribute `verbose` of any callback is true; otherwise hide them."""
    verbose = any(getattr(callback, "verbose", False) for callback in callbacks)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.INFO if verbose else logging.WARNING)
