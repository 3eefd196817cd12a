"""Compose and check the configuration of a trial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, flag_override

from gaussgan.config.check import check, translating_omegaconf_errors
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.recipe import settings
from gaussgan.search.space import text
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

    def has(self, key: str) -> bool:
        """Return whether the configuration has a dotted key."""
        return OmegaConf.select(self.composed, key, default=_MISSING) is not _MISSING

    def value(self, key: str) -> Any:
        """Return the value of a dotted key as plain dicts and lists."""
        with hydra_config(self.composed):
            value = OmegaConf.select(self.composed, key)
            return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that determine the run, except its seeds."""
        return {key: value for key, value in settings(self.config).items() if key not in ("seed", "data.seed")}


_MISSING = object()


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
                composed.run_dir = "."
            check(composed)
            task = {str(key): composed[key] for key in composed if key != "hydra"}
            config = {
                key: OmegaConf.to_container(v, resolve=True) if OmegaConf.is_config(v) else v for key, v in task.items()
            }
        return Composed(composed, config)

    @cache  # noqa: B019 (an object of this class lives as long as the process)
    def choose(self, overrides: tuple[str, ...]) -> Composed:
        """Compose a configuration like `compose`, and remember it."""
        return self.compose(overrides)

    def values(self, default: Composed, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys of a search space that exist in a configuration, as the space writes them."""
        values = {}
        for key in keys:
            if key in (choices := default.composed.hydra.runtime.choices):
                values[key] = choices[key]
            elif default.has(key):
                value = default.value(key)
                values[key] = value if isinstance(value, int | float) else text(value)
        return values

    def options(self, group: str) -> list[str]:
        """Return the options of a config group; an empty list if there is no such group."""
        options: list[str] = self.loader.get_group_options(group.partition("@")[0])
        return options
