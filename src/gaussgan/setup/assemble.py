"""Make the objects of a run from its configuration, and check that they fit each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.seed import isolate_rng

from gaussgan.callbacks.check import check_callbacks
from gaussgan.callbacks.checkpoints import AtomicCheckpointIO
from gaussgan.config.check import translating_omegaconf_errors
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.init_from import canonical
from gaussgan.config.keys import is_component
from gaussgan.config.per_replica import of_replica, seeds, varying
from gaussgan.data.datamodule import DataModule
from gaussgan.data.examples import Examples
from gaussgan.data.source import data_error
from gaussgan.gan.game import columns_of
from gaussgan.gan.module import GAN
from gaussgan.loggers.make import make_loggers
from gaussgan.networks.build import build_networks
from gaussgan.runs.directory import is_first_process
from gaussgan.setup.arguments import check_arguments
from gaussgan.setup.check_augmentations import check_augmentations, check_draws
from gaussgan.setup.check_distribution import check_distribution
from gaussgan.setup.check_game import (
    check_latents,
    check_objective,
    check_optimizers,
    check_penalties,
    check_schedule,
    check_update,
    unbalanced,
)
from gaussgan.setup.check_networks import check_networks, check_range
from gaussgan.setup.compiling import choose_mode, compile_run
from gaussgan.setup.init_from import start_from
from gaussgan.setup.memory import check_memory
from gaussgan.setup.resume import check_checkpoint
from gaussgan.setup.trainer import check_machine, check_trainer, make_trainer
from gaussgan.setup.trial import naming_key

log = logging.getLogger(__name__)

Run = tuple[GAN, DataModule, Trainer]
SLOW_TO_MAKE = 10_000  # making this many replicas takes seconds


class _Assembled(NamedTuple):
    config: dict[str, Any]  # as it was given; the run's own says which mode it has
    run: Run
    notes: list[str]  # lines for the log


_assembled: list[_Assembled] = []  # at most one run, made by assemble_ahead


def assemble(cfg: DictConfig) -> Run:
    """Make the module, the data and the trainer of a run.

    If `assemble_ahead` has made these objects from the same configuration, return those. In the configuration of the
    module, `compile` is the mode that the run has, "on" or "off".

    Raises:
        ConfigError: when an object cannot be made, or does not fit the other objects, the machine, or the checkpoint
            from which the run resumes.
    """
    config = _plain(cfg)
    if not (_assembled and (made := _assembled.pop()).config == config):
        made = _assemble(cfg, config)
    for note in made.notes if is_first_process() else []:
        log.info(note)
    return made.run


@translating_omegaconf_errors()
def _plain(cfg: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


@translating_omegaconf_errors()
def _assemble(cfg: DictConfig, given: dict[str, Any]) -> _Assembled:
    if cfg.replicas >= SLOW_TO_MAKE:
        log.info("making %s replicas", f"{cfg.replicas:,}")
    check_arguments(given)
    mode = choose_mode(given)
    start = given["init_from"]
    config = {**given, "compile": mode.value, "init_from": None if start is None else canonical(start)}
    check_machine(cfg.trainer)
    check_memory(config)
    try:
        lists, terms = varying(config), [str(name) for name, term in cfg.penalty.items() if OmegaConf.is_dict(term)]
        penalties = [_make(cfg, lists, f"penalty.{term}", 3) for term in terms]
        augmentations = {str(name): instantiate(term) for name, term in cfg.augment.items()}
        check_draws(augmentations)
        data = _make_data(cfg, config, **columns_of(penalties, [*augmentations.values()]))
        if not isinstance(data.distribution, Examples):
            check_distribution(data.distribution)
        networks = build_networks(config, data.distribution.dim)
        gan = GAN(
            **networks,
            objective=instantiate(cfg.objective),
            **{component: _make(cfg, lists, component) for component in ("update", "optimizer_d", "optimizer_g")},
            penalties=penalties,
            schedule=instantiate(cfg.schedule) if "_target_" in cfg.schedule else None,
            player_d={**config["player_d"], **_replica_tensors(lists, "player_d")},
            player_g={**config["player_g"], **_replica_tensors(lists, "player_g")},
            ema_half_life=_replica_tensors(lists, "", 1).get("ema_half_life", cfg.ema_half_life),
            packing=cfg.discriminator.packing,
            augmentations=[*augmentations.values()],
            config=config,
        )
        callbacks = instantiate(cfg.callbacks, _convert_="all")
        check_callbacks(callbacks, has_logger=bool(cfg.get("logger")))
        trainer = make_trainer(cfg, callbacks)
    except InstantiationException as error:
        raise ConfigError(one_line(error)) from error
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()
    check_augmentations(augmentations, data.distribution.dim, gan.replicas)
    _check_objects(gan, data, terms)
    check_trainer(trainer, callbacks, gan, data)
    # Lightning loads a checkpoint before it converts the module to float64. Without this line, the loaded numbers would
    # be rounded to float32 first.
    trainer.precision_plugin.convert_module(gan)
    step = None if cfg.ckpt_path is None else check_checkpoint(cfg, gan, data, trainer)
    notes = unbalanced(data)
    if step is None and start is not None:
        notes.append(start_from(config, gan, trainer))
    mode = compile_run(mode, gan, data, trainer)
    gan.config["compile"] = mode.value
    if not cfg.trainer.get("fast_dev_run"):  # a fast_dev_run logs nothing
        trainer.loggers = make_loggers(config, step)  # made last, because MLflow's logger creates its database at once
    return _Assembled(given, (gan, data, trainer), [*notes, *([] if mode.note is None else [mode.note])])


def assemble_ahead(cfg: DictConfig) -> None:
    """Make the objects of a run before Hydra writes any file, so that a run with a mistake leaves no files.

    The next call of `assemble` with the same configuration returns these objects.
    """
    torch.set_num_threads(cfg.threads or 1)
    _assembled[:] = [_assemble(cfg, _plain(cfg))]


def _make_data(cfg: DictConfig, config: dict[str, Any], **columns: int) -> DataModule:
    latents = instantiate(cfg.latents) if "_target_" in cfg.latents else None
    make = instantiate(cfg.data, _partial_=True)  # seeds are passed below, because OmegaConf copies long lists slowly
    try:
        more = {"latents": latents, **({"seed": seeds(config)} if cfg.replicas > 1 else {})}
        return make(**columns, packing=cfg.discriminator.packing, threads=torch.get_num_threads(), **more)
    except (TypeError, ValueError) as error:
        raise data_error(error) from error


def _make(cfg: DictConfig, lists: Mapping[str, Any], component: str, ndim: int = 2) -> Any:
    """Instantiate a component. Numbers that differ between replicas become tensors.

    Args:
        lists: the numbers that differ between replicas; see `varying`.
        component: the dotted key of the component.
        ndim: the number of dimensions of each such tensor. For R replicas, a tensor has the shape [R, 1] if `ndim` is
            2, and [R, 1, 1] if `ndim` is 3.
    """
    tensors = _replica_tensors(lists, component, ndim)
    node = OmegaConf.select(cfg, component)
    for key in {path.removeprefix(f"{component}.").partition(".")[0] for path in lists if path.startswith(component)}:
        if is_component(node.get(key)):  # such as the inner rule of a Lookahead
            tensors[key] = _make(cfg, lists, f"{component}.{key}", ndim)
    if not tensors:
        return instantiate(node)
    make = instantiate(OmegaConf.masked_copy(node, [*node.keys() - tensors.keys()]), _partial_=True)
    return partial(make, **tensors) if node.get("_partial_") else make(**tensors)


def _replica_tensors(lists: Mapping[str, Any], component: str, ndim: int = 2) -> dict[str, Any]:
    """Return the numbers of a component that differ between replicas, as a dict from keys to float64 tensors.

    For the key `betas`, the value is a tuple of β₁ and β₂ instead. Each of them is a tensor if it differs between
    replicas.

    Args:
        lists: the numbers of all components that differ between replicas; see `varying`.
        component: the dotted key of the component, or "" for the top level of the configuration.
        ndim: the number of dimensions of each tensor. For R replicas, `ndim` 1 gives the shape [R]; `ndim` 2 gives
            [R, 1], to multiply parameters of shape [R, P]; `ndim` 3 gives [R, 1, 1], to multiply a penalty of shape
            [R, B, 1].
    """

    def tensor(values: Any) -> Any:
        is_list = isinstance(values, list)
        return torch.tensor(values, dtype=torch.float64).view(-1, *[1] * (ndim - 1)) if is_list else values

    numbers = {key.rpartition(".")[2]: value for key, value in lists.items() if key.rpartition(".")[0] == component}
    return {key: tuple(map(tensor, value)) if key == "betas" else tensor(value) for key, value in numbers.items()}


def _check_objects(gan: GAN, data: DataModule, terms: Sequence[str]) -> None:
    """Call the networks, losses, penalties, optimizers, update rule and schedule of a run, to find errors before it.

    The calls that could change an object use a copy of the object. The global random number generators keep their
    states.

    Args:
        terms: the names of the penalties in the configuration.
    """
    with isolate_rng(include_cuda=False):
        d = data.distribution.dim
        with naming_key("generator, discriminator"):
            twin = deepcopy(gan)
        check_networks(twin, data.latent_dim, d, build_networks(of_replica(gan.config, 0), d))
        check_objective(gan.game.objective, gan.replicas)
        check_penalties(dict(zip(terms, gan.game.penalties, strict=True)), twin, d)
        check_optimizers(gan)
        check_update(twin, data)
        if data.latents is not None:
            check_latents(data.latents, data)
        if gan.schedule is not None:
            check_schedule(gan.schedule)
    check_range(gan.config, data.examples())  # data.examples() raises an error if an example is not finite
