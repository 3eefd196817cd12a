"""Schedules of the learning rates.

A schedule is a function of the progress of a run, from 0 to 1. It returns the multiplier of both learning rates, or a
pair: the multiplier of the discriminator's learning rate and that of the generator's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

Schedule = Callable[[float], float | tuple[float, float]]


def multipliers(value: float | tuple[float, float]) -> tuple[float, float]:
    """Return the multipliers of D's and of G's learning rate from what a schedule returns."""
    return value if isinstance(value, tuple) else (value, value)


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


class Inverse:
    """Maps the progress of a run, 0 to 1, to the multipliers (1 + progress / start)^−power of the learning rates.

    A step of gradient descent with learning rate c / t makes θ an average over all past t, so its noise goes to 0:
    Robbins and Monro 1951, "A stochastic approximation method". If the discriminator's learning rate falls more slowly
    than the generator's, the discriminator can follow the generator ever better: Heusel et al. 2017, arXiv 1706.08500,
    theorem 1.

    Args:
        start: the progress after which the learning rates begin to fall like a power of the iteration.
        power_d: the power for the discriminator.
        power_g: the power for the generator.
    """

    def __init__(self, start: float, power_d: float, power_g: float) -> None:
        self.start, self.power_d, self.power_g = start, power_d, power_g

    def __call__(self, progress: float) -> tuple[float, float]:
        base = 1 + progress / self.start
        return base**-self.power_d, base**-self.power_g


def schedulers(schedule: Schedule, optimizers: Sequence[torch.optim.Optimizer], iterations: int) -> list[LambdaLR]:
    """Return a scheduler for D's and one for G's optimizer. `iterations` is the length of the run."""

    def multiplier(player: int) -> Callable[[int], float]:  # a function: of another callable, LambdaLR saves attributes
        return lambda i: multipliers(schedule(min(i / iterations, 1)))[player]

    return [LambdaLR(optimizer, multiplier(player)) for player, optimizer in enumerate(optimizers)]


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
