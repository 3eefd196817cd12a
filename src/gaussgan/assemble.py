"""From a composed configuration to the parts of a run, seen to fit each other."""

from __future__ import annotations

import logging
import warnings
from functools import partial
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import StrategyRegistry
from pytorch_lightning.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch import Tensor, nn

from gaussgan.arguments import check_arguments
from gaussgan.callbacks import Evaluation
from gaussgan.callbacks.checkpoints import WholeFiles
from gaussgan.config import ConfigError, differences, one_line, reading
from gaussgan.console import IterationsBar
from gaussgan.data import GaussianDataModule, iteration_limits
from gaussgan.gan import GAN, OptimizerFactory
from gaussgan.memory import check_memory
from gaussgan.runs import build_networks, read_checkpoint
from gaussgan.tree import flatten
from gaussgan.variation import seeds, varying

for library in ("pytorch_lightning", "lightning_fabric", "matplotlib"):  # that say what only their authors ask
    logging.getLogger(library).setLevel(logging.WARNING)
logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)  # what trainer.profiler asks for
warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")  # Lightning's affair with torch


@reading()
def assemble(cfg: DictConfig) -> tuple[GAN, GaussianDataModule, Trainer]:
    """What a configuration describes: the module, its data and its trainer.

    Raises:
        ConfigError: when the parts cannot be made, or do not fit each other or the checkpoint to resume from.
    """
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    _check_machine(cfg.trainer)
    check_arguments(config)
    check_memory(config)
    try:
        data = _make_data(cfg, config)
        networks = build_networks(config, data.distribution.dim)
        gan = GAN(
            **networks,
            objective=instantiate(cfg.objective),
            **{part: _make(cfg, part) for part in ("update", "optimizer_d", "optimizer_g")},
            penalties=[_make(cfg, f"penalty.{k}", 3) for k, term in cfg.penalty.items() if OmegaConf.is_dict(term)],
            schedule=instantiate(cfg.schedule) if "_target_" in cfg.schedule else None,
            player_d={**config["player_d"], **_own_numbers(cfg, "player_d")},
            player_g={**config["player_g"], **_own_numbers(cfg, "player_g")},
            ema_half_life=_own_numbers(cfg, "", 1).get("ema_half_life", cfg.ema_half_life),
            config=config,
        )
        trainer = instantiate(
            cfg.trainer,
            callbacks=[
                *instantiate(cfg.callbacks).values(),
                *([IterationsBar()] if cfg.trainer.enable_progress_bar else []),
            ],
            logger=instantiate(cfg.logger) if cfg.get("logger") else False,
            default_root_dir=cfg.run_dir,
            enable_autolog_hparams=False,
        )
    except InstantiationException as error:
        raise ConfigError(one_line(error)) from error
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeFiles()
    _check_widths(gan, data)
    _check_optimizers(gan)
    _check_strategy(trainer, gan.replicas)
    _check_evaluation(gan, data, trainer)
    # Lightning does so after it has restored a checkpoint, whose float64 would pass through float32.
    trainer.precision_plugin.convert_module(gan)
    try:
        data.check_shares(trainer.world_size)
    except ValueError as error:
        raise ConfigError(f"data.{error}") from error
    if data.fewest_rows(trainer.world_size) < 2 and any(isinstance(m, nn.BatchNorm1d) for m in gan.modules()):
        raise ConfigError(
            "data.num_examples must leave every batch two examples for batch norm, the last of an epoch included (got"
            f" {data.num_examples})"
        )
    if cfg.ckpt_path is not None:
        _check_checkpoint(cfg, gan, data, trainer)
    return gan, data, trainer


def _make_data(cfg: DictConfig, config: dict[str, Any]) -> GaussianDataModule:
    make = instantiate(cfg.data, _partial_=True)  # which does not copy the seeds of many replicas one by one
    try:
        return make(**({"seed": seeds(config)} if cfg.replicas > 1 else {}))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data: {one_line(error)}") from error


def _make(cfg: DictConfig, part: str, ndim: int = 2) -> Any:
    """Instantiate a part, its numbers that differ between replicas as tensors."""
    own = _own_numbers(cfg, part, ndim)
    node = OmegaConf.select(cfg, part)
    if not own:
        return instantiate(node)
    make = instantiate(node, _partial_=True)
    return partial(make, **own) if node.get("_partial_") else make(**own)


def _own_numbers(cfg: DictConfig, part: str, ndim: int = 2) -> dict[str, Any]:
    """The numbers of a part that differ between replicas, in float64: [R, 1] beside their parameters, with three
    dimensions [R, 1, 1] beside what is of single examples, or [R]; of no part those at the top."""

    def tensor(values: Any) -> Any:
        if not isinstance(values, list):
            return values
        return torch.tensor(values, dtype=torch.float64).view(-1, *[1] * (ndim - 1))

    own = varying(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    numbers = {key.rpartition(".")[2]: value for key, value in own.items() if key.rpartition(".")[0] == part}
    return {key: tuple(map(tensor, value)) if key == "betas" else tensor(value) for key, value in numbers.items()}


def _check_machine(trainer: DictConfig) -> None:
    """See that it has what is asked for by name."""
    here = sorted(name for name, entry in AcceleratorRegistry.items() if entry["accelerator"].is_available())
    accelerators = ["auto", *here, *(["gpu"] if {"cuda", "mps"} & {*here} else [])]
    if (name := trainer.accelerator) not in accelerators:
        choices = ", ".join(accelerators)
        raise ConfigError(f"trainer.accelerator must be one that this machine has: {choices} (got {name})")
    strategies = ["auto", *StrategyRegistry.available_strategies()]
    if isinstance(name := trainer.get("strategy"), str) and name not in strategies:
        raise ConfigError(f"trainer.strategy must be one of Lightning's, such as auto, ddp or ddp_spawn (got {name})")


def _check_widths(gan: GAN, data: GaussianDataModule) -> None:
    d = data.distribution.dim
    leading = [gan.replicas] if gan.replicas > 1 else []
    with gan.evaluating():
        try:
            fake = gan.generator(torch.zeros(*leading, 2, data.latent_dim))
        except RuntimeError as error:
            got = gan.config["generator"].get("in_features", one_line(error))
            raise ConfigError(
                f"generator.in_features must be {data.latent_dim}, data.latent_dim (got {got})"
            ) from error
        if fake.shape != (*leading, 2, d):
            raise ConfigError(f"generator.out_features must be {d}, the law's dimension (got {fake.shape[-1]})")
        try:
            logits = gan.discriminator(fake)
        except RuntimeError as error:
            got = gan.config["discriminator"].get("in_features") or one_line(error)
            raise ConfigError(f"discriminator.in_features must be {d}, the law's dimension (got {got})") from error
        if logits.shape != (*leading, 2, 1):
            raise ConfigError(f"discriminator.out_features must be 1, a logit (got {logits.shape[-1]})")


def _check_optimizers(gan: GAN) -> None:
    for name in ("optimizer_d", "optimizer_g"):
        try:
            one, other = (_stepped(getattr(gan, name), gan.replicas, k) for k in (1.0, torch.tensor([3.0, -5, 7])))
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{name}: {one_line(error)}") from error
        if not torch.allclose(one, other, rtol=0, atol=0, equal_nan=True):
            optimizer = type(getattr(gan, name)([torch.zeros(1, 1)])).__name__
            raise ConfigError(f"{name} must step each replica as if it were alone, which {optimizer} does not")


def _stepped(factory: OptimizerFactory, replicas: int, others: float | Tensor) -> Tensor:
    """The first of so many replicas after two steps, in which the gradients of the others are so many times its own."""
    theta = torch.ones(replicas, 3)
    optimizer = factory([theta])
    for _ in range(2):
        theta.grad = torch.tensor([1.0, 2, -1]).repeat(replicas, 1)
        theta.grad[1:] *= others
        optimizer.step()
    return theta[0]


def _check_strategy(trainer: Trainer, replicas: int) -> None:
    if replicas > 1 and trainer.world_size > 1:
        raise ConfigError(f"trainer.devices must be 1 with replicas={replicas} (got {trainer.world_size})")
    sweeping = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    if sweeping and isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        raise ConfigError(
            "trainer.strategy must be ddp_spawn in a sweep: the processes of ddp would each run the whole sweep again"
        )


def _check_evaluation(gan: GAN, data: GaussianDataModule, trainer: Trainer) -> None:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Evaluation):
            try:
                callback.check(gan.generator, data.distribution)
            except ValueError as error:
                raise ConfigError(f"callbacks.evaluation.{error}") from error


def _check_checkpoint(cfg: DictConfig, gan: GAN, data: GaussianDataModule, trainer: Trainer) -> None:
    path = cfg.ckpt_path
    try:
        checkpoint = read_checkpoint(path)
    except ConfigError as error:
        raise ConfigError(f"ckpt_path: {error}") from error
    if differing := differences(checkpoint["config"], gan.config):
        typed = flatten(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
        key = min(differing, key=lambda key: "${" in str(typed.get(key)))  # one that follows from no other, if there is
        theirs, ours = differing[key]
        raise ConfigError(
            f"ckpt_path: {path} comes from a run with {key}={theirs}, and a resumed run keeps its recipe (got {ours})"
        )
    done = checkpoint["global_step"]
    for key, end in iteration_limits(trainer, data).items():
        if end < done:
            raise ConfigError(
                f"ckpt_path: {path} is at iteration {done}, beyond trainer.{key}={getattr(trainer, key)}, which ends at"
                f" {end}; give the run's own, or more"
            )
    planned = min(iteration_limits(trainer, data).values())
    if gan.schedule is not None and checkpoint.get("planned_iterations", planned) != planned:
        raise ConfigError(
            f"ckpt_path: {path} follows its schedule to iteration {checkpoint['planned_iterations']}; give its own"
            f" trainer.max_epochs and trainer.max_steps (these end at {planned})"
        )
    shapes = {name: value.shape for name, value in gan.state_dict().items()}
    if shapes != {name: value.shape for name, value in checkpoint["state_dict"].items()}:
        raise ConfigError(f"ckpt_path: {path} comes from other networks than this run's")
