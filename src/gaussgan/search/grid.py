"""A sampler of Optuna that goes through all combinations of a search space in order."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from gaussgan.config.errors import ConfigError


class Grid(BaseSampler):
    """Give trial number n the n-th combination of all values. The last key changes fastest.

    Optuna's own GridSampler draws the combinations in random order.

    Args:
        space: the search space. Each distribution must have finitely many values.
        seed: ignored. Every sampler has this argument.

    Raises:
        ConfigError: when a distribution is an interval of real numbers.
    """

    def __init__(self, space: dict[str, BaseDistribution], seed: int | None = None) -> None:
        self.values = {key: _values(key, distribution) for key, distribution in space.items()}

    def __len__(self) -> int:
        return prod(len(values) for values in self.values.values())

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        combination = [*product(*self.values.values())][trial.number % len(self)]
        return dict(zip(self.values, combination, strict=True))[param_name]


def _values(key: str, distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return [*distribution.choices]
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return [*range(distribution.low, distribution.high + 1, distribution.step)]
    if isinstance(distribution, FloatDistribution) and distribution.step:
        steps = round((distribution.high - distribution.low) / distribution.step)
        return [distribution.low + i * distribution.step for i in range(steps + 1)]
    raise ConfigError(
        f"hydra/sweeper/sampler=grid needs a list of values for {key}, as in choice(0.01,0.1) or range(1,8) (got an"
        " interval)"
    )
