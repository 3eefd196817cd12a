"""Make the objects of a run from its configuration, and check that they fit each other."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO

from gaussgan.callbacks.check import check_callbacks
from gaussgan.callbacks.checkpoints import WholeFiles
from gaussgan.config.check import reading
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.per_replica import of_replica, seeds, varying
from gaussgan.data.datamodule import GaussianDataModule
from gaussgan.gan.module import GAN
from gaussgan.loggers.make import make_loggers
from gaussgan.networks.build import build_networks
from gaussgan.setup.arguments import check_arguments
from gaussgan.setup.check_distribution import check_distribution
from gaussgan.setup.check_game import check_objective, check_optimizers, check_penalties, check_schedule, check_update
from gaussgan.setup.check_networks import check_networks
from gaussgan.setup.memory import check_memory
from gaussgan.setup.resume import check_checkpoint
from gaussgan.setup.trainer import check_machine, check_trainer, make_trainer

log = logging.getLogger(__name__)

Run = tuple[GAN, GaussianDataModule, Trainer]
MANY = 10_000  # replicas that take seconds to make
_ahead: list[Run] = []  # at most one: see assemble_ahead


@reading()
def assemble(cfg: DictConfig) -> Run:
    """Make the module, the data and the trainer that a configuration describes.

    Raises:
        ConfigError: when one of them cannot be made, or does not fit the others or the checkpoint to resume from.
    """
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    if _ahead and (run := _ahead.pop())[0].config == config:
        return run
    if cfg.replicas >= MANY:
        log.info("making %s replicas", f"{cfg.replicas:,}")
    check_machine(cfg.trainer)
    check_arguments(config)
    check_memory(config)
    try:
        data = _make_data(cfg, config)
        check_distribution(data.distribution)
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
        callbacks = instantiate(cfg.callbacks, _convert_="all")
        check_callbacks(callbacks, logs=bool(cfg.get("logger")))
        trainer = make_trainer(cfg, callbacks)
    except InstantiationException as error:
        raise ConfigError(one_line(error)) from error
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeFiles()
    _try_once(cfg, gan, data)
    check_trainer(trainer, callbacks, gan, data)
    # Lightning converts only after it has restored a checkpoint, so float64 would pass through float32.
    trainer.precision_plugin.convert_module(gan)
    step = None if cfg.ckpt_path is None else check_checkpoint(cfg, gan, data, trainer)
    if not cfg.trainer.get("fast_dev_run"):  # such a run logs nothing
        trainer.loggers = make_loggers(config, step)  # last, because MLflow's logger makes its store at once
    return gan, data, trainer


def assemble_ahead(cfg: DictConfig) -> None:
    """Assemble a run before Hydra writes its files, so that a refused run leaves none.

    The next call of `assemble` returns it, if the configuration is the same.
    """
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    _ahead[:] = [assemble(cfg)]


def _make_data(cfg: DictConfig, config: dict[str, Any]) -> GaussianDataModule:
    make = instantiate(cfg.data, _partial_=True)  # does not copy the seeds of many replicas one by one
    try:
        return make(**({"seed": seeds(config)} if cfg.replicas > 1 else {}))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data: {one_line(error)}") from error


def _make(cfg: DictConfig, component: str, ndim: int = 2) -> Any:
    """Instantiate a component. Its numbers that differ between replicas become tensors."""
    own = _own_numbers(cfg, component, ndim)
    node = OmegaConf.select(cfg, component)
    if not own:
        return instantiate(node)
    make = instantiate(node, _partial_=True)
    return partial(make, **own) if node.get("_partial_") else make(**own)


def _own_numbers(cfg: DictConfig, component: str, ndim: int = 2) -> dict[str, Any]:
    """Return the numbers of a component that differ between replicas, as float64 tensors with `ndim` dimensions.

    Their shape is [R], [R, 1] to go with parameters, or [R, 1, 1] to go with examples. The component "" is the top
    level.
    """

    def tensor(values: Any) -> Any:
        listed = isinstance(values, list)
        return torch.tensor(values, dtype=torch.float64).view(-1, *[1] * (ndim - 1)) if listed else values

    own = varying(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    numbers = {key.rpartition(".")[2]: value for key, value in own.items() if key.rpartition(".")[0] == component}
    return {key: tuple(map(tensor, value)) if key == "betas" else tensor(value) for key, value in numbers.items()}


def _try_once(cfg: DictConfig, gan: GAN, data: GaussianDataModule) -> None:
    """Try each object once. The state of torch's global generator is kept."""
    with torch.random.fork_rng(devices=[]):
        d = data.distribution.dim
        terms = [name for name, term in cfg.penalty.items() if OmegaConf.is_dict(term)]
        again = build_networks(of_replica(gan.config, 0), d)
        check_networks(gan, data.latent_dim, d, again)
        check_objective(gan.game.objective, gan.replicas)
        check_penalties(dict(zip(terms, gan.game.penalties, strict=True)), gan, d)
        check_optimizers(gan)
        check_update(gan, data.latent_dim, d, data.batches_per_iteration)
        if gan.schedule is not None:
            check_schedule(gan.schedule)
    data.sources[0].examples()  # raises if they are not finite
