"""From the values of trials to programs: which overrides a trial has, and which trials train together."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig

from gaussgan.config.errors import ConfigError
from gaussgan.search.jobs import Jobs
from gaussgan.search.space import Space
from gaussgan.search.trials import Program, programs

DEFAULT = -1  # stands for the default recipe, where others have the number of a trial


class Recipes:
    """The recipes of a search: the default recipe, and those that the search space describes.

    Args:
        context: Hydra's context.
        config: the configuration of the sweep, including Hydra's own configuration.
        space: the search space.

    Raises:
        ConfigError: when the default recipe is wrong. It has the overrides that all trials share.
    """

    def __init__(self, context: HydraContext, config: DictConfig, space: Space) -> None:
        self.config, self.space, self.jobs = config, space, Jobs(context, config)
        self.default = self.jobs.compose(space.fixed)
        self.first = self.jobs.values(self.default, space.distributions)  # the values of the default recipe
        self._configs: dict[tuple[str, ...], dict[str, Any]] = {}

    def lines(self, values: Mapping[str, Any]) -> list[str]:
        """Return the overrides of a trial, without those that all trials share.

        A value is left out if the trial has no such key: penalty=none has no penalty.weight.
        """
        groups = {key: value for key, value in values.items() if key in self.default.composed.hydra.runtime.choices}
        chosen = self.jobs.choose((*self.space.fixed, *self.space.lines(groups)))
        present = {key: value for key, value in values.items() if key in groups or key[0] == "+" or chosen.has(key)}
        return self.space.lines(present)

    def programs(
        self, values: Mapping[int, Mapping[str, Any]], seeds: Sequence[int]
    ) -> tuple[list[Program], dict[int, str]]:
        """Return the programs that train some trials, and one line for each trial whose configuration is refused.

        Args:
            values: maps the number of each trial to its values. The number DEFAULT stands for the default recipe.
            seeds: the seeds with which each trial is trained.
        """
        overrides, configs, refused = {}, {}, {}
        for number, each in values.items():
            try:
                overrides[number] = [*self.space.fixed, *([] if number == DEFAULT else self.lines(each))]
                configs[number] = self._config(tuple(overrides[number]))
            except ConfigError as error:
                refused[number] = str(error)
        return programs(configs, overrides, seeds), refused

    def command(self, values: Mapping[str, Any]) -> str:
        """Return the command line that trains the recipe of a trial once."""
        # An experiment can make the command a search. Then the command for one run must say that it is not.
        typed = "hydra.mode=MULTIRUN" in self.config.hydra.overrides.hydra
        lines = [*([] if typed else ["hydra.mode=RUN"]), *self.space.fixed, *self.lines(values)]
        return f"python scripts/train.py {' '.join(map(shlex.quote, lines))}"

    def _config(self, lines: tuple[str, ...]) -> dict[str, Any]:
        if lines not in self._configs:
            if len(self._configs) > 10_000:
                self._configs.clear()
            self._configs[lines] = self.jobs.compose(lines).config
        return self._configs[lines]
