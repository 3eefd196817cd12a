"""The score of a run, by which runs are compared. A smaller score is better. This module does not import torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SCORES = ("val/w2", "val/sliced_w2", "val/frechet")  # the score of a run is the first that has a value
LARGER = ("modes", "high_quality", "precision", "recall", "density", "coverage")  # measures of which more is better


def score(row: Mapping[str, Any]) -> str:
    """Return the tag of the score, the measure by which runs are compared.

    The score is val/w2 for Gaussian data, val/frechet for images, and val/sliced_w2 for other data. In general it is
    the first of these three for which the row has a value; without any, it is val/w2.

    Args:
        row: maps tags to measures.
    """
    return next((tag for tag in SCORES if row.get(tag) is not None), SCORES[0])


def is_score(tag: str) -> bool:
    """Return whether a tag names a score: of the generator or of its moving average, to choose or to report by."""
    return tag.removesuffix("_ema").replace("test/", "val/", 1) in SCORES


def larger_is_better(tag: str) -> bool:
    """Return whether of a measure, such as val/modes or test/recall_ema, the larger value is the better one."""
    return tag.removesuffix("_ema").rpartition("/")[2] in LARGER


def baseline_tag(tag: str) -> str:
    """Return the tag of the baseline of a measure.

    For a known Gaussian it is mle/w2, the distance of a maximum-likelihood fit. For given examples it is, for example,
    baseline/val/sliced_w2: the same measure, with rows of the training part in place of generated examples. The moving
    average of the generator has the same baseline.
    """
    measure = tag.removesuffix("_ema")
    return "mle/w2" if measure == "val/w2" else f"baseline/{measure}"


def final_score(record: Mapping[str, Any]) -> float:
    """Return the score of a run, by which runs are compared.

    The score is the generator's distance from the true distribution, or from the held-out examples to choose by; see
    `score`. For a run with replicas, the score is the median of the replicas' distances, and the distance of a diverged
    replica counts as infinity. If the record contains no distance, or if it is NaN, the score is infinity.

    Args:
        record: the content of the run's metrics.json.
    """
    tag = score(record)
    distance = record.get(f"{tag}_median", record.get(tag))
    return math.inf if distance is None or math.isnan(distance) else distance
