"""Summarise the measures of R replicas by means, quantiles and proportions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gaussgan.config.per_replica import entries, replica_groups, seeds, varying
from gaussgan.evaluation.scores import is_score
from gaussgan.gan.divergence import PRUNED, Diverged

ROUNDING = 5e-4  # largest rounding error of a number with three digits after the point
QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}


def quantiles(values: Tensor, levels: Sequence[float] = tuple(QUANTILES.values())) -> Tensor:
    """Return quantiles over the first dimension of a tensor, with linear interpolation between values.

    NaN counts as infinity. If there are no values (n = 0), the quantiles are NaN.

    Args:
        values: the values, [n, ...].
        levels: the levels of the quantiles, each in [0, 1]; by default 0.1, 0.5 and 0.9.

    Returns:
        The quantiles, [len(levels), ...].
    """
    return _known_quantiles(infinite_for_nan(values), levels)


def aggregate(row: Mapping[str, Any], diverged: Collection[int] = ()) -> dict[str, float]:
    """Replace each tensor of a row by its mean and quantiles over the R replicas. Return the new row.

    A tensor with the name TAG becomes four numbers: the mean TAG, and the quantiles TAG_p10, TAG_median and TAG_p90.
    The means and quantiles ignore diverged replicas, with one exception: in the quantiles of a score, a diverged
    replica counts as infinity. For the scores, see `is_score`. A score that is NaN was too large for a float, and
    counts as infinity. NaN in any other measure means that the replica has no value, and is ignored.

    Args:
        row: maps the name of each measure to a number, or to a tensor [R].
        diverged: the indices of the diverged replicas, from 0 to R − 1.
    """
    numbers: dict[str, float] = {}
    for tag, value in row.items():
        if _is_own(value):
            numbers |= {
                name: each.item() for name, each in _statistics(tag, value, _mask(diverged, len(value))).items()
            }
        else:
            numbers[tag] = float(value)
    return numbers


def _statistics(tag: str, values: Tensor, lost: Tensor) -> dict[str, Tensor]:
    """Return the mean and the quantiles of a measure over the first dimension; see `aggregate`.

    Args:
        tag: the name of the measure.
        values: the values, [n, ...].
        lost: True for each diverged replica, [n, ...].
    """
    scored = is_score(tag)
    values = infinite_for_nan(values) if scored else values
    known = values.where(~lost, torch.nan)
    ranked = infinite_for_nan(known) if scored else known
    names = (f"{tag}_{name}" for name in QUANTILES)
    return {tag: known.nanmean(0), **dict(zip(names, _known_quantiles(ranked, [*QUANTILES.values()]), strict=True))}


def _known_quantiles(values: Tensor, levels: Sequence[float]) -> Tensor:
    """Return quantiles over the first dimension of a tensor, [len(levels), ...]. NaN is ignored; see `quantiles`."""
    if len(values) == 0:
        return torch.full((len(levels), *values.shape[1:]), torch.nan, dtype=values.dtype)
    ordered = values.sort(0).values  # NaN comes last
    last = ((~values.isnan()).sum(0) - 1).clamp(min=0)
    position = torch.tensor(levels, dtype=torch.float64).view(-1, *[1] * last.ndim) * last
    low, high = ordered.gather(0, position.floor().long()), ordered.gather(0, position.ceil().long())
    between = position.frac()
    return torch.where((low == high) | (between == 0), low, low + (high - low) * between)


def infinite_for_nan(values: Tensor) -> Tensor:
    """Return a copy of `values` in which infinity replaces NaN."""
    return values.where(~values.isnan(), torch.inf)


def middle(row: Mapping[str, Any], tag: str, diverged: Collection[int] = ()) -> float:
    """Return the measure with the name `tag` from a row of measures.

    If the row has one value for each of R replicas, return their median. If the measure is a score (see `aggregate`),
    each replica in `diverged` counts as infinity in the median.
    """
    numbers = aggregate({tag: row[tag]}, diverged)
    return numbers.get(f"{tag}_median", numbers[tag])


def summary(row: Mapping[str, Any], diverged: Collection[int], pruned: Collection[int] = ()) -> dict[str, float]:
    """Return the measures of a finished run as plain numbers, made by `aggregate`.

    For replicas, the result also has these numbers, if the row has the measures for them:

    - share_diverged: the proportion of replicas that diverged;
    - efficiency = mean of (mle/w2)² / mean of (val/w2)². An efficiency of 1 means that the generators are as good as a
      maximum-likelihood fit. A diverged replica is infinitely far, so one of them makes the efficiency 0. A replica
      that was stopped by a search has no final distance, and is left out;
    - efficiency_ema: the efficiency of the moving averages of the generators;
    - share_log2: the proportion of replicas that did not diverge and whose two losses are both less than 0.0005 away
      from log 2 = 0.693…. Both losses are log 2 at the equilibrium of the GAN with the non-saturating loss.

    Args:
        row: maps the name of each measure to a number, or to a tensor [R] for R replicas.
        diverged: the indices of the diverged replicas, from 0 to R − 1.
        pruned: the indices of those among them that did not diverge, but were stopped by a search.
    """
    shared = {tag: float(value) for tag, value in row.items() if not _is_own(value)}
    replicas = next((len(value) for value in row.values() if _is_own(value)), 0)
    return {**shared, **group_summaries(row, diverged, [range(replicas)], pruned)[0]} if replicas else shared


def group_summaries(
    row: Mapping[str, Any], diverged: Collection[int], groups: Sequence[Sequence[int]], pruned: Collection[int] = ()
) -> list[dict[str, float]]:
    """Return the numbers of `summary` for each of several groups of replicas, without those that are not per replica.

    Args:
        row: maps the name of each measure to a tensor [R]. Other values are ignored.
        diverged: the indices of the diverged replicas, from 0 to R − 1.
        groups: for each group, the indices of its replicas.
        pruned: the indices of those among `diverged` that a search stopped.
    """
    own = {tag: value for tag, value in row.items() if _is_own(value)}
    replicas = max(map(max, groups)) + 1
    lost, ill = _mask(diverged, replicas), _mask({*diverged} - {*pruned}, replicas)
    summaries: list[dict[str, float]] = [{} for _ in groups]
    for size in {len(members) for members in groups}:  # groups of one size are summarised at once
        which = [i for i, members in enumerate(groups) if len(members) == size]
        index = torch.tensor([[*groups[i]] for i in which]).mT  # [size, groups]
        numbers = _summary({tag: value[index] for tag, value in own.items()}, lost[index], ill[index])
        for i, *values in zip(which, *(each.tolist() for each in numbers.values()), strict=True):
            summaries[i] = dict(zip(numbers, values, strict=True))
    return summaries


def _summary(row: Mapping[str, Tensor], lost: Tensor, ill: Tensor) -> dict[str, Tensor]:
    """Return the numbers of `summary` over the first dimension of tensors, each [n, groups].

    Args:
        row: maps the name of each measure to its values.
        lost: which replicas diverged or were pruned.
        ill: which replicas diverged.
    """
    numbers = {"share_diverged": ill.double().mean(0)}
    for tag, values in row.items():
        numbers |= _statistics(tag, values, lost)
    for suffix in ("", "_ema"):
        if f"val/w2{suffix}" in row and "mle/w2" in row:
            w2 = infinite_for_nan(row[f"val/w2{suffix}"]).where(~ill, torch.inf)
            ended = ill | ~lost
            mle, total = (each.where(ended, 0).square().sum(0) for each in (row["mle/w2"], w2))
            numbers[f"efficiency{suffix}"] = mle / total
    if "train/loss_d" in row:
        losses = torch.stack([row[tag] for tag in ("train/loss_d", "train/loss_g")])
        at_log2 = ((losses - math.log(2)).abs() < ROUNDING).all(0)
        numbers["share_log2"] = (at_log2 & ~lost).double().mean(0)
    return numbers


def _is_own(value: Any) -> bool:
    """Return whether a value of a row has one entry for each replica."""
    return isinstance(value, Tensor) and value.ndim > 0


def _mask(indices: Collection[int], n: int) -> Tensor:
    mask = torch.zeros(n, dtype=torch.bool)
    mask[[*indices]] = True
    return mask


def replica_rows(
    row: Mapping[str, Any], status: str, diverged: Mapping[int, Diverged], config: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return one row for each replica: its index, seed, status, measures, and its values of those settings that vary.

    Args:
        row: maps the name of each measure to a tensor [R] with one value for each replica.
        status: the status of the replicas that did not diverge.
        diverged: maps the index of each diverged replica, and of each that a search stopped, to its error.
        config: the run's configuration.
    """
    columns = {tag: row[tag].tolist() if _is_own(row.get(tag)) else None for tag in _measures(row)}
    own = {key: entries(key, value, config["replicas"]) for key, value in varying(config).items()}
    return [
        {
            "replica": i,
            "seed": seed,
            "status": diverged[i].status if i in diverged else status,
            **{tag: math.nan if values is None else values[i] for tag, values in columns.items()},
            **{key: values[i] for key, values in own.items()},
        }
        for i, seed in enumerate(seeds(config))
    ]


def group_rows(
    row: Mapping[str, Any], diverged: Mapping[int, Diverged], config: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return one row for each group of replicas whose settings are equal: these settings, and the group's summary.

    The column n is the number of replicas in the group. For the other columns, see `summary`.

    Args:
        row: maps the name of each measure to a tensor [R] with one value for each replica.
        diverged: maps the index of each diverged replica, and of each that a search stopped, to its error.
        config: the run's configuration.
    """
    groups = replica_groups(config)
    measures = {tag: row[tag] for tag in _measures(row) if _is_own(row.get(tag))}
    pruned = [i for i, error in diverged.items() if error.status == PRUNED]
    summaries = group_summaries(measures, diverged, [group.members for group in groups], pruned)
    return [
        {**group.settings, "n": len(group.members), **numbers} for group, numbers in zip(groups, summaries, strict=True)
    ]


def _measures(row: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns with measures: those that each table has, then the other distances of the row."""
    first = ("val/w2", "val/kl", "mle/w2", "train/loss_d", "train/loss_g")
    return [*first, *(tag for tag in row if tag.startswith(("val/", "test/")) and tag not in first)]
