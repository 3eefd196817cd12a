"""Try whether a run can be compiled, and explain what `compile=auto` does with it. No file is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override

from gaussgan.compile.errors import NotCompiled
from gaussgan.compile.program import Program
from gaussgan.config.compile_mode import ALL_ITERATIONS, RUN_ITERATIONS, planned_length
from gaussgan.data.source import counted
from gaussgan.gan.compiled import CompiledIterations
from gaussgan.gan.module import GAN
from gaussgan.setup.assemble import assemble
from gaussgan.setup.compiling import CannotCompile, Mode, choose_mode, compile_run


def explain(cfg: DictConfig) -> Iterator[str]:
    """Yield lines that say which mode `auto` chooses for a run, and why.

    Raises:
        ConfigError: when the configuration is wrong.
    """
    config: Any = OmegaConf.to_container(_bare(cfg, compile="auto"), resolve=True)
    replicas, iterations = planned_length(counted(config))
    mode = choose_mode(config)
    if mode.kept is None:
        of = f" × {replicas:,} replicas" if replicas > 1 else ""
        yield f"auto chooses {mode.value} for {iterations:,} iterations{of}"
        yield f"it chooses on for at least {RUN_ITERATIONS:,} iterations, or {ALL_ITERATIONS:,} iterations × replicas"
    else:
        yield f"auto keeps the mode of the checkpoint, which is {mode.value}"
    try:
        yield f"this run can be compiled {try_to_compile(cfg).train_block.backend}"
    except CannotCompile as error:
        falls_back = "; auto falls back to off" if mode.value == "on" and not mode.fixed else ""
        yield f"this run cannot be compiled, because {error.reason}{falls_back}"


def try_to_compile(cfg: DictConfig, build: bool = True) -> GAN:
    """Make the networks of a run, and compile it. The run has no loggers, and cannot write files.

    Args:
        build: false to check only that it can be compiled.

    Raises:
        CannotCompile: when the run cannot be compiled.
        ConfigError: when the run cannot be made.
    """
    gan, data, trainer = assemble(_bare(cfg, compile="off", ckpt_path=None, init_from=None))
    compile_run(Mode("on"), gan, data, trainer, build)
    return gan


def programs(cfg: DictConfig) -> list[Program]:
    """Return the C programs that train a run, before they are built. For the errors see `try_to_compile`."""
    gan, data, _ = assemble(_bare(cfg, compile="off", ckpt_path=None, init_from=None))
    try:
        compiled = CompiledIterations(gan, data.example_batches())
        return [each for each in compiled.programs.values() if isinstance(each, Program)]
    except NotCompiled as error:
        raise CannotCompile(f"compile must be off for this run, because {error}", str(error)) from error


def _bare(cfg: DictConfig, **own: Any) -> DictConfig:
    """Return a copy of a configuration, with some values of its own, without Hydra's section, and without files."""
    with flag_override(cfg, ["struct", "readonly"], False):
        task = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    with flag_override(task, ["struct", "readonly"], False):
        callbacks = {"evaluation": task.callbacks.evaluation}
        for key, value in {**own, "callbacks": callbacks, "logger": None, "run_dir": os.devnull}.items():
            task[key] = value
    return task
