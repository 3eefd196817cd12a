"""Generators and discriminators as plain nn.Modules. All their parameters, biases included, start from N(0, std²)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gaussgan.streams import normal


class Linear(nn.Linear):
    """The affine map G(z) = z Wᵀ + c, [..., in_features] → [..., out_features].

    As a generator it is the textbook's: under z ~ N(0, I) its law is exactly N(c, W Wᵀ).

    Args:
        std: standard deviation of the initial parameters.
        rng: what they are drawn from.
    """

    def __init__(self, in_features: int, out_features: int, std: float, rng: torch.Generator) -> None:
        super().__init__(in_features, out_features)
        draw_parameters(self, std, rng)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the output under N(0, I) inputs, in float64 on the CPU."""
        weight = self.weight.cpu().double()  # there, because MPS has no float64
        return self.bias.cpu().double(), weight @ weight.mT


class MLP(nn.Sequential):
    """A multilayer perceptron with tanh units, [..., in_features] → [..., out_features].

    Args:
        widths: the numbers of hidden units; [5, 3] is the textbook's discriminator.
        std: standard deviation of the initial parameters.
        rng: what they are drawn from.

    Raises:
        ValueError: when a width is not a whole number of at least 1.
    """

    def __init__(
        self, in_features: int, widths: Sequence[int], out_features: int, std: float, rng: torch.Generator
    ) -> None:
        if isinstance(widths, str) or not all(isinstance(width, int) and width >= 1 for width in widths):
            raise ValueError(f"widths must be a list of whole numbers of at least 1 (got {widths})")
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([in_features, *widths, out_features]):
            layers += [nn.Linear(fan_in, fan_out), nn.Tanh()]
        super().__init__(*layers[:-1])
        self.in_features, self.out_features = in_features, out_features
        draw_parameters(self, std, rng)


@torch.no_grad()
def draw_parameters(module: nn.Module, std: float, rng: torch.Generator) -> None:
    """Draw every parameter of a module from N(0, std²), in the order in which it lists them."""
    for parameter in module.parameters():
        parameter.copy_(normal(*parameter.shape, generator=rng) * std)
