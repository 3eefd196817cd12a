"""The entries of a configuration that affect a run's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gaussgan.config.dotted import flatten
from gaussgan.config.schema import KEYS

NO_EFFECT = (
    "trainer.", "logger.", "callbacks.", "threads", "ckpt_path", "run_dir", "tags", "data.steps_per_execution",
)  # fmt: skip


def recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the entries that affect the result, as one level of dotted keys."""
    flat = flatten({key: value for key, value in config.items() if key in KEYS})  # other keys feed interpolations
    return {key: flat[key] for key in flat if key == "trainer.precision" or not key.startswith(NO_EFFECT)}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys in which two recipes differ, with both values."""
    one, other = recipe(theirs), recipe(ours)
    return {key: (one.get(key), other.get(key)) for key in {**one, **other} if one.get(key) != other.get(key)}


def hyperparameters(config: Mapping[str, Any], first: Sequence[str] = ()) -> dict[str, Any]:
    """Return a recipe and its tags for a dashboard. Classes are given by their names; derived entries are left out.

    Args:
        first: dotted keys that come first, each with the keys below it. They may be outside of the recipe.
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
