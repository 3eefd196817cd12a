"""The entries of a configuration that affect a result, compared and listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gaussgan.config.dotted import flatten
from gaussgan.config.schema import KEYS


def recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's result is a function of, as one level of dotted keys: not where, how fast or beside what it runs."""
    beside = (
        "trainer.",
        "logger.",
        "callbacks.",
        "threads",
        "ckpt_path",
        "run_dir",
        "tags",
        "data.steps_per_execution",
    )
    flat = flatten({key: value for key, value in config.items() if key in KEYS})  # others are interpolated
    return {key: flat[key] for key in flat if key == "trainer.precision" or not key.startswith(beside)}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The dotted keys in which the recipes of two configurations differ, with the values of either."""
    one, other = recipe(theirs), recipe(ours)
    return {key: (one.get(key), other.get(key)) for key in {**one, **other} if one.get(key) != other.get(key)}


def hyperparameters(config: Mapping[str, Any], first: Sequence[str] = ()) -> dict[str, Any]:
    """A recipe as a dashboard shows it, with the tags: classes by their names, and nothing that follows from another
    key.

    Args:
        first: dotted keys that come first, also where they are outside of the recipe, and then the keys below them.
    """
    flat = flatten(config)
    others = {key for key in first if not key.startswith(("logger.", "callbacks.", "ckpt_path", "run_dir"))}
    flat = {key: value for key, value in flat.items() if key in others} | recipe(config)
    flat = {key: value for key, value in flat.items() if not key.endswith("_partial_")}
    named = {key.removesuffix("._target_"): v.rpartition(".")[2] for key, v in flat.items() if key.endswith("_target_")}
    values = {key: value for key, value in flat.items() if not key.endswith("_target_")}
    tags = {"tags": ", ".join(config["tags"])} if config.get("tags") else {}
    numbers = {"seed": config["seed"], **named, **values, **tags}
    below = (key for key in numbers if key.startswith(tuple(f"{each}." for each in first)))
    ordered = dict.fromkeys([*tags, *(key for key in first if key in numbers), *below, *numbers])
    return {key: numbers[key] for key in ordered if key not in ("data", "data.seed", "data.latent_dim")}
