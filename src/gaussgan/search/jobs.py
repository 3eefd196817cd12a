"""Compose and check the configuration of a trial, and find the directory of a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, flag_override

from gaussgan.config.check import check, translating_omegaconf_errors
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.recipe import settings
from gaussgan.sweep.composing import Composer
from gaussgan.sweep.jobs import hydra_config


class Composed(NamedTuple):
    """A checked configuration of one run.

    Attributes:
        composed: the configuration, including Hydra's own.
        config: the configuration as plain dicts and lists, with interpolations resolved, without Hydra's own.
    """

    composed: DictConfig
    config: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that determine the run, except its seeds."""
        return {key: value for key, value in settings(self.config).items() if key not in ("seed", "data.seed")}


class Jobs:
    """Composes the configurations of the trials of a search.

    Args:
        context: Hydra's context.
        config: the configuration of the sweep, including Hydra's own configuration.
    """

    def __init__(self, context: HydraContext, config: DictConfig) -> None:
        self.loader, self.config = Composer(context.config_loader), config

    def compose(self, overrides: Sequence[str]) -> Composed:
        """Compose and check the configuration of one run.

        Raises:
            ConfigError: when the configuration is wrong.
        """
        try:
            composed = self.loader.load_sweep_config(self.config, [*overrides])
        except HydraException as error:
            raise ConfigError(one_line(error)) from error
        with hydra_config(composed), translating_omegaconf_errors():
            with flag_override(composed, ["struct", "readonly"], False):
                task = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
            task.run_dir = "."
            check(task)
            config: dict[str, Any] = OmegaConf.to_container(task, resolve=True)  # type: ignore[assignment]
        return Composed(composed, config)

    def value(self, default: Composed, key: str) -> Any:
        """Return the value of a key of the search space in a configuration, as the space writes it."""
        name = key.lstrip("+")
        if name in (choices := default.composed.hydra.runtime.choices):
            return choices[name]
        value = OmegaConf.select(OmegaConf.create(default.config), name)
        if OmegaConf.is_config(value):
            return str(OmegaConf.to_container(value)).replace(" ", "")
        return "null" if value is None else value

    def options(self, group: str) -> list[str]:
        """Return the options of a config group; an empty list if there is no such group."""
        options: list[str] = self.loader.get_group_options(group.partition("@")[0])
        return options

    def directory(self, returned: JobReturn, number: int) -> Path:
        """Return the directory of a job that has ended."""
        if returned.hydra_cfg is not None:
            return Path(returned.hydra_cfg.hydra.runtime.output_dir)
        return Path(str(self.config.hydra.sweep.dir), str(number))
