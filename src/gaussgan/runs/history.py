"""Pack the history of a run into one tensor, and unpack it. A history has one row of measures for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Row = dict[str, Any]  # maps the name of a measure to its number, or to a tensor [R] for R replicas


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
    """Return the history from a result of `pack`: one row of measures for each epoch."""
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


def _number(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)
