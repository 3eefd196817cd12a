"""A sweeper for Hydra, named "optuna". It searches for good settings with Optuna.

Hydra imports this file at every start, so slow imports are inside functions. The settings and what they mean are in
conf/hydra/sweeper/optuna.yaml.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class OptunaSweeper(Sweeper):
    """Search for good settings: ask Optuna for a generation of trials, launch them, tell Optuna the results."""

    def __init__(self, **settings: Any) -> None:
        pass  # `setup` reads and checks the settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from gaussgan.search.options import check_options

        settings: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        self.options = check_options(settings)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.parts = hydra_context, launcher, config

    def sweep(self, arguments: Sequence[str]) -> Any:
        try:
            from gaussgan.search.study import quiet
            from gaussgan.search.sweeper import Search
        except ModuleNotFoundError as error:
            from gaussgan.config.errors import ConfigError
            from gaussgan.search.options import INSTALL

            if error.name != "optuna":
                raise
            raise ConfigError(f"hydra/sweeper=optuna needs the package optuna: {INSTALL}") from error
        with quiet():
            return Search(*self.parts, self.options).sweep(arguments)
