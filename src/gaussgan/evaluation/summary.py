"""Summarise the measures of R replicas by means, quantiles and proportions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gaussgan.config.per_replica import entries, seeds, varying
from gaussgan.evaluation.scores import SCORES
from gaussgan.gan.divergence import Diverged

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
    if len(values) == 0:
        return torch.full((len(levels), *values.shape[1:]), torch.nan, dtype=values.dtype)
    ordered = infinite_for_nan(values).sort(0).values
    position = torch.tensor(levels, dtype=torch.float64) * (len(values) - 1)
    low, high = ordered[position.floor().long()], ordered[position.ceil().long()]
    between = position.frac().view(-1, *[1] * (values.ndim - 1))
    return torch.where((low == high) | (between == 0), low, low + (high - low) * between)


def aggregate(row: Mapping[str, Any], diverged: Collection[int] = ()) -> dict[str, float]:
    """Replace each tensor of a row by its mean and quantiles over the R replicas. Return the new row.

    A tensor with the name TAG becomes four numbers: the mean TAG, and the quantiles TAG_p10, TAG_median and TAG_p90.
    The means and quantiles ignore diverged replicas, with one exception: in the quantiles of a score, a diverged
    replica counts as infinity. The scores are val/w2, val/sliced_w2 and the same measures of the moving average, whose
    names end in _ema. A score that is NaN was too large for a float, and counts as infinity. NaN in any other measure
    means that the replica has no value, and is ignored.

    Args:
        row: maps the name of each measure to a number, or to a tensor [R].
        diverged: the indices of the diverged replicas, from 0 to R − 1.
    """
    numbers: dict[str, float] = {}
    for tag, value in row.items():
        if not isinstance(value, Tensor) or value.ndim == 0:
            numbers[tag] = float(value)
            continue
        is_score = tag.removesuffix("_ema") in SCORES
        value = infinite_for_nan(value) if is_score else value
        known = ~value.isnan()
        known[list(diverged)] = False
        ranked = value[known]
        numbers[tag] = ranked.mean().item()
        if is_score:
            ranked = torch.cat([ranked, ranked.new_full((len(diverged),), torch.inf)])
        for name, quantile in zip(QUANTILES, quantiles(ranked).tolist(), strict=True):
            numbers[f"{tag}_{name}"] = quantile
    return numbers


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


def summary(row: Mapping[str, Any], diverged: Collection[int], pruned: int = 0) -> dict[str, float]:
    """Return the measures of a finished run as plain numbers, made by `aggregate`.

    For replicas, the result also has these numbers, if the row has the measures for them:

    - share_diverged: the proportion of replicas that diverged;
    - efficiency = mean of (mle/w2)² / mean of (val/w2)², over the replicas that did not diverge. An efficiency of 1
      means that the generators are as good as a maximum-likelihood fit;
    - share_log2: the proportion of replicas that did not diverge and whose two losses are both less than 0.0005 away
      from log 2 = 0.693…. Both losses are log 2 at the equilibrium of the GAN with the non-saturating loss.

    Args:
        row: maps the name of each measure to a number, or to a tensor [R] for R replicas.
        diverged: the indices of the diverged replicas, from 0 to R − 1.
        pruned: how many of these replicas did not diverge, but were stopped by a search.
    """
    numbers = aggregate(row, diverged)
    if not any(isinstance(value, Tensor) and value.ndim for value in row.values()):
        return numbers
    replicas = next(len(value) for value in row.values() if isinstance(value, Tensor) and value.ndim)
    numbers["share_diverged"] = (len(diverged) - pruned) / replicas
    alive = torch.ones(replicas, dtype=torch.bool)
    alive[list(diverged)] = False
    if "val/w2" in row and "mle/w2" in row:
        mle, w2 = (torch.as_tensor(row[tag])[alive].square().mean() for tag in ("mle/w2", "val/w2"))
        numbers["efficiency"] = (mle / w2).item()
    if "train/loss_d" in row:
        losses = torch.stack([torch.as_tensor(row[tag]) for tag in ("train/loss_d", "train/loss_g")])
        at_log2 = ((losses - math.log(2)).abs() < ROUNDING).all(0)
        numbers["share_log2"] = (at_log2 & alive).double().mean().item()
    return numbers


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
    first = ("val/w2", "val/kl", "mle/w2", "train/loss_d", "train/loss_g")
    tags = [*first, *(tag for tag in row if tag.startswith("val/") and tag not in first)]
    columns = {tag: row[tag].tolist() if isinstance(row.get(tag), Tensor) else None for tag in tags}
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
