"""Optimizers for a player's vector of parameters. Any optimizer of torch.optim works too.

A hyperparameter may be a tensor [R, 1] in float64, with one number for each of R replicas. Then the vectors of the
replicas' parameters are the rows of one tensor [R, n]. An optimizer's state is complete before its first step. For
short vectors, torch's own optimizers spend most of their time on parameter groups, flags and hooks; `make benchmark`
shows the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor

Number = float | Tensor
SMALLEST_RATE = 1e-30  # lower bound on the learning rate; avoids division by zero in Adam


class VectorOptimizer(torch.optim.Optimizer):
    """The base class of the optimizers below. Replicas may have different hyperparameters.

    Args:
        params: the tensors that the optimizer changes. A player passes one tensor, its vector of parameters.
        lr: the learning rate.
        numbers: the other hyperparameters, by name.
    """

    def __init__(self, params: Iterable[Tensor], lr: Number, **numbers: Any) -> None:
        params = list(params)
        device = params[0].device
        # A schedule multiplies `lr`, so `lr` must be one number. The learning rates of replicas are in `rates`.
        lr, rates = (1.0, lr.to(device)) if isinstance(lr, Tensor) else (lr, 1.0)
        numbers = {key: _placed(value, device) for key, value in numbers.items()}
        super().__init__(params, {"lr": lr, "rates": rates, **numbers})
        for theta in params:
            self.state[theta] = self.initial_state(theta)

    def initial_state(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the optimizer's state for the vector `theta` before the first step, as a map from names to tensors."""
        raise NotImplementedError

    def update(self, theta: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        """Make one step: change `theta` and `state` in place. `group` maps hyperparameters' names to their values."""
        raise NotImplementedError

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for theta in group["params"]:
                self.update(theta, theta.grad, self.state[theta], group)

    # This attribute stops torch.optim from wrapping `step` for its profiler and hooks. The wrapper takes half as long
    # as the step.
    step.hooked = True  # type: ignore[attr-defined]

    # The wrappers around these methods of torch.optim only serve torch.compile, and import it, which takes a second.
    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copy a saved state into the state of this optimizer.

        Each tensor keeps its precision. The method of torch.optim would convert float64 to float32.

        Of the hyperparameters, only `lr` and `initial_lr` are loaded, with or without a schedule. The others come from
        the configuration, also the replicas' learning rates, `rates`.
        """
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({key: saved[key] for key in ("lr", "initial_lr") if key in saved})
            for theta, index in zip(group["params"], saved["params"], strict=True):
                for name, tensor in self.state[theta].items():
                    tensor.copy_(state_dict["state"][index][name])


class Adam(VectorOptimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980): the same update as torch.optim.Adam.

        m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   θ ← θ − η · m̂ / (√v̂ + eps)

    with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). Here g is the gradient, η is the learning rate, and m and v are 0
    before the first step. The state holds 1 − β₁ᵗ and 1 − β₂ᵗ instead of the step count t.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: Number,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
    ) -> None:
        super().__init__(params, lr, betas=tuple(betas), eps=eps)

    def initial_state(self, theta: Tensor) -> dict[str, Tensor]:
        precision = torch.float32 if theta.device.type == "mps" else torch.float64  # MPS has no float64
        shapes = (beta.shape[:1] if isinstance(beta, Tensor) else () for beta in self.param_groups[0]["betas"])
        corrections = (theta.new_zeros(shape, dtype=precision) for shape in shapes)
        names = ("exp_avg", "exp_avg_sq", "correction", "correction_sq")
        return dict(zip(names, (torch.zeros_like(theta), torch.zeros_like(theta), *corrections), strict=True))

    def update(self, theta: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        m, v, c1, c2 = self.update_moments(theta, gradient, state, group)
        # The denominator is divided by the learning rate. So a learning rate that is a tensor needs no extra operation.
        slowness = c1 * _reciprocal(_rate(group))
        denominator = _root(v).mul(_rows(theta, slowness * c2.rsqrt())).add_(_rows(theta, slowness * group["eps"]))
        theta.addcdiv_(m, denominator, value=-1)

    @staticmethod
    def update_moments(
        theta: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Update m, v, 1 − β₁ᵗ and 1 − β₂ᵗ, and return them. For replicas the last two are [R, 1]."""
        beta1, beta2 = group["betas"]
        m, v, c1, c2 = state["exp_avg"], state["exp_avg_sq"], state["correction"], state["correction_sq"]
        c1, c2 = (c.unsqueeze(-1) if c.ndim else c for c in (c1, c2))  # for replicas [R, 1], to broadcast with [R, n]
        m.lerp_(gradient, _like(theta, 1 - beta1))
        v.lerp_(gradient.square(), _like(theta, 1 - beta2))
        c1.mul_(beta1).add_(1 - beta1)
        c2.mul_(beta2).add_(1 - beta2)
        return m, v, c1, c2


class OptimisticAdam(Adam):
    """Optimistic Adam (Daskalakis et al. 2018, arXiv 1711.00141, algorithm 1).

        θ ← θ − 2 η s_t + η s_{t−1},   s_t = m̂_t / (√v̂_t + eps)

    Here s_t is the step of `Adam` without its learning rate η, and s_0 = 0. The state holds s_{t−1}. If η changes, both
    terms have the current η. The paper moves both players at once, as the update rule `Simultaneous` does.
    """

    def initial_state(self, theta: Tensor) -> dict[str, Tensor]:
        return {**super().initial_state(theta), "last_step": torch.zeros_like(theta)}

    def update(self, theta: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        m, v, c1, c2 = self.update_moments(theta, gradient, state, group)
        denominator = _root(v).mul(_rows(theta, c1 * c2.rsqrt())).add_(_rows(theta, c1 * group["eps"]))
        step, last = m / denominator, state["last_step"]
        theta.sub_((2 * step - last).mul_(_like(theta, _rate(group))))
        last.copy_(step)


class RMSprop(VectorOptimizer):
    """RMSprop: the same update as torch.optim.RMSprop.

        v ← α v + (1 − α) g²,   θ ← θ − η g / (√v + eps)

    Here g is the gradient, η is the learning rate, and v is 0 before the first step. Tieleman and Hinton 2012.
    """

    def __init__(self, params: Iterable[Tensor], lr: Number, alpha: Number = 0.99, eps: Number = 1e-8) -> None:
        super().__init__(params, lr, alpha=alpha, eps=eps)

    def initial_state(self, theta: Tensor) -> dict[str, Tensor]:
        return {"square_avg": torch.zeros_like(theta)}

    def update(self, theta: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        v = state["square_avg"].lerp_(gradient.square(), _like(theta, 1 - group["alpha"]))
        direction = gradient / _root(v).add(_like(theta, group["eps"]))
        theta.sub_(direction.mul_(_like(theta, _rate(group))))


class SGD(VectorOptimizer):
    """Gradient descent with heavy-ball momentum β. Unlike in torch.optim.SGD, β may be negative.

        m ← β m + g,   θ ← θ − η m

    Here g is the gradient, η is the learning rate, and m is 0 before the first step. Polyak 1964. Negative β stabilises
    alternating steps in a game: Gidel et al. 2019, arXiv 1807.04740.
    """

    def __init__(self, params: Iterable[Tensor], lr: Number, momentum: Number = 0.0) -> None:
        super().__init__(params, lr, momentum=momentum)

    def initial_state(self, theta: Tensor) -> dict[str, Tensor]:
        momentum = self.param_groups[0]["momentum"]
        return {"momentum_buffer": torch.zeros_like(theta)} if isinstance(momentum, Tensor) or momentum else {}

    def update(self, theta: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        if state:
            gradient = state["momentum_buffer"].mul_(_like(theta, group["momentum"])).add_(gradient)
        theta.sub_(gradient * _like(theta, _rate(group)))


def with_explicit_state(optimizer: torch.optim.Optimizer) -> VectorOptimizer:
    """Return an optimizer whose state is part of `PlayerState`.

    Raises:
        TypeError: when the optimizer comes from torch.optim, because such an optimizer keeps its own state.
    """
    if not isinstance(optimizer, VectorOptimizer):
        raise TypeError(f"{type(optimizer).__name__} keeps its own state; use gaussgan.gan.optimizers instead")
    return optimizer


def load_tensors(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Copy the saved state of one tensor of parameters into an optimizer. Its hyperparameters stay as they are.

    Args:
        optimizer: an optimizer of one tensor.
        state: maps the names of the state's tensors to their values, such as those of `initial_state`. If it is empty,
            nothing changes.
    """
    if state:
        optimizer.load_state_dict({"state": {0: state}, "param_groups": optimizer.state_dict()["param_groups"]})


def _placed(value: Any, device: torch.device) -> Any:
    if isinstance(value, tuple):
        return tuple(_placed(entry, device) for entry in value)
    return value.to(device) if isinstance(value, Tensor) else value


def _root(v: Tensor) -> Tensor:
    """Return √v. If it is differentiated, its derivative at 0 is 0, not infinite."""
    return v.clamp(min=torch.finfo(v.dtype).tiny).sqrt() if v.requires_grad else v.sqrt()


def _rate(group: dict[str, Any]) -> Any:
    return group["lr"] * group["rates"]


def _reciprocal(rate: Number) -> Number:
    return 1 / rate.clamp(min=SMALLEST_RATE) if isinstance(rate, Tensor) else 1 / max(rate, SMALLEST_RATE)


def _like(theta: Tensor, value: Number) -> Any:
    """Return a number unchanged; convert a tensor to the precision of θ."""
    return value.to(theta.dtype) if isinstance(value, Tensor) else value


def _rows(theta: Tensor, value: Tensor) -> Tensor:
    """Convert a tensor [R, 1] to the precision of θ. Torch converts a tensor [] itself, faster."""
    return value.to(theta.dtype) if value.ndim else value
