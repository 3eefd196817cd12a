"""The score of a run, by which runs are compared. A smaller score is better. This module does not import torch."""

from __future__ import annotations

import math
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


def final_score(record: Mapping[str, Any]) -> float:
    """Return the score of a run, by which runs are compared.

    The score is the generator's distance from the true distribution: val/w2 if the data are Gaussian, otherwise
    val/sliced_w2. For a run with replicas, the score is the median of the replicas' distances, and the distance of a
    diverged replica counts as infinity. If the record contains no distance, or if it is NaN, the score is infinity.

    Args:
        record: the content of the run's metrics.json.
    """
    tag = score(record)
    distance = record.get(f"{tag}_median", record.get(tag))
    return math.inf if distance is None or math.isnan(distance) else distance
