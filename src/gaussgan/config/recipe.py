"""Select the entries of a configuration that affect the result of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gaussgan.config.dotted import flatten
from gaussgan.config.schema import KEYS

NO_EFFECT = (
    "trainer.", "logger.", "callbacks.", "threads", "ckpt_path", "run_dir", "tags", "data.steps_per_execution",
)  # fmt: skip


def recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a configuration that affect the result of a run, as a flat dict with dotted keys."""
    flat = flatten({key: value for key, value in config.items() if key in KEYS})  # only interpolations use other keys
    return {key: flat[key] for key in flat if key == "trainer.precision" or not key.startswith(NO_EFFECT)}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the entries that affect the result of a run and that differ between two configurations.

    Args:
        theirs: the first configuration.
        ours: the second configuration.

    Returns:
        A dict from dotted keys to (value in `theirs`, value in `ours`). A missing value is None.
    """
    a, b = recipe(theirs), recipe(ours)
    return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}


def hyperparameters(config: Mapping[str, Any], first_keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return the entries of a configuration that a dashboard shows, as a flat dict with dotted keys.

    These are the entries that affect the result of a run, and the tags of the run. A component appears as the name of
    its class. The class of the data module and entries that usually repeat others, such as data.seed, are left out.

    Args:
        first_keys: dotted keys to list first, right after the tags. Their subkeys come next. A first key is listed even
            if it does not affect the result, unless it belongs to a logger or a callback or is ckpt_path or run_dir.
    """
    flat = flatten(config)
    others = {key for key in first_keys if not key.startswith(("logger.", "callbacks.", "ckpt_path", "run_dir"))}
    flat = {key: value for key, value in flat.items() if key in others} | recipe(config)
    flat = {key: value for key, value in flat.items() if not key.endswith("_partial_")}
    named = {key.removesuffix("._target_"): v.rpartition(".")[2] for key, v in flat.items() if key.endswith("_target_")}
    values = {key: value for key, value in flat.items() if not key.endswith("_target_")}
    tags = {"tags": ", ".join(config["tags"])} if config.get("tags") else {}
    numbers = {"seed": config["seed"], **named, **values, **tags}
    below = (key for key in numbers if key.startswith(tuple(f"{each}." for each in first_keys)))
    ordered = dict.fromkeys([*tags, *(key for key in first_keys if key in numbers), *below, *numbers])
    return {key: numbers[key] for key in ordered if key not in ("data", "data.seed", "data.latent_dim")}
