"""Convert between the configuration of R replicas and the configurations of R single runs.

In the configuration of R replicas, a list with R numbers takes the place of a number that differs between replicas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from fnmatch import fnmatch
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from gaussgan.config.dotted import flatten, set_key
from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import fingerprint

UPDATE = ("weight", "k", "alpha", "damping")  # of an update rule, and of the rules in it
PER_REPLICA = (
    "seed", "data.seed", "data.instance_noise", "generator.std", "generator.mean", "discriminator.std",
    "discriminator.mean", "penalty.weight", "penalty.*.weight", "player_?.clip_gradient",
    "player_?.clip_weights", "optimizer_?.lr", "optimizer_?.eps", "optimizer_?.momentum", "optimizer_?.alpha",
    "optimizer_?.betas", "optimizer_?.betas.?", "ema_half_life",
    *(f"update.{key}" for key in UPDATE), *(f"update.*.{key}" for key in UPDATE),
)  # fmt: skip
SEEDS = ("seed", "data.seed")


@cache
def may_vary(key: str) -> bool:
    """Return whether the value of a dotted key may differ between replicas.

    The value is then a list with one number for each replica. The key `betas` of an optimizer always has the value
    [β₁, β₂], in which β₁ and β₂ may be such lists. With [[0, 0.5], 0.9], the first replica has β₁ = 0, the second
    replica has β₁ = 0.5, and both have β₂ = 0.9.
    """
    return any(fnmatch(key, pattern) for pattern in PER_REPLICA)


def entries(key: str, value: Any, replicas: int) -> list[Any]:
    """Return the values that a key has in the replicas: a list with one value for each replica.

    If all replicas share one value, return a list with only this value.

    Args:
        key: a dotted key.
        value: the value of the key in the configuration of all replicas.
        replicas: the number of replicas.

    Raises:
        ConfigError: when `value` is a list of numbers for the replicas, but its length is not the number of replicas.
    """
    if replicas == 1 or not (may_vary(key) and _varies(key, value)):
        return [value]
    for entry in value if key.endswith(".betas") else [value]:
        if isinstance(entry, list) and len(entry) != replicas:
            raise ConfigError(f"{key} must have one entry for each of replicas={replicas} (got {len(entry)})")
    return [_entry(key, value, i) for i in range(replicas)]


def seeds(config: Mapping[str, Any]) -> list[int]:
    """Return a list with the seed of each replica.

    If the entry `seed` of the configuration is a list, return this list. If the entry is a number s, return
    [s, s + 1, …], with one seed for each replica.
    """
    seed = config["seed"]
    return seed if isinstance(seed, list) else [seed + i for i in range(config["replicas"])]


def varying(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return those entries of a configuration, except seeds, that have one value for each replica.

    Returns:
        A dict from dotted keys to values. Each value is a list with one number for each replica. The value of `betas`
        is a list of two entries, and at least one of these is such a list.
    """
    flat = flatten(config)
    return {key: value for key, value in flat.items() if key not in SEEDS and may_vary(key) and _varies(key, value)}


class Group(NamedTuple):
    """Runs, or replicas, with equal settings.

    Args:
        settings: maps the dotted keys of those settings that differ between groups to their values in this group.
        members: the indices of the runs or replicas, in ascending order.
    """

    settings: dict[str, Any]
    members: list[int]


def grouped(settings: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Divide runs into groups with equal settings. The groups are in the order of their first runs.

    If the weight of all penalties differs between runs, the weight of each penalty repeats it and is left out of the
    settings of a group.

    Args:
        settings: for each run, its settings as a flat dict with dotted keys. Leave out the seeds to pool them. A
            missing value counts as None.
    """
    keys = [
        key for key in dict.fromkeys(chain(*settings)) if any(run.get(key) != settings[0].get(key) for run in settings)
    ]
    rows = [[run.get(key) for key in keys] for run in settings]
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(fingerprint({"": row}), []).append(i)
    columns = dict(zip(keys, zip(*rows, strict=True), strict=True))
    own = [key for key in keys if columns.get(_of_all(key), ()) != columns[key]]
    return [Group({key: columns[key][members[0]] for key in own}, members) for members in groups.values()]


def replica_groups(config: Mapping[str, Any]) -> list[Group]:
    """Divide the replicas of a run into groups with equal settings. Replicas of a group differ only in their seeds.

    Args:
        config: the configuration of R replicas, as nested dicts or as a flat dict with dotted keys.
    """
    own = {key: entries(key, value, config["replicas"]) for key, value in varying(config).items()}
    return grouped([{key: values[i] for key, values in own.items()} for i in range(config["replicas"])])


def pairing_seeds(config: Mapping[str, Any]) -> list[int]:
    """Return a list of seeds with which groups of replicas, of different settings, have the same seeds.

    Return an empty list if all replicas have the same settings, or if the user gave a list of seeds.

    Args:
        config: the configuration of R replicas.
    """
    groups = replica_groups(config)
    if isinstance(config["seed"], list) or len(groups) == 1:
        return []
    rank = {i: rank for group in groups for rank, i in enumerate(group.members)}
    return [config["seed"] + rank[i] for i in range(config["replicas"])]


def of_replica(config: Mapping[str, Any], i: int) -> dict[str, Any]:
    """Return the configuration of the single run that has the same settings and seed as replica i.

    Args:
        config: the configuration of R replicas.
        i: the index of the replica, from 0 to R − 1.
    """
    single: dict[str, Any] = deepcopy(dict(config))
    for key, value in varying(config).items():
        set_key(single, key, _entry(key, value, i))
    seed = config["seed"]
    for key in SEEDS:
        set_key(single, key, seed[i] if isinstance(seed, list) else seed + i)
    single["replicas"] = 1
    return single


def together(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one configuration that trains several single runs together, as replicas.

    Args:
        configs: the configurations of the single runs. The function `structure` must return the same text for each.
    """
    joint: dict[str, Any] = deepcopy(dict(configs[0]))
    flats = [flatten(config) for config in configs]
    for key, first in flats[0].items():
        values = [flat[key] for flat in flats]
        if key in SEEDS:
            set_key(joint, key, values)
        elif may_vary(key) and any(value != first for value in values):
            betas = key.endswith(".betas")
            set_key(joint, key, [list(beta) for beta in zip(*values, strict=True)] if betas else values)
    joint["replicas"] = len(configs)
    return joint


def structure(config: Mapping[str, Any]) -> str:
    """Return a text that is equal for two single runs if they can be trained together, as replicas of one run.

    The text contains all entries of the configuration. Each number that may differ between replicas is replaced by a
    placeholder.

    Args:
        config: the configuration of a single run.
    """
    shared = {key: _shape(value) if may_vary(key) else value for key, value in flatten(config).items()}
    return json.dumps(shared, sort_keys=True, default=str)


def _of_all(key: str) -> str:
    """Return the key that sets an entry of all penalties: "penalty.weight" for the key "penalty.r1.weight"."""
    section, _, name = key.partition(".")
    return f"{section}.{name.rpartition('.')[2]}" if "." in name else ""


def _varies(key: str, value: Any) -> bool:
    return isinstance(value, list) and (not key.endswith(".betas") or any(isinstance(beta, list) for beta in value))


def _entry(key: str, value: Any, i: int) -> Any:
    if key.endswith(".betas"):
        return [beta[i] if isinstance(beta, list) else beta for beta in value]
    return value[i]


def _shape(value: Any) -> Any:
    """Replace each number in a value by the text "a number". Keep None, booleans and texts as they are."""
    if isinstance(value, list):
        return [_shape(entry) for entry in value]
    return "a number" if isinstance(value, int | float) and not isinstance(value, bool) else value
