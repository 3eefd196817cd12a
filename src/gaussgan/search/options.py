"""The settings of a search, hydra.sweeper.…, and the rule for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from gaussgan.config.dotted import flatten
from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import did_you_mean
from gaussgan.config.schema import Rule, or_null, whole

INSTALL = "pip install -c constraints.txt -e '.[search]'"
DIRECTIONS = ("minimize", "maximize")
TEXT: Rule = ("a text", lambda v: isinstance(v, str) and bool(v.strip()))
COMPONENT: Rule = ("chosen as hydra/sweeper/{}=NAME", lambda v: isinstance(v, Mapping) and "_target_" in v)
RULES: dict[str, Rule] = {
    "n_trials": whole(1),
    "batch": whole(1),
    "seeds": whole(1),
    "finalists": whole(1),
    "final_seeds": whole(0),
    "objectives": (
        "a list of keys of metrics.json, such as [score]",
        lambda v: isinstance(v, list) and len({*map(str, v)}) == len(v) > 0 and all(isinstance(key, str) for key in v),
    ),
    "storage": or_null(("the URL of a database or the path of a file", TEXT[1])),
    "study_name": or_null(TEXT),
    "params": ("a mapping of keys to values, such as {optimizer_d.lr: 'tag(log,interval(0.005,0.2))'}", lambda v: True),
    "sampler": COMPONENT,
    "pruner": (COMPONENT[0], lambda v: not v or COMPONENT[1](v)),
}


@dataclass(frozen=True)
class Options:
    """The settings of a search. The file conf/hydra/sweeper/optuna.yaml says what each of them does."""

    n_trials: int
    batch: int
    seeds: int
    finalists: int
    final_seeds: int
    objectives: list[str]
    direction: list[Literal["minimize", "maximize"]]
    storage: str | None
    study_name: str | None
    sampler: dict[str, Any]
    pruner: dict[str, Any] | None = None
    params: dict[str, Any] = field(default_factory=dict)


def check_options(settings: Mapping[str, Any]) -> Options:
    """Return the options of a search from the section hydra.sweeper, as plain dicts and lists.

    Raises:
        ConfigError: for the first key that is unknown or has a wrong value.
    """
    values = {key: value for key, value in settings.items() if not key.startswith("_")}
    known = [f"hydra.sweeper.{each.name}" for each in fields(Options)]
    for key in (f"hydra.sweeper.{key}" for key in values):
        if key not in known:
            raise ConfigError(f"unknown key {key}{did_you_mean(key, known)}")
    for key, (text, holds) in RULES.items():
        if not holds(value := values.get(key)):
            raise ConfigError(f"hydra.sweeper.{key} must be {text.format(key)} (got {value!r})")
    if not whole(0)[1](seed := values["sampler"].get("seed")):
        raise ConfigError(
            f"hydra.sweeper.sampler.seed must be {whole(0)[0]}, so that a search can go on (got {seed!r})"
        )
    params = values["params"]
    if params is not None and not isinstance(params, Mapping):
        raise ConfigError(f"hydra.sweeper.params must be {RULES['params'][0]} (got {params!r})")
    given, n = values.get("direction"), len(values["objectives"])
    directions = [given] if isinstance(given, str) else given
    if not isinstance(directions, list) or not directions or any(each not in DIRECTIONS for each in directions):
        raise ConfigError(f"hydra.sweeper.direction must be minimize or maximize, or a list of these (got {given!r})")
    if len(directions) != n:
        raise ConfigError(
            f"hydra.sweeper.direction must have one entry for each of the {n} hydra.sweeper.objectives (got {given!r})"
        )
    if n > 1 and values.get("pruner"):
        raise ConfigError("hydra/sweeper/pruner must be none with several hydra.sweeper.objectives")
    return Options(**{**values, "direction": directions, "params": flatten(params or {})})
