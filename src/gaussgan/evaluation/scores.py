"""The score of a run, by which runs are compared. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCORES = ("val/w2", "val/sliced_w2")  # the score of a run is the first of these measures that has a value


def score(row: Mapping[str, Any]) -> str:
    """Return the tag of the score, the measure by which runs are compared.

    The score is val/sliced_w2 if the row has a value for val/sliced_w2 but none for val/w2. Otherwise it is val/w2.

    Args:
        row: maps tags to measures.
    """
    return next((tag for tag in SCORES if row.get(tag) is not None), SCORES[0])
