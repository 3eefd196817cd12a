"""Select the entries of a configuration that affect the result of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gaussgan.config.compile_mode import typed_mode
from gaussgan.config.dotted import flatten, whole_as_int
from gaussgan.config.init_from import without_defaults
from gaussgan.config.schema import KEYS

NO_EFFECT = (
    "trainer.", "logger.", "callbacks.", "threads", "ckpt_path", "run_dir", "tags", "data.steps_per_execution",
    "evaluate_every",
)  # fmt: skip


def recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a configuration that affect the result of a run, as a flat dict with dotted keys.

    The result is the trained networks. `evaluate_every` does not affect it: it chooses the epochs that are measured,
    and so the rows of history.csv and the epochs of which best.ckpt is the best. A resumed run may change it.
    A run that starts from another run is identified by the path of that run, not by its content.
    """
    flat = flatten({key: value for key, value in config.items() if key in KEYS})  # only interpolations use other keys
    flat |= {"compile": typed_mode(flat["compile"])} if "compile" in flat else {}
    flat = without_defaults(flat)
    if "discriminator._target_" in flat:
        flat.setdefault("discriminator.packing", 1)  # of a run of an earlier version
    return {key: flat[key] for key in flat if key == "trainer.precision" or not key.startswith(NO_EFFECT)}


LENGTH = ("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "fast_dev_run")  # arguments of the trainer


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a configuration that determine a run, as a flat dict with dotted keys.

    Two runs with equal settings are the same run. The settings are the recipe, the arguments of the trainer that limit
    the length of the run, `evaluate_every` unless it is null, the callbacks that do not belong to this package, because
    such a callback may change the training, and the checkpoint from which the run started, unless it is the run's own
    checkpoint. In the arguments of these callbacks, "${run_dir}" stands for the run's directory.

    Args:
        config: the configuration as plain dicts and lists, with interpolations resolved.
    """
    trainer = {key: config["trainer"][key] for key in LENGTH if config["trainer"].get(key) is not None}
    foreign = {
        name: callback
        for name, callback in config["callbacks"].items()
        if isinstance(callback, Mapping) and not str(callback.get("_target_")).startswith("gaussgan.")
    }
    foreign = _without_directory(foreign, str(config["run_dir"]))
    start = config["ckpt_path"]
    if start is None or Path(config["run_dir"]).resolve() in Path(start).resolve().parents:
        start = None
    more = {"evaluate_every": config.get("evaluate_every"), "ckpt_path": None if start is None else str(start)}
    more = {key: value for key, value in more.items() if value is not None}
    return {**recipe(config), **flatten({"trainer": trainer, "callbacks": foreign, **more})}


def _without_directory(value: Any, directory: str) -> Any:
    """Replace the directory of a run, in all texts of a nested value, by "${run_dir}"."""
    if isinstance(value, Mapping):
        return {key: _without_directory(entry, directory) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_directory(entry, directory) for entry in value]
    return value.replace(directory, "${run_dir}") if isinstance(value, str) else value


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal settings. A whole number equals the same number as a float: 1 and 1.0."""
    return json.dumps(whole_as_int(settings), sort_keys=True, default=str)


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
