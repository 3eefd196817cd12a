"""Optimizers for a player's vector of parameters, and schedules of their rates. Any of torch.optim works too.

Their numbers may be tensors [R, 1] in float64, one for each of R replicas, whose parameters are [R, n].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

Number = float | Tensor
TINY = 1e-30  # the least rate, of which one divides


class Adam(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), the same update as torch.optim.Adam's.

        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   θ ← θ − η · m̂ / (√v̂ + eps)

    with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). A player's parameters are one short vector, for which most of what
    torch.optim.Adam takes is bookkeeping over groups, flags and hooks; `make benchmark` shows by how much.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: Number,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
    ) -> None:
        params = list(params)
        super().__init__(params, _group(params, lr, betas=tuple(betas), eps=eps))

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
                m.lerp_(gradient, _like(theta, 1 - beta1))
                v.lerp_(gradient.square(), _like(theta, 1 - beta2))
                # The rate divides the denominator: so it may be a tensor, at no more operations.
                slowness = _reciprocal(_rate(group) / (1 - beta1 ** state["step"]))
                scale = slowness * (1 - beta2 ** state["step"]) ** -0.5
                denominator = v.sqrt().mul_(_like(theta, scale)).add_(_like(theta, slowness * group["eps"]))
                theta.addcdiv_(m, denominator, value=-1)

    # torch.optim wraps every step for its profiler and its hooks, at half of what the step itself costs.
    step.hooked = True  # type: ignore[attr-defined]


class RMSprop(torch.optim.Optimizer):
    """Gradients over the root of their mean square, the same update as torch.optim.RMSprop's.

        v ← α v + (1 − α) g²,   θ ← θ − η g / (√v + eps)

    Tieleman and Hinton 2012.
    """

    def __init__(self, params: Iterable[Tensor], lr: Number, alpha: Number = 0.99, eps: Number = 1e-8) -> None:
        params = list(params)
        super().__init__(params, _group(params, lr, alpha=alpha, eps=eps))

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for theta in group["params"]:
                state, gradient = self.state[theta], theta.grad
                if not state:
                    state["square_avg"] = torch.zeros_like(theta)
                v = state["square_avg"].lerp_(gradient.square(), _like(theta, 1 - group["alpha"]))
                direction = gradient / v.sqrt().add_(_like(theta, group["eps"]))
                theta.sub_(direction.mul_(_like(theta, _rate(group))))

    step.hooked = True  # type: ignore[attr-defined]


class SGD(torch.optim.Optimizer):
    """Gradient descent with heavy-ball momentum β, which may be negative, as torch.optim.SGD's may not.

        m ← β m + g,   θ ← θ − η m

    Polyak 1964; negative β steadies a game's alternating steps: Gidel et al. 2019, arXiv 1807.04740.
    """

    def __init__(self, params: Iterable[Tensor], lr: Number, momentum: Number = 0.0) -> None:
        params = list(params)
        super().__init__(params, _group(params, lr, momentum=momentum))

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            momentum = group["momentum"]
            for theta in group["params"]:
                direction = theta.grad
                if isinstance(momentum, Tensor) or momentum != 0:
                    state = self.state[theta]
                    if not state:
                        state["momentum_buffer"] = torch.zeros_like(theta)
                    direction = state["momentum_buffer"].mul_(_like(theta, momentum)).add_(direction)
                theta.sub_(direction * _like(theta, _rate(group)))

    step.hooked = True  # type: ignore[attr-defined]


def _group(params: list[Tensor], lr: Number, **numbers: Any) -> dict[str, Any]:
    """A parameter group whose lr is a number, which schedules multiply; `rates` are what replicas have of their own."""
    device = params[0].device

    def place(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(place, value))
        return value.to(device) if isinstance(value, Tensor) else value

    own = isinstance(lr, Tensor)
    return {"lr": 1.0 if own else lr, "rates": place(lr) if own else 1.0, **{k: place(v) for k, v in numbers.items()}}


def _rate(group: dict[str, Any]) -> Any:
    return group["lr"] * group["rates"]


def _reciprocal(rate: Number) -> Number:
    return 1 / rate.clamp(min=TINY) if isinstance(rate, Tensor) else 1 / max(rate, TINY)


def _like(theta: Tensor, value: Number) -> Any:
    """A number as it is; replicas' in the precision of what it is to be multiplied with."""
    return value.to(theta.dtype) if isinstance(value, Tensor) else value
