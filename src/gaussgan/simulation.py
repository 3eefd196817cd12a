"""Train runs with many seeds from Python, and return their measures and parameters as tensors. No file is written."""

from __future__ import annotations

import operator
import os
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import hydra
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.cli.hints import explain
from gaussgan.config.check import check
from gaussgan.config.compose import composing, conf_directory
from gaussgan.config.errors import ConfigError
from gaussgan.data.datamodule import DataModule
from gaussgan.evaluation.baseline import mle_w2
from gaussgan.gan.module import GAN
from gaussgan.runs.signals import noting, received, stopped_by
from gaussgan.setup.assemble import assemble
from gaussgan.train import fit

NO_FILES = "simulate writes no files"
REFUSED = {  # keys that would be ignored, and why
    **dict.fromkeys(("logger", "callbacks", "run_dir", "ckpt_path", "tags"), NO_FILES),
    **dict.fromkeys(("seed", "replicas"), "the argument seeds sets it"),
    "hydra": f"{NO_FILES} and runs one job",
}


@dataclass(frozen=True)
class Simulation:
    """The results of R runs that differ in their seeds, and in the numbers that were given as lists.

    All tensors are on the CPU. E is the number of epochs that were evaluated; see the setting `evaluate_every`.

    Args:
        seeds: the seeds of the R runs.
        iterations: the number of iterations after each evaluated epoch, [E].
        measures: maps the name of each measure, such as val/w2 or train/loss_d, to its values after each evaluated
            epoch, [R, E], in float64. From the epoch in which a run diverged on, its values are NaN. Measures of
            densities, such as val/js, are NaN where they were not measured; see `all_densities` of `Evaluation`.
        baseline: the W₂ distance of a maximum-likelihood fit to the same examples from the true distribution, [R]; None
            if the data are not Gaussian.
        diverged_at: the iteration at which each run diverged, [R]; 0 for a run that did not.
        parameters: maps the names of the networks' trained parameters and buffers, such as generator.weight, to their
            values, [R, ...].
        config: the configuration of the runs as plain dicts and lists.
    """

    seeds: list[int]
    iterations: Tensor
    measures: dict[str, Tensor]
    baseline: Tensor | None
    diverged_at: Tensor
    parameters: dict[str, Tensor]
    config: dict[str, Any]


def simulate(overrides: Sequence[str] = (), seeds: Iterable[int] = (0,)) -> Simulation:
    """Train one run for each seed, all together, and return the results. No file is written.

    The numbers are the same as those of `python scripts/train.py replicas=R 'seed=[…]' OVERRIDES` with the same seeds.

    Args:
        overrides: overrides of the configuration as on the command line, such as ["optimizer_d.lr=0.1"]. A number that
            may differ between replicas may be a list with one entry for each seed. An override that would have no
            effect is refused, such as a logger or a directory.
        seeds: the seeds of the R runs. A seed may occur several times.

    Raises:
        ConfigError: when an override or a seed is wrong. The message is one line.
        KeyboardInterrupt: when a signal such as Ctrl-C stopped the training.
    """
    cfg = _compose(overrides, _whole_numbers(seeds))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(cfg.threads or 1)
        with isolate_rng(include_cuda=False):  # making networks draws numbers that are not used
            gan, data, trainer = assemble(cfg)
            if trainer.world_size > 1:
                raise ConfigError(f"trainer.devices must be 1: simulate uses one process (got {trainer.world_size})")
            with noting():
                fit(gan, data, trainer)
    except SystemExit as error:  # raised by the handlers of signals; in a notebook it would look like an exit
        if signum := received():
            raise KeyboardInterrupt(stopped_by(signum)) from error
        raise
    finally:
        torch.set_num_threads(threads)
    return _results(gan, data, trainer)


def _results(gan: GAN, data: DataModule, trainer: Trainer) -> Simulation:
    history = evaluation_of(trainer).history
    tags = [tag for tag in history[0] if not tag.startswith(("iteration", "epoch", "perf/"))] if history else []
    rows = {tag: [torch.as_tensor(row[tag], dtype=torch.float64).reshape(-1).cpu() for row in history] for tag in tags}
    baseline = mle_w2(data, trainer.global_step)
    lost = torch.zeros(gan.replicas, dtype=torch.int64)
    for i, error in gan.diverged.items():
        lost[i] = error.iteration
    state = {name.replace("stacked.", "", 1): value.detach().cpu().clone() for name, value in gan.state_dict().items()}
    return Simulation(
        seeds=data.seeds,
        iterations=torch.tensor([row["iteration"] for row in history], dtype=torch.int64),
        measures={tag: torch.stack(values, 1) for tag, values in rows.items()},
        baseline=None if baseline is None else baseline.reshape(-1),
        diverged_at=lost,
        parameters=state if gan.replicas > 1 else {name: value.unsqueeze(0) for name, value in state.items()},
        config=gan.config,
    )


def _compose(overrides: Sequence[str], seeds: list[int]) -> DictConfig:
    """Return the configuration of a run with these seeds, without loggers and with the evaluation as only callback."""
    lines = _allowed(overrides)
    with composing(directory := conf_directory()):
        try:
            cfg = hydra.compose("train", lines)
            with open_dict(cfg):
                cfg.run_dir = os.devnull  # nothing can be written there
                cfg.replicas, cfg.seed = len(seeds), seeds if len(seeds) > 1 else seeds[0]
            check(cfg)
        except (HydraException, OmegaConfBaseException) as error:
            GlobalHydra.instance().clear()  # `explain` composes again
            typed = Namespace(overrides=lines, multirun=False, config_dir=None)
            raise ConfigError(explain(error, typed, str(directory), "train")) from error
    for name, callback in cfg.callbacks.items():
        if not str(callback["_target_"]).startswith("gaussgan."):
            raise ConfigError(f"callbacks.{name}: simulate has no callbacks (got {callback['_target_']})")
    for key in ("ckpt_path", "trainer.profiler"):  # an experiment may set them
        if (value := OmegaConf.select(cfg, key)) is not None:
            raise ConfigError(f"{key} must be null: {NO_FILES} and reads none (got {value})")
    with open_dict(cfg):
        cfg.callbacks = {"evaluation": cfg.callbacks.evaluation}
        cfg.logger, cfg.trainer.enable_checkpointing = None, False
    return cfg


def _allowed(overrides: Sequence[str]) -> list[str]:
    """Check that overrides are texts, that none is a sweep, and that none would be ignored. Return them as a list."""
    if isinstance(overrides, str) or not all(isinstance(line, str) for line in overrides):
        raise ConfigError(f"overrides must be a list of texts, such as ['optimizer_d.lr=0.1'] (got {overrides!r})")
    for line in overrides:
        try:
            override = OverridesParser.create().parse_override(line)
        except HydraException:  # Hydra raises this error again when it composes the configuration
            continue
        if override.is_sweep_override():
            raise ConfigError(f"{line} gives several values: put a list with a number for each seed in brackets")
        key = override.key_or_group.replace("/", ".")
        for refused, why in REFUSED.items():
            if f"{key}.".startswith(f"{refused}.") and not key.startswith("callbacks.evaluation."):
                raise ConfigError(f"{key} must not be set: {why} (got {line})")
    return [*overrides]


def _whole_numbers(seeds: Iterable[int]) -> list[int]:
    try:
        numbers = [operator.index(seed) for seed in seeds]
    except TypeError:
        raise ConfigError(f"seeds must be a list of whole numbers, such as range(100) (got {seeds!r:.80})") from None
    if not numbers:
        raise ConfigError("seeds must be a list of at least one whole number (got none)")
    return numbers
