"""Turn trials into programs: jobs that train all seeds of several trials together, as replicas of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gaussgan.config.per_replica import structure, together, varying
from gaussgan.search.space import text


class Program(NamedTuple):
    """One job of a sweep that trains several trials.

    Attributes:
        trials: the keys of the trials, in the order of the replicas. The first S replicas belong to the first trial,
            the next S to the second, and so on; S is the number of seeds.
        overrides: the overrides of the job.
    """

    trials: list[int]
    overrides: list[str]


def programs(
    configs: Mapping[int, Mapping[str, Any]], overrides: Mapping[int, Sequence[str]], seeds: Sequence[int]
) -> list[Program]:
    """Divide trials into programs. Trials that differ only in numbers that may differ between replicas share one.

    Args:
        configs: maps a key of each trial to its configuration for one run.
        overrides: maps the same keys to the overrides of that configuration.
        seeds: the seeds with which each trial is trained.
    """
    groups: dict[str, list[int]] = {}
    for key, config in configs.items():
        groups.setdefault(structure(config), []).append(key)
    return [_program(group, [configs[key] for key in group], overrides[group[0]], seeds) for group in groups.values()]


def _program(
    trials: list[int], configs: Sequence[Mapping[str, Any]], overrides: Sequence[str], seeds: Sequence[int]
) -> Program:
    replicas = len(trials) * len(seeds)
    lists = {key: _repeated(value, len(seeds)) for key, value in varying(together(configs)).items()}
    keys = ("seed", *lists)
    kept = [line for line in overrides if not _sets(line, keys)]
    if replicas == 1:
        return Program(trials, [*kept, f"seed={seeds[0]}"])
    seed = [*seeds] * len(trials)
    return Program(
        trials, [*kept, f"replicas={replicas}", *(f"{k}={text(v)}" for k, v in {"seed": seed, **lists}.items())]
    )


def _sets(line: str, keys: Sequence[str]) -> bool:
    """Return whether an override sets one of the keys, or an entry of its list, such as optimizer_d.betas.0."""
    key = line.partition("=")[0].lstrip("+")
    return any(key == each or key.startswith(f"{each}.") for each in keys)


def _repeated(values: list[Any], times: int) -> list[Any]:
    """Repeat each entry of a list. If the entries are lists, as in `betas`, repeat the entries of each of them."""
    if isinstance(values[0], list):
        return [_repeated(each, times) for each in values]
    return [value for value in values for _ in range(times)]
