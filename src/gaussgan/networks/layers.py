"""Layers of networks: [..., in_features] → [..., out_features].

A layer with `replicable = True` can also hold the parameters of R replicas, with a leading dimension R. Then it maps
[R, ..., B, in_features] to [R, ..., B, out_features].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from gaussgan.rng import normal


class Linear(nn.Linear):
    """The affine map z Wᵀ + c with weights W and bias c; the linear map z Wᵀ if `bias` is false.

    For z ~ N(0, I), the distribution of the output is exactly N(c, W Wᵀ).

    Args:
        std: standard deviation of the initial parameters.
        rng: the random number generator for the initial parameters.
        mean: mean of the initial parameters.
    """

    replicable = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        std: float,
        rng: torch.Generator,
        mean: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__(in_features, out_features, bias)
        draw_parameters(self, std, rng, mean)

    def reset_parameters(self) -> None:
        """Draw nothing, where `nn.Linear` would draw parameters from torch's global generator."""

    def forward(self, x: Tensor) -> Tensor:
        return affine(x, self.weight, self.bias)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return the mean and covariance of the output for z ~ N(0, I), in float64 on the CPU."""
        weight = self.weight.cpu().double()  # MPS has no float64
        mean = weight.new_zeros(weight.shape[:-1]) if self.bias is None else self.bias.cpu().double()
        return mean, weight @ weight.mT


class SpectralLinear(nn.Module):
    """The affine map z (W / σ)ᵀ + c with weights W and bias c, where σ estimates the spectral norm of W.

    Each forward pass in training mode improves the estimate σ by one step of power iteration. In evaluation mode the
    vectors u and v of the estimate σ = uᵀ W v do not change. Miyato et al. 2018, arXiv 1802.05957, algorithm 1.

    Args:
        std: standard deviation of the initial parameters.
        rng: the random number generator for the initial parameters.
    """

    replicable = True
    u: Tensor
    v: Tensor

    def __init__(self, in_features: int, out_features: int, std: float, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        draw_parameters(self, std, rng)
        self.register_buffer("u", normalize(normal(out_features, generator=rng), dim=-1))
        self.register_buffer("v", normalize(normal(in_features, generator=rng), dim=-1))
        self._power_iteration(15)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self._power_iteration(1)
        u, v = self.u.clone(), self.v.clone()  # backward needs these values; the next call changes the buffers
        sigma = u.unsqueeze(-2) @ self.weight @ v.unsqueeze(-1)
        return affine(x, self.weight / sigma.view(*sigma.shape[:-2], 1, 1), self.bias)

    @torch.no_grad()
    def _power_iteration(self, steps: int) -> None:
        for _ in range(steps):
            self.u.copy_(normalize((self.weight @ self.v.unsqueeze(-1)).squeeze(-1), dim=-1, eps=1e-12))
            self.v.copy_(normalize((self.weight.mT @ self.u.unsqueeze(-1)).squeeze(-1), dim=-1, eps=1e-12))


@torch.no_grad()
def draw_parameters(module: nn.Module, std: float, rng: torch.Generator, mean: float = 0.0) -> None:
    """Draw every parameter of a module from N(mean, std²), in the order of `module.parameters()`.

    Parameters on torch's meta device hold no numbers, so none are drawn: torch would first import its compiler for it.
    """
    for parameter in module.parameters():
        if not parameter.is_meta:
            parameter.normal_(mean, std, generator=rng)


def check_widths(widths: Sequence[int]) -> None:
    """Check a list of layer widths.

    Raises:
        ValueError: when `widths` is not a list of whole numbers of at least 1.
    """
    is_list = isinstance(widths, Sequence) and not isinstance(widths, str)
    if not is_list or not all(type(width) is int and width >= 1 for width in widths):
        raise ValueError(f"widths must be a list of whole numbers of at least 1 (got {widths})")


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x Wᵀ + c, where W is `weight` and c is `bias`; x Wᵀ if `bias` is None.

    Shapes: x [..., k], W [d, k], c [d] → [..., d]; for replicas x [R, ..., B, k], W [R, d, k], c [R, d] →
    [R, ..., B, d].
    """
    if weight.ndim == 2:
        return linear(x, weight, bias)
    rows = x.flatten(1, -2)
    # Without gradients, B is usually large. Then a product with columns of B numbers is three times as fast.
    y = torch.bmm(rows, weight.mT) if torch.is_grad_enabled() else torch.bmm(weight, rows.mT).mT
    if bias is not None:
        y += bias.unsqueeze(1)  # up to eight times as fast as torch.baddbmm, which copies the bias to every row
    return y if x.ndim == 3 else y.unflatten(1, x.shape[1:-1])


def along(vector: Tensor, x: Tensor) -> Tensor:
    """Reshape `vector` so that it broadcasts with x along all dimensions but the last.

    Shapes: vector [d] with x [..., k] → [d]; for replicas vector [R, d] with x [R, ..., k] → [R, 1, ..., d].
    """
    return vector if vector.ndim == 1 else vector.view(len(vector), *[1] * (x.ndim - 2), -1)
