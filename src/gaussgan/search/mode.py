"""Choose one mode, compiled or eager, for all trials of a search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from optuna.distributions import CategoricalDistribution

from gaussgan.config.compile_mode import typed_mode
from gaussgan.config.errors import ConfigError
from gaussgan.runs.directory import run_directories
from gaussgan.search.jobs import Composed
from gaussgan.search.recipes import Recipes
from gaussgan.search.space import Space
from gaussgan.sweep.modes import Kind, mode_of

KEY = "compile"


def with_one_mode(space: Space, recipes: Recipes, runs: int, directory: Path) -> Space:
    """Return a search space in which compile=auto is replaced by the mode that all trials have.

    Args:
        space: the search space.
        recipes: the recipes of the search.
        runs: the number of runs of all trials.
        directory: the directory of the search. If it holds runs, their mode is kept.

    Raises:
        ConfigError: when the search asks for an explanation.
    """
    typed = typed_mode(recipes.default.config[KEY])
    if typed == "explain":
        raise ConfigError("compile must be auto, on or off in a search (got explain)")
    if typed != "auto" or KEY in space.distributions:
        return space
    kinds = [Kind(recipes.default.composed, runs, "the default recipe"), *_choices(space, recipes)]
    mode = mode_of(kinds, run_directories(directory), not recipes.config.hydra.launcher.get("dry_run"))
    fixed = [line for line in space.fixed if line.partition("=")[0] != KEY]
    return space._replace(fixed=[*fixed, f"{KEY}={mode}"])


def _choices(space: Space, recipes: Recipes) -> Iterator[Kind]:
    """Yield the default recipe with each choice of each config group that is searched, to try whether it compiles."""
    groups = recipes.default.composed.hydra.runtime.choices
    for key, distribution in space.distributions.items():
        for choice in distribution.choices if isinstance(distribution, CategoricalDistribution) else ():
            if key in groups:
                with suppress(ConfigError):  # the trial itself reports it
                    chosen: Composed = recipes.jobs.choose((*space.fixed, f"{key}={choice}"))
                    yield Kind(chosen.composed, 0, f"{key}={choice}")
