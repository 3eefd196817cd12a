"""Generators and discriminators as plain nn.Modules: [..., in_features] → [..., out_features]."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gaussgan.data.checks import check_count
from gaussgan.networks.layers import Linear, SpectralLinear, affine, along, check_widths, draw_parameters


class Location(nn.Module):
    """The generator of the Dirac-GAN: G(z) = θ for every latent z. The parameter θ is a vector [out_features].

    Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406, definition 2.1.

    Args:
        std: standard deviation of the entries of the initial θ.
        rng: the random number generator for the initial θ.
        mean: mean of the entries of the initial θ.
    """

    replicable = True

    def __init__(
        self, in_features: int, out_features: int, std: float, rng: torch.Generator, mean: float = 0.0
    ) -> None:
        super().__init__()
        self.location = nn.Parameter(torch.empty(out_features))
        draw_parameters(self, std, rng, mean)

    def forward(self, z: Tensor) -> Tensor:
        return along(self.location, z).expand(*z.shape[:-1], -1)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return the mean θ and the covariance 0 of the output, in float64 on the CPU."""
        mean = self.location.cpu().double()
        return mean, torch.zeros_like(mean.unsqueeze(-1) * mean.unsqueeze(-2))


class MLP(nn.Sequential):
    """A multilayer perceptron.

    Args:
        widths: the number of units in each hidden layer, such as [5, 3].
        std: standard deviation of the initial parameters of the affine maps.
        rng: the random number generator for the initial parameters.
        activation: the activation after each hidden layer; tanh by default.
        batch_norm: normalise each hidden layer over the batch before its activation (Ioffe and Szegedy 2015, arXiv
            1502.03167). If true, the input must be [B, in_features].
        spectral_norm: divide the weights of every affine map by an estimate of their spectral norm; see
            `SpectralLinear`.

    Raises:
        ValueError: when a width is not a whole number of at least 1.
    """

    replicable = True

    def __init__(
        self,
        in_features: int,
        widths: Sequence[int],
        out_features: int,
        std: float,
        rng: torch.Generator,
        activation: nn.Module | None = None,
        batch_norm: bool = False,
        spectral_norm: bool = False,
    ) -> None:
        check_widths(widths)
        layer = SpectralLinear if spectral_norm else Linear
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([in_features, *widths]):
            layers.append(layer(fan_in, fan_out, std, rng))
            layers += [nn.BatchNorm1d(fan_out)] if batch_norm else []
            layers.append(activation or nn.Tanh())
        super().__init__(*layers, layer([in_features, *widths][-1], out_features, std, rng))


class Quadratic(nn.Module):
    """The quadratic discriminator D(x) = xᵀ Q x + wᵀ x + c.

    If p and q are densities of Gaussians, log p/q has this form.

    Shapes: [..., in_features] → [..., 1].

    Args:
        std: standard deviation of the initial parameters.
        rng: the random number generator for the initial parameters.
    """

    replicable = True

    def __init__(self, in_features: int, std: float, rng: torch.Generator) -> None:
        super().__init__()
        self.quadratic = nn.Parameter(torch.empty(in_features, in_features))
        self.linear = nn.Parameter(torch.empty(in_features))
        self.constant = nn.Parameter(torch.empty(1))
        draw_parameters(self, std, rng)

    def forward(self, x: Tensor) -> Tensor:
        rows = affine(x, self.quadratic.mT, self.linear)
        return (rows * x).sum(-1, keepdim=True) + along(self.constant, x)


class Maxout(nn.Module):
    """A perceptron in which each hidden unit is the maximum of several affine maps.

    Goodfellow et al. 2013, arXiv 1302.4389.

    Args:
        widths: the number of units in each hidden layer.
        pieces: the number of affine maps in each hidden unit.
        std: standard deviation of the initial parameters.
        rng: the random number generator for the initial parameters.

    Raises:
        ValueError: when `pieces` or an entry of `widths` is not a whole number of at least 1.
    """

    replicable = True

    def __init__(
        self, in_features: int, widths: Sequence[int], pieces: int, out_features: int, std: float, rng: torch.Generator
    ) -> None:
        check_widths(widths)
        check_count("pieces", pieces)
        super().__init__()
        hidden = [Linear(fan_in, fan_out * pieces, std, rng) for fan_in, fan_out in pairwise([in_features, *widths])]
        self.hidden = nn.ModuleList(hidden)
        self.pieces = pieces
        self.output = Linear([in_features, *widths][-1], out_features, std, rng)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = layer(x).unflatten(-1, (-1, self.pieces)).amax(-1)
        return self.output(x)
