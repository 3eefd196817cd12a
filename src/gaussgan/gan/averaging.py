"""The moving average of a generator's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


def exponential(half_life: float | Tensor) -> Callable[..., Any]:
    """For torch's AveragedModel: θ̄ ← δ θ̄ + (1 − δ) θ, so that what was added half_life updates ago weighs half.

        δ = 2^(−1 / half_life)

    Args:
        half_life: in updates; of replicas that differ in it [R], in float64.
    """
    decay = 0.5 ** (1 / half_life)
    if not isinstance(decay, Tensor):
        return get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], _: Any) -> None:
        for average, current in zip(averages, currents, strict=True):
            average.lerp_(current, (1 - decay).view(-1, *[1] * (average.ndim - 1)).to(average))

    return update
