"""Optimizers for a player's vector of parameters, and schedules of their rates. Any of torch.optim works too."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

MAX = torch.finfo(torch.float32).max  # a rate beyond it is an error of torch's, not the divergence that it means


class Adam(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), the same update as torch.optim.Adam's.

        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   θ ← θ − η · m̂ / (√v̂ + eps)

    with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). A player's parameters are one short vector, for which most of what
    torch.optim.Adam takes is bookkeeping over groups, flags and hooks; `make benchmark` shows by how much.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for theta in group["params"]:
                state = self.state[theta]
                if not state:
                    state.update(step=0, exp_avg=torch.zeros_like(theta), exp_avg_sq=torch.zeros_like(theta))
                state["step"] += 1
                m, v, gradient = state["exp_avg"], state["exp_avg_sq"], theta.grad
                m.lerp_(gradient, 1 - beta1)
                v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
                rate = min(group["lr"] / (1 - beta1 ** state["step"]), MAX)
                denominator = v.sqrt().mul_((1 - beta2 ** state["step"]) ** -0.5).add_(group["eps"])
                theta.addcdiv_(m, denominator, value=-rate)

    # torch.optim wraps every step for its profiler and its hooks, at half of what the step itself costs.
    step.hooked = True  # type: ignore[attr-defined]


class SGD(torch.optim.Optimizer):
    """Gradient descent with heavy-ball momentum β, which may be negative, as torch.optim.SGD's may not.

        m ← β m + g,   θ ← θ − η m

    Polyak 1964; negative β steadies a game's alternating steps: Gidel et al. 2019, arXiv 1807.04740.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for theta in group["params"]:
                direction = theta.grad
                if group["momentum"] != 0:
                    state = self.state[theta]
                    if not state:
                        state["momentum_buffer"] = torch.zeros_like(theta)
                    direction = state["momentum_buffer"].mul_(group["momentum"]).add_(direction)
                theta.sub_(direction * group["lr"])

    step.hooked = True  # type: ignore[attr-defined]


class Cosine:
    """The rate, as a share of the first, from 1 to `end` along half a cosine of the run's progress from 0 to 1.

    Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5 without restarts.
    """

    def __init__(self, end: float) -> None:
        self.end = end

    def __call__(self, progress: float) -> float:
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * progress)) / 2


class Linear:
    """The rate, as a share of the first, from 1 to `end` in a straight line over the run's progress from 0 to 1."""

    def __init__(self, end: float) -> None:
        self.end = end

    def __call__(self, progress: float) -> float:
        return 1 + (self.end - 1) * progress
