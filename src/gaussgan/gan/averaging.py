"""The moving average of a generator's parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from gaussgan.gan.state import AverageState


def averaging_rate(half_life: float | Tensor, like: Tensor) -> Tensor:
    """Return the weight 1 − δ of the newest parameters in a moving average, where δ = 2^(−1 / half_life).

    The parameters from half_life updates ago weigh half as much as the newest ones. The result has the device and
    precision of `like`.

    Shapes: one half-life → []; R half-lives, [R] → [R, 1].
    """
    rate = 1 - 0.5 ** (1 / torch.as_tensor(half_life, dtype=torch.float64))
    return (rate.unsqueeze(-1) if rate.ndim else rate).to(like)


def update_average(average: AverageState, theta: Tensor, rate: Tensor) -> None:
    """Update a moving average θ̄ in place: θ̄ ← δ θ̄ + (1 − δ) θ. But the first update sets θ̄ to θ.

    Args:
        average: θ̄, and the weight of θ in this update.
        theta: the new parameters θ.
        rate: 1 − δ, the weight in all later updates, shaped like `average.weight`.
    """
    average.theta.lerp_(theta, average.weight)
    average.weight.copy_(rate)
