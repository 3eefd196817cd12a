"""Choose rows by the values of settings and by tags."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches

import numpy as np
import pandas as pd

from gaussgan.config.errors import ConfigError
from gaussgan.report.collect import PAIR, RunDirectory, parts
from gaussgan.report.frame import of_run
from gaussgan.report.values import Value, comparable, in_order, names, parse

TARGET = "._target_"
ROW_KEYS = ("status", "seed", "replica")


def chosen(
    frame: pd.DataFrame, settings: pd.DataFrame, runs: Sequence[RunDirectory], where: Sequence[str], tags: Sequence[str]
) -> np.ndarray:
    """Return which rows fulfil all conditions, as an array of booleans.

    Args:
        frame: the table of all runs; see `frame_of`.
        settings: the settings that differ; see `frame_of`.
        runs: the run directories.
        where: conditions such as "optimizer_d.lr=0.05", "objective=hinge" or "status=diverged". The key is a setting, a
            component, a config group that was typed, or one of ROW_KEYS. Values are compared, not texts.
        tags: tags that a run must have.

    Raises:
        ConfigError: when a condition has no "=", when its key is not known, or when no row fulfils the conditions.
    """
    keep = np.ones(len(frame), dtype=bool)
    for condition in where:
        key, equals, text = condition.partition("=")
        if not equals:
            raise ConfigError(f"--where must be key=value (got {condition!r})")
        for own, wanted in _of_pair(key.strip(), parse(text.strip())):
            values, same = _column(own, frame, settings, runs), _comparison(wanted)
            matches = values.map({value: same(value) for value in values.unique()}).to_numpy(dtype=bool)
            if not (keep & matches).any():
                known = names(in_order(values[keep]))
                raise ConfigError(f"--where {condition}: no run that is left has this value (it has {_listed(known)})")
            keep &= matches
    for tag in tags:
        matches = np.array([tag in run.tags for run in runs])[frame["run"]]
        if not (keep & matches).any():
            known = sorted({each for run in runs for each in run.tags})
            raise ConfigError(f"--tag {tag}: no run that is left has this tag (known tags: {_listed(known)})")
        keep &= matches
    return keep


def _of_pair(key: str, wanted: Value) -> list[tuple[str, Value]]:
    """Return one condition for each number if the value is a pair such as [0.9, 0.999]; else the condition itself."""
    with suppress(ValueError, TypeError):  # it is no list
        if key.endswith(PAIR):
            first, second = json.loads(str(wanted))
            return [*zip(parts(key), map(comparable, (first, second)), strict=True)]
    return [(key, wanted)]


def _column(key: str, frame: pd.DataFrame, settings: pd.DataFrame, runs: Sequence[RunDirectory]) -> pd.Series:
    """Return the values of a key in all rows."""
    if key in ROW_KEYS:
        return frame[key].map(comparable)
    component = key.rpartition("@")[2]
    for name_ in (key, f"{component}{TARGET}"):
        if name_ in settings:
            return settings[name_].map(lambda value: "unknown" if value is None else value)
        if any(name_ in run.settings for run in runs):  # the value is the same in all replicas of a run
            values = [of_run(run, name_)[0] if run.settings else "unknown" for run in runs]
            return pd.Series(values, dtype=object)[frame["run"]].reset_index(drop=True)
    if any(key in run.typed for run in runs):
        values = [parse(run.typed[key]) if key in run.typed else "default" for run in runs]
        return pd.Series(values, dtype=object)[frame["run"]].reset_index(drop=True)
    known = {name_.removesuffix(TARGET) for run in runs for name_ in {**run.settings, **run.typed}}
    first = get_close_matches(key, known, n=1)
    hint = f"; did you mean {first[0]}?" if first else "."
    known_keys = ", ".join([*ROW_KEYS, *sorted(known - {*ROW_KEYS})])
    raise ConfigError(f"--where {key}=…: no run has this key{hint} Known keys: {known_keys}")


def _comparison(wanted: Value) -> Callable[[Value], bool]:
    """Return a function that tells whether a value is the one that was typed.

    A class may be typed as its name, NonSaturating, or as the name of its file, nonsaturating.
    """

    def same(value: Value) -> bool:
        if value == wanted:
            return True
        if isinstance(value, float) or isinstance(wanted, float):
            return False
        return _squeezed(value.rpartition(".")[2]) == _squeezed(wanted)

    return same


def _squeezed(text: str) -> str:
    return text.replace("_", "").casefold()


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"
