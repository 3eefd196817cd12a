"""Convolutional generators and discriminators. Outside of these networks an image is a vector of C·H·W numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from gaussgan.data.checks import check_count
from gaussgan.networks.layers import Linear, draw_parameters

SLOPE = 0.2  # of the leaky ReLUs for negative numbers
SMALLEST = 2  # the longest side of the smallest images inside a network


class ConvGenerator(nn.Module):
    """A generator of images: an affine map makes a small image with many channels, and each layer doubles its sides.

    The layers are transposed convolutions with 4 × 4 weights and stride 2. Each of them halves the number of channels.
    Before each layer comes a leaky ReLU of slope 0.2, after the last one tanh. The smallest sides are at most 2. There
    is no batch norm, so an image depends on its own latent alone. See `he_std` for the initial parameters.
    Radford, Metz, Chintala 2016, arXiv 1511.06434.

    Shapes: latents [..., in_features] → images as vectors, [..., C·H·W].

    Args:
        shape: [C, H, W], the number of channels, the height and the width of an image; the setting data.shape.
        width: the number of channels at half the sides. At a quarter, there are twice as many, and so on.
        rng: the random number generator for the initial parameters.
        tanh: false to end without tanh. With tanh, pixels are in [-1, 1], where most pixels of pictures are at an end.

    Raises:
        ValueError: when `shape` is not three whole numbers of at least 1, or `width` is not one such number.
    """

    def __init__(
        self, in_features: int, shape: Sequence[int], width: int, rng: torch.Generator, tanh: bool = True
    ) -> None:
        super().__init__()
        self.tanh = tanh
        self.sizes, channels = _pyramid(shape, width)
        self.input = Linear(in_features, channels[-1] * math.prod(self.sizes[-1]), he_std(in_features), rng)
        self.layers = nn.ModuleList(DoublingConv(wide, narrow, rng) for wide, narrow in pairwise(reversed(channels)))

    def forward(self, z: Tensor) -> Tensor:
        x = self.input(z.flatten(0, -2)).unflatten(-1, (-1, *self.sizes[-1]))
        for layer, (height, width) in zip(self.layers, self.sizes[-2::-1], strict=True):
            x = layer(leaky_relu(x, SLOPE))[..., :height, :width]  # an odd side is one less than twice its half
        return (x.tanh() if self.tanh else x).reshape(*z.shape[:-1], -1)


class ConvDiscriminator(nn.Module):
    """A discriminator of images: each layer halves the sides of an image, and an affine map makes the logit.

    The layers are convolutions with 4 × 4 weights and stride 2. Each of them doubles the number of channels. A leaky
    ReLU of slope 0.2 follows. Odd sides are halved upwards, and the smallest sides are at most 2. There is no pooling
    and no batch norm. See `he_std` for the initial parameters.
    Radford, Metz, Chintala 2016, arXiv 1511.06434.

    Shapes: images as vectors, [..., C·H·W] → logits [..., 1].

    Args:
        shape: [C, H, W], the number of channels, the height and the width of an image; the setting data.shape.
        width: the number of channels at half the sides. At a quarter, there are twice as many, and so on.
        rng: the random number generator for the initial parameters.

    Raises:
        ValueError: when `shape` is not three whole numbers of at least 1, or `width` is not one such number.
    """

    def __init__(self, shape: Sequence[int], width: int, rng: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        self.sizes, channels = _pyramid(shape, width)
        self.layers = nn.ModuleList(HalvingConv(narrow, wide, rng) for narrow, wide in pairwise(channels))
        features = channels[-1] * math.prod(self.sizes[-1])
        self.output = Linear(features, 1, he_std(features), rng)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != math.prod(self.shape):
            raise ValueError(f"data.shape={self.shape} must be [C, H, W] with C·H·W = {x.shape[-1]}")
        h = x.reshape(-1, *self.shape)
        for layer, (height, width) in zip(self.layers, self.sizes, strict=False):
            h = leaky_relu(layer(pad(h, (0, width % 2, 0, height % 2))), SLOPE)
        return self.output(h.flatten(1)).reshape(*x.shape[:-1], 1)


class HalvingConv(nn.Conv2d):
    """The convolution with 4 × 4 weights and stride 2, for even sides: [n, C, H, W] → [n, D, H/2, W/2].

    Args:
        rng: the random number generator for the initial parameters; see `he_std`.
    """

    def __init__(self, channels: int, out_channels: int, rng: torch.Generator) -> None:
        super().__init__(channels, out_channels, 4, stride=2, padding=1)
        draw_parameters(self, he_std(channels * 4**2), rng)

    def reset_parameters(self) -> None:
        """Draw nothing, where `nn.Conv2d` would draw parameters from torch's global generator."""


class DoublingConv(nn.ConvTranspose2d):
    """The transposed convolution with 4 × 4 weights and stride 2: [n, C, H, W] → [n, D, 2H, 2W].

    Args:
        rng: the random number generator for the initial parameters; see `he_std`.
    """

    def __init__(self, channels: int, out_channels: int, rng: torch.Generator) -> None:
        super().__init__(channels, out_channels, 4, stride=2, padding=1)
        draw_parameters(self, he_std(channels * 2**2), rng)  # of 4 × 4 weights, 2 × 2 enter each pixel

    def reset_parameters(self) -> None:
        """Draw nothing, where `nn.ConvTranspose2d` would draw parameters from torch's global generator."""


def he_std(fan_in: int) -> float:
    """Return the standard deviation √(2 / ((1 + 0.2²) n)) of the initial parameters of a layer.

    Here n, `fan_in`, is the number of inputs that enter each output. From layer to layer, the mean square of the
    numbers after a leaky ReLU of slope 0.2 then stays about the same.
    He et al. 2015, arXiv 1502.01852, equation 15. Biases are drawn like weights.
    """
    return math.sqrt(2 / ((1 + SLOPE**2) * fan_in))


def _pyramid(shape: Sequence[int], width: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the sizes (height, width) and the numbers of channels of images in a network, from the largest image on.

    Raises:
        ValueError: when `shape` is not three whole numbers of at least 1, or `width` is not one such number.
    """
    check_count("width", width)
    if not isinstance(shape, Sequence):  # build_networks replaces null by the dimension of the data
        raise ValueError("needs data.shape=[C,H,W], the channels, height and width of an image")
    if len(shape) != 3 or not all(type(side) is int and side >= 1 for side in shape):
        raise ValueError(f"data.shape must be [C,H,W], three whole numbers of at least 1 (got {shape})")
    sizes, channels = [(shape[1], shape[2])], [shape[0]]
    while max(sizes[-1]) > SMALLEST:
        height, across = sizes[-1]
        sizes.append(((height + 1) // 2, (across + 1) // 2))
        channels.append(width * 2 ** (len(channels) - 1))
    return sizes, channels
