"""From what is known of each of R replicas to what is reported of all."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gaussgan.config.per_replica import entries, seeds, varying
from gaussgan.evaluation.evaluator import SCORES

QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}


def quantiles(values: Tensor, levels: Sequence[float] = tuple(QUANTILES.values())) -> Tensor:
    """Quantiles over the first dimension, linear between neighbours, where NaN counts as infinite; NaN of no values.

    Shapes: [n, ...] → [len(levels), ...].
    """
    if len(values) == 0:
        return torch.full((len(levels), *values.shape[1:]), torch.nan, dtype=values.dtype)
    ordered = infinite_for_nan(values).sort(0).values
    position = torch.tensor(levels, dtype=torch.float64) * (len(values) - 1)
    low, high = ordered[position.floor().long()], ordered[position.ceil().long()]
    between = position.frac().view(-1, *[1] * (values.ndim - 1))
    return torch.where((low == high) | (between == 0), low, low + (high - low) * between)


def aggregate(row: Mapping[str, Any], diverged: Collection[int] = ()) -> dict[str, float]:
    """A row in which the values of replicas, [R], become their mean and, as TAG_p10, TAG_median and TAG_p90, quantiles.

    Replicas that diverged have no part in it; but a distance that runs are judged by is infinite for them in its
    quantiles, and is so for others where it is NaN, beyond all numbers. Of anything else NaN has no part in it, as
    where there is no density.
    """
    numbers: dict[str, float] = {}
    for tag, value in row.items():
        if not isinstance(value, Tensor) or value.ndim == 0:
            numbers[tag] = float(value)
            continue
        judged = tag.removesuffix("_ema") in SCORES
        value = infinite_for_nan(value) if judged else value  # beyond all numbers
        taking_part = ~value.isnan()
        taking_part[list(diverged)] = False
        numbers[tag] = value[taking_part].mean().item()
        ranked = value[taking_part]
        if judged:
            ranked = torch.cat([ranked, ranked.new_full((len(diverged),), torch.inf)])
        for name, quantile in zip(QUANTILES, quantiles(ranked).tolist(), strict=True):
            numbers[f"{tag}_{name}"] = quantile
    return numbers


def infinite_for_nan(values: Tensor) -> Tensor:
    return values.where(~values.isnan(), torch.inf)


def middle(row: Mapping[str, Any], tag: str, diverged: Collection[int] = ()) -> float:
    """A number of a row; of replicas their median, which one that diverges does not better."""
    numbers = aggregate({tag: row[tag]}, diverged)
    return numbers.get(f"{tag}_median", numbers[tag])


def summary(row: Mapping[str, Any], diverged: Collection[int]) -> dict[str, float]:
    """The numbers of a run at its end; of several replicas `aggregate`d, and beside that, where they are known,

    - efficiency = mean(mle/w2²) / mean(val/w2²) of those that did not diverge: 1 is as good as maximum likelihood;
    - share_diverged;
    - share_log2: of all, those whose losses both read 0.693 = log 2, as at the original GAN's equilibrium.
    """
    numbers = aggregate(row, diverged)
    if not any(isinstance(value, Tensor) and value.ndim for value in row.values()):
        return numbers
    replicas = next(len(value) for value in row.values() if isinstance(value, Tensor) and value.ndim)
    numbers["share_diverged"] = len(diverged) / replicas
    alive = torch.ones(replicas, dtype=torch.bool)
    alive[list(diverged)] = False
    if "val/w2" in row and "mle/w2" in row:
        mle, w2 = (torch.as_tensor(row[tag])[alive].square().mean() for tag in ("mle/w2", "val/w2"))
        numbers["efficiency"] = (mle / w2).item()
    if "train/loss_d" in row:
        losses = torch.stack([torch.as_tensor(row[tag]) for tag in ("train/loss_d", "train/loss_g")])
        reading = ((losses - math.log(2)).abs() < READING).all(0)
        numbers["share_log2"] = (reading & alive).double().mean().item()
    return numbers


READING = 5e-4  # of a number to three digits


def replica_rows(
    row: Mapping[str, Any], status: str, diverged: Collection[int], config: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What became of each replica: its number, seed, status, measures, and the numbers in which they differ."""
    first = ("val/w2", "val/kl", "mle/w2", "train/loss_d", "train/loss_g")
    tags = [*first, *(tag for tag in row if tag.startswith("val/") and tag not in first)]
    columns = {tag: row[tag].tolist() if isinstance(row.get(tag), Tensor) else None for tag in tags}
    own = {key: entries(key, value, config["replicas"]) for key, value in varying(config).items()}
    return [
        {
            "replica": i,
            "seed": seed,
            "status": "diverged" if i in diverged else status,
            **{tag: math.nan if values is None else values[i] for tag, values in columns.items()},
            **{key: values[i] for key, values in own.items()},
        }
        for i, seed in enumerate(seeds(config))
    ]
