"""From overrides, as on the command line, to the configuration of a run, and to parts of it."""

from __future__ import annotations

import os
import shlex
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf, open_dict

from gaussgan.config.compose import composing, conf_directory
from gaussgan.config.recipe import settings
from gaussgan.gan.updates import Update


def configured(overrides: str) -> DictConfig:
    """Return the configuration that overrides give, such as "experiment=dirac update=consensus". It writes no files."""
    with composing(conf_directory()):
        cfg = hydra.compose("train", shlex.split(overrides))
    with open_dict(cfg):
        cfg.run_dir, cfg.logger = os.devnull, None
    return cfg


def settings_of(overrides: str) -> dict[str, Any]:
    """Return the settings of a run with these overrides, which its record has; see `gaussgan.config.recipe`."""
    return settings(OmegaConf.to_container(configured(overrides), resolve=True))  # type: ignore[arg-type]


def rule_of(overrides: str) -> Update:
    """Return the update rule that overrides choose, such as "update=consensus update.weight=1"."""
    return hydra.utils.instantiate(configured(overrides)["update"])
