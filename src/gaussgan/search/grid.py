"""A sampler of Optuna that goes through all combinations of a search space in order."""

from __future__ import annotations

from collections.abc import Callable
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
        self.size = prod(count for count, _ in self.values.values())

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        keys = [*self.values]
        faster = prod(self.values[key][0] for key in keys[keys.index(param_name) + 1 :])
        count, value = self.values[param_name]
        return value(trial.number // faster % count)


def _values(key: str, distribution: BaseDistribution) -> tuple[int, Callable[[int], Any]]:
    """Return the number of values, and a function that returns the i-th value. A long list would not fit in memory."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices), distribution.choices.__getitem__
    if isinstance(distribution, IntDistribution) and not distribution.log:
        numbers = range(distribution.low, distribution.high + 1, distribution.step)
        return 1 + (numbers[-1] - numbers[0]) // distribution.step, numbers.__getitem__
    if isinstance(distribution, FloatDistribution) and distribution.step:
        low, step = distribution.low, distribution.step
        return round((distribution.high - low) / step) + 1, lambda i: low + i * step
    raise ConfigError(
        f"hydra/sweeper/sampler=grid needs a list of values for {key}, as in choice(0.01,0.1) or range(1,8) (got an"
        " interval)"
    )
