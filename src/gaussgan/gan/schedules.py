"""Schedules of the learning rates."""

from __future__ import annotations

import math


class Cosine:
    """Maps the progress of a run, 0 to 1, to a multiplier of the learning rates.

    The multiplier goes from 1 to `end` along half a cosine.

    Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5 without restarts.
    """

    def __init__(self, end: float) -> None:
        self.end = end

    def __call__(self, progress: float) -> float:
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * progress)) / 2


class Linear:
    """Maps the progress of a run, 0 to 1, to a multiplier of the learning rates. It goes linearly from 1 to `end`."""

    def __init__(self, end: float) -> None:
        self.end = end

    def __call__(self, progress: float) -> float:
        return 1 + (self.end - 1) * progress
