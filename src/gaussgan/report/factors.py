"""Find what varied: the few settings that tell the recipes of a sweep apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gaussgan.report.collect import RunDirectory
from gaussgan.report.filters import TARGET

Codes = np.ndarray  # one whole number for each row; equal numbers stand for equal values


@dataclass(frozen=True)
class Factor:
    """Something that varied between runs.

    Args:
        name: its name, such as optimizer_d.lr or objective.
        values: its value in each row: numbers, texts such as "0.5", or names of classes such as "Hinge". None where the
            settings of a run are not known.
    """

    name: str
    values: pd.Series


def find_factors(frame: pd.DataFrame, settings: pd.DataFrame, runs: Sequence[RunDirectory]) -> list[Factor]:
    """Return what varied, in the order in which it was typed.

    A setting that was typed as an override is a factor. A config group that was typed, such as `objective` or
    `experiment`, is a factor that stands for all settings that follow from it. Settings that follow from the typed ones
    are left out. If it is not known what was typed, a component stands for those of its settings that follow from its
    class, and of equal settings only the first is a factor.

    Args:
        frame: the table of all runs; see `frame_of`.
        settings: the settings that differ; see `frame_of`.
        runs: the run directories.
    """
    row_runs = frame["run"].to_numpy()
    known = settings.notna().all(axis=1).to_numpy() if len(settings.columns) else np.ones(len(frame), dtype=bool)
    codes = {key: pd.factorize(settings[key])[0] for key in settings}
    present = [runs[i] for i in np.unique(row_runs[known])]
    typed = dict.fromkeys(key for run in present for key in run.typed)
    found = {key: Factor(key, settings[key]) for key in typed if key in codes}
    rest = {key: codes[key] for key in codes if key not in found}
    fixed = [codes[key] for key in found]

    def stand_for(name: str, keys: Sequence[str], texts: Sequence[str | None]) -> None:
        joint = _joint([codes[key] for key in keys])
        found[name] = Factor(name, _labels(name, joint, settings, pd.Series(texts, dtype=object)[row_runs].to_numpy()))
        fixed.append(joint)
        for key in keys:
            rest.pop(key)

    for choice, keys in _followers(typed, rest, _joint(fixed), present, runs, row_runs, known).items():
        stand_for(choice, keys, [run.typed.get(choice) for run in runs])
    for key in sorted(rest, key=lambda key: not key.endswith(TARGET)):  # components first, because others follow them
        if key not in rest or (typed and _follows(rest[key], _joint(fixed), known)) or _repeats(key, settings, found):
            rest.pop(key, None)
        elif key.endswith(TARGET):
            component = key.removesuffix(TARGET)
            below = [
                each for each in rest if each.startswith(f"{component}.") and _follows(rest[each], rest[key], known)
            ]
            stand_for(component, below, [None] * len(runs))
        else:
            found[key] = Factor(key, settings[key])
    order = [*typed, *codes]
    places = {name: min((i for i, key in enumerate(order) if key.startswith(name)), default=0) for name in found}
    return sorted(found.values(), key=lambda factor: places[factor.name])


def _followers(
    typed: Iterable[str],
    codes: dict[str, Codes],
    fixed: Codes,
    present: Sequence[RunDirectory],
    runs: Sequence[RunDirectory],
    row_runs: np.ndarray,
    known: np.ndarray,
) -> dict[str, list[str]]:
    """Return the settings that follow from each config group that was typed, such as objective or experiment.

    If a setting follows from several groups, it is listed under the group with its own name. Of a group that was not
    typed for every run, it is not known whether a setting of another name follows from it. So such a setting is left
    out, if it follows from the settings that were typed, whose joint codes are `fixed`.
    """
    groups = [key for key in typed if not any(key in run.settings for run in present)]
    texts = {group: np.array([run.typed.get(group, "") for run in runs], dtype=object)[row_runs] for group in groups}
    choices = {group: pd.factorize(values)[0] for group, values in texts.items() if len({*values[known]}) > 1}
    followers: dict[str, list[str]] = {}
    for key in codes:
        follows = _follows(codes[key], fixed, known)
        if owners := [
            group
            for group in choices
            if _follows(codes[key], choices[group], known)
            and not (follows and "" in texts[group][known] and not key.startswith(f"{_component(group)}."))
        ]:
            best = max(owners, key=lambda group: key.startswith(f"{_component(group)}."))
            followers.setdefault(best, []).append(key)
    return followers


def _labels(name: str, joint: Codes, settings: pd.DataFrame, texts: np.ndarray) -> pd.Series:
    """Return a label for each row: the class of the component, or the typed text if classes do not tell rows apart.

    An option without a class, such as schedule=constant, is called as it was typed; "none" if it was not typed.
    """
    target = f"{_component(name)}{TARGET}"
    if target in settings:
        typed = {*texts[(settings[target] == "null").to_numpy()]}
        plain = next(iter(typed)) if len(typed) == 1 else None
        classes = settings[target].map(
            lambda value: value and ((plain or "none") if value == "null" else str(value).rpartition(".")[2])
        )
        if len({*zip(joint.tolist(), classes, strict=True)}) == len({*classes}) == len({*joint.tolist()}):
            return classes
    first = {code: text for code, text in zip(joint[::-1].tolist(), texts[::-1], strict=True) if text is not None}
    if len({*first.values()}) < len(first):  # the same text had other meanings in other runs
        first = {code: f"{text} ({code})" for code, text in first.items()}
    return pd.Series([first.get(code, "default") for code in joint.tolist()], dtype=object)


def _component(group: str) -> str:
    return group.rpartition("@")[2]


def _joint(codes: Sequence[Codes]) -> Codes:
    """Return codes that are equal for two rows if all given codes are equal."""
    joint = np.zeros_like(codes[0]) if codes else np.zeros(0, dtype=np.int64)
    for each in codes:
        joint = pd.factorize(joint.astype(np.int64) * (each.max() + 2) + each)[0]
    return joint


def _follows(key: Codes, of: Codes, known: np.ndarray) -> bool:
    """Return whether each value of `of` occurs with only one value of `key`."""
    if not len(of):
        return False
    return len(np.unique(_joint([of[known], key[known]]))) == len(np.unique(of[known]))


def _repeats(key: str, settings: pd.DataFrame, found: Iterable[str]) -> bool:
    """Return whether a setting has the same value as another one in all rows in which it has a value."""
    values = settings[key]
    return any(((values == settings[other]) | (values == "null")).all() for other in found if other in settings)
