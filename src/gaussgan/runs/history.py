"""Pack the history of a run into one tensor, and unpack it. A history has one row of measures for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Row = dict[str, Any]  # maps the name of a measure to its number, or to a tensor [R] for R replicas


def pack(history: Sequence[Row]) -> dict[str, Any]:
    """Put all numbers of a history into one tensor. Pickling single numbers would be slow.

    Returns:
        A dict with three entries. "names" is the list of the measures' names. "own" says, for each measure, whether it
        has one value for each replica. "rows" is the tensor, [epochs, measures], or [epochs, measures, R] for R
        replicas.
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
    """Return the history that `pack` turned into `packed`."""
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
    """Return the packed history of replica number i as a single run, taken from the packed history of R replicas."""
    rows = packed["rows"]
    return {**packed, "own": [False] * len(packed["names"]), "rows": rows[..., i].clone() if rows.ndim == 3 else rows}


def _number(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)
