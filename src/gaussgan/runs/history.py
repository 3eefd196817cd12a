"""Pack the history of a run into one tensor, unpack it, and write it as a table.

A history has one row of measures for each evaluated epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gaussgan.evaluation.summary import aggregate
from gaussgan.runs.record import HISTORY, write_table

Row = dict[str, Any]  # maps the name of a measure to its number, or to a tensor [R] for R replicas
COUNTS = ("epoch", "iteration")  # these entries of a row are no measures


def pack(history: Sequence[Row]) -> dict[str, Any]:
    """Put all numbers of a history into one tensor, because pickling many single numbers is slow.

    Returns:
        A dict with three entries. "names" is the list of the measures' names. "own" is a list of booleans, true for
        each measure that has one value for each replica. "rows" is the tensor of all numbers, [epochs, measures], or
        [epochs, measures, R] for R replicas.
    """
    if not history:
        return {"names": [], "own": [], "rows": torch.empty(0, 0, dtype=torch.float64)}
    own = [isinstance(value, Tensor) for value in history[0].values()]
    if any(own):
        rows = [torch.stack(torch.broadcast_tensors(*map(_number, row.values()))) for row in history]
    else:
        rows = [torch.tensor([*row.values()], dtype=torch.float64) for row in history]
    return {"names": [*history[0]], "own": own, "rows": torch.stack(rows)}


def unpack(packed: dict[str, Any]) -> list[Row]:
    """Return the history from a result of `pack`: one row of measures for each evaluated epoch."""
    rows = packed["rows"]
    if rows.ndim < 3:
        return [dict(zip(packed["names"], row, strict=True)) for row in rows.tolist()]
    return [
        {
            name: values if own else values[0].item()
            for name, own, values in zip(packed["names"], packed["own"], row, strict=True)
        }
        for row in rows
    ]


def of_replica(packed: dict[str, Any], i: int) -> dict[str, Any]:
    """From the packed history of R replicas, return that of replica i, packed like the history of a single run.

    Args:
        packed: the packed history of R replicas, a result of `pack`.
        i: the index of the replica, from 0 to R − 1.
    """
    rows = packed["rows"]
    return {**packed, "own": [False] * len(packed["names"]), "rows": rows[..., i].clone() if rows.ndim == 3 else rows}


def write_history(directory: Path, history: Sequence[Row], diverged: Mapping[int, int]) -> None:
    """Write the history of a run to history.csv in `directory`, one line for each evaluated epoch; see `table`."""
    write_table(directory / HISTORY, table(history, diverged), COUNTS)


def table(history: Sequence[Row], diverged: Mapping[int, int]) -> list[dict[str, float]]:
    """Return the history of a run as rows of numbers.

    The columns are epoch, iteration, and the measures. For R replicas, each measure has four columns: its mean TAG, and
    the quantiles TAG_p10, TAG_median and TAG_p90; see `aggregate`.

    Args:
        history: one row of measures for each evaluated epoch.
        diverged: maps the index of each diverged replica to the iteration at which it diverged.
    """
    rows = []
    for row in history:
        counts = {key: int(row[key]) for key in COUNTS}
        measures = {tag: value for tag, value in row.items() if tag not in COUNTS}
        # A tensor from a checkpoint is in float64, so all must be, or else a resumed run has other means.
        values = {tag: value.double() if isinstance(value, Tensor) else value for tag, value in measures.items()}
        lost = [i for i, iteration in diverged.items() if iteration <= counts["iteration"]]
        rows.append({**counts, **aggregate(values, lost)})
    return rows


def _number(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)
