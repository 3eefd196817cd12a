"""Schedules of the learning rates."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR


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


def advance(scheduler: LambdaLR, iterations: int) -> Tensor:
    """Return the learning rates of the next iterations, [iterations], and let a scheduler make as many steps."""
    (base,), (multiplier,) = scheduler.base_lrs, scheduler.lr_lambdas
    first = scheduler.last_epoch
    rates = [base * multiplier(first + i) for i in range(iterations)]
    scheduler.last_epoch += iterations - 1
    if hasattr(scheduler, "_step_count"):
        scheduler._step_count += iterations - 1
    with warnings.catch_warnings():  # torch does not see the steps of a compiled program
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step\\(\\)`")
        scheduler.step()
    return torch.tensor(rates, dtype=torch.float64)
