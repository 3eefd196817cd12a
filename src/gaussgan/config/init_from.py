"""The keys init_from, init_replica and init_optimizers, by which a run starts from the networks of another run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gaussgan.config.errors import ConfigError

LAST = "checkpoints/last.ckpt"  # in the directory of a run
DEFAULTS = {"init_from": None, "init_replica": None, "init_optimizers": "fresh"}


def checkpoint_of(path: str) -> Path:
    """Return the checkpoint file to which `init_from` points: the last checkpoint of a run, or the file itself."""
    return Path(path) / LAST if Path(path).is_dir() else Path(path)


def canonical(path: str) -> str:
    """Return one absolute path for all texts that name the same run, whether it still exists or not.

    RUN and RUN/checkpoints/last.ckpt name the same run.
    """
    absolute, last = Path(os.path.abspath(path)), Path(LAST).parts  # noqa: PTH100 (no links, no ..)
    return str(absolute.parents[len(last) - 1] if absolute.parts[-len(last) :] == last else absolute)


def without_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a flat configuration without those of the three keys that have no effect.

    In the result, the value of `init_from` is its canonical path.
    """
    start = config.get("init_from")
    if start is None:
        return {key: value for key, value in config.items() if key not in DEFAULTS}
    kept = {key: value for key, value in config.items() if key not in DEFAULTS or value != DEFAULTS[key]}
    return {**kept, "init_from": canonical(start)}


def check_init_from(cfg: DictConfig) -> None:
    """Check that init_from names a checkpoint, and that the other two keys are set only together with it.

    If the run is resumed, the checkpoint of init_from need not exist any more.

    Raises:
        ConfigError: when this is not so.
    """
    if cfg.init_from is None:
        for key, default in DEFAULTS.items():
            if cfg[key] != default:
                raise ConfigError(f"{key} needs init_from=RUN, the run from which this run starts (got {cfg[key]})")
    elif cfg.ckpt_path is None and not checkpoint_of(cfg.init_from).is_file():
        is_directory = Path(cfg.init_from).is_dir()
        hint = f"; the directory has no {LAST}" if is_directory else ""
        raise ConfigError(
            f"init_from must be null, or the path of a run or of a checkpoint (got {cfg.init_from!r}{hint})"
        )
