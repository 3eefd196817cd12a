"""The epochs after which callbacks measure, draw and decide.

Which epochs these are depends on the numbers of epochs alone, and not on the length of the run. So a run that was
resumed, killed or made longer acts after the same epochs as a run that was never stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from gaussgan.data.intervals import setting

SPACING = {"1": 5, "2": 10, "3": 10}  # first digit of an epoch → percent of its power of ten; 20 for other digits


def is_evaluated(epoch: int, every: int | None) -> bool:
    """Return whether a run is evaluated after an epoch. It is also evaluated after its last epoch.

    Args:
        epoch: the number of the epoch, from 1.
        every: n evaluates every n epochs. None evaluates every epoch up to 40, every 2 epochs up to 100, every 5 up to
            200, every 10 up to 400, every 20 up to 1,000, every 50 up to 2,000, and so on: 20 to 25 times while the
            number of epochs doubles. On a logarithmic axis this looks like every epoch. Round numbers, at which runs
            usually end, are evaluated.
    """
    if every is None:
        digits = str(epoch)
        every = max(1, SPACING.get(digits[0], 20) * 10 ** len(digits) // 1000)
    return epoch % every == 0


def series(epoch: int) -> int:
    """Return how many of the numbers 1, 2, 5, 10, 20, 50, … are at most `epoch`; 0 for epoch 0."""
    digits = str(epoch)
    return 3 * (len(digits) - 1) + sum(int(digits[0]) >= each for each in (1, 2, 5))


def passes(history: Sequence[Mapping[str, Any]], count: Callable[[int], int]) -> bool:
    """Return whether `count` is larger for the epoch of the last row than for the epoch of the row before it.

    So of all evaluated epochs, those are chosen that are the first at or after certain numbers.

    Args:
        history: one row for each evaluated epoch, at least one in all.
        count: maps an epoch to the number of those certain numbers that are at most the epoch, such as `series`.
    """
    before = int(history[-2]["epoch"]) if len(history) > 1 else 0
    return count(int(history[-1]["epoch"])) > count(before)


def monitored(callback: Callback) -> list[tuple[str, str]]:
    """Return the metrics that a callback reads after every epoch, each as (argument of the callback, metric)."""
    pairs = [("monitor", setting(callback, "monitor"))]
    if isinstance(callback, ModelCheckpoint):
        pairs += [("filename", tag) for tag in re.findall(r"{([^}:]+)", setting(callback, "filename") or "")]
    return [(argument, tag) for argument, tag in pairs if tag not in (None, "epoch", "step")]
