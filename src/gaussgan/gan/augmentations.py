"""Augmentations: random transformations of all examples that the discriminator sees, real and generated.

An augmentation T acts on the distributions, too: the discriminator compares T p with T q. The generator then learns p,
and not T p, if different distributions stay different under T. Such an augmentation does not leak (Karras et al. 2020,
arXiv 2006.06676, section 2.2). An augmentation that changes an example with probability P < 1/2 never leaks, whatever
it does: (1 − P) I + P T has the inverse Σ_k (−P T)^k / (1 − P)^{k+1}, because T does not increase the total variation.

Gradients go through T to the generator (Zhao et al. 2020, arXiv 2006.10738).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad


class Augmentation(Protocol):
    """A random transformation of single examples.

    Attributes:
        draws: n, the number of uniform draws for each example.
        probability: the probability with which an example is transformed; see `augmented`.
    """

    draws: ClassVar[int]
    probability: float

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        """Transform every example. It must be differentiable in x.

        Args:
            x: examples, [..., B, d].
            u: independent draws from the uniform distribution on [0, 1), [..., B, n].
        """
        ...


def draws_of(augmentations: Sequence[Augmentation]) -> int:
    """Return the number of uniform draws that all augmentations need for an example: one more for each, see below."""
    return sum(1 + each.draws for each in augmentations)


def augmented(x: Tensor, augmentations: Sequence[Augmentation], u: Tensor | None) -> Tensor:
    """Apply augmentations one after the other, each to an example with its own probability.

    Args:
        x: examples, [..., B, d].
        u: independent draws from the uniform distribution on [0, 1), [..., B, `draws_of(augmentations)`].
    """
    for each in augmentations:
        assert u is not None
        chosen, own, u = u.tensor_split((1, 1 + each.draws), -1)
        changed = each(x, own)  # in bfloat16, a draw may be 1
        x = changed if each.probability == 1 else torch.where(chosen < each.probability, changed, x)
    return x


@dataclass
class Rotation:
    """Rotates the columns 1 and 2, the columns 3 and 4, and so on, about the origin, by one angle from U[−a, a).

    A distribution on circles is a Fourier series. The rotation multiplies its coefficient n by sin(n a) / (n a), which
    is 0 for no n if a / π is irrational. So it does not leak with probability 1, nor with one below 0.82: then no
    coefficient of (1 − P) I + P T is 0, because sin(x) / x ≥ −0.2173.

    Args:
        angle: a, in radians.
    """

    angle: float
    probability: float
    draws: ClassVar[int] = 1

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        if x.shape[-1] < 2:
            raise ValueError("rotation needs examples with at least two columns")
        angle = self.angle * (2 * u - 1)
        cos, sin = angle.cos().unsqueeze(-1), angle.sin().unsqueeze(-1)
        pairs, *odd = x.split(x.shape[-1] // 2 * 2, -1)
        first, second = pairs.unflatten(-1, (-1, 2)).split(1, -1)
        turned = torch.cat([cos * first - sin * second, sin * first + cos * second], -1).flatten(-2)
        return torch.cat([turned, *odd], -1)


@dataclass
class Scaling:
    """Multiplies an example by a factor e^s, with s from U[−a, a).

    On each ray from the origin, the logarithm of the distance is shifted by s. The characteristic function of s is
    sin(a t) / (a t), which is 0 at single points t only. So it does not leak, with any probability.

    Args:
        log_factor: a.
    """

    log_factor: float
    probability: float
    draws: ClassVar[int] = 1

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        return x * (self.log_factor * (2 * u - 1)).exp()


@dataclass
class Color:
    """Changes the brightness, the saturation and the contrast of an image.

        x ← x + b;   x ← m + s (x − m);   x ← μ + c (x − μ)

    Here b ~ U[−½, ½), s ~ U[0, 2) and c ~ U[½, 3/2). m is the mean over the channels of a pixel, μ that over an image.
    Zhao et al. 2020, arXiv 2006.10738, "color", and its code, for pixels in [−1, 1].

    Args:
        shape: [C, H, W], the number of channels, the height and the width of an image; the setting data.shape.
    """

    shape: Sequence[int]
    probability: float
    draws: ClassVar[int] = 3

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        brightness, saturation, contrast = u.split(1, -1)
        x = x + (brightness - 0.5)
        channels = images(x, self.shape).flatten(-2)  # [..., B, C, H·W]
        grey = channels.mean(-2, keepdim=True)
        x = (grey + 2 * saturation.unsqueeze(-1) * (channels - grey)).flatten(-2)
        mean = x.mean(-1, keepdim=True)
        return mean + (contrast + 0.5) * (x - mean)


@dataclass
class Translation:
    """Moves an image by whole pixels, at most by an eighth of its sides, in both directions. What comes in is 0.

    Zhao et al. 2020, arXiv 2006.10738, "translation", and its code. Sides below 8 do not move.

    Args:
        shape: [C, H, W], the number of channels, the height and the width of an image; the setting data.shape.
    """

    shape: Sequence[int]
    probability: float
    draws: ClassVar[int] = 2

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        image = images(x, self.shape)
        down, right = (each[..., None, None] for each in u.split(1, -1))
        image = _moved(image.transpose(-1, -2), down).transpose(-1, -2)
        return _moved(image, right).flatten(-3)


@dataclass
class Cutout:
    """Sets a rectangle with half the sides of an image to 0. Its centre is anywhere in the image.

    Zhao et al. 2020, arXiv 2006.10738, "cutout", and its code. With probability 1 it leaks: no image is seen whole.

    Args:
        shape: [C, H, W], the number of channels, the height and the width of an image; the setting data.shape.
    """

    shape: Sequence[int]
    probability: float
    draws: ClassVar[int] = 2

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        image = images(x, self.shape)
        down, right = (each[..., None, None] for each in u.split(1, -1))
        inside = _inside(image.shape[-2], down, x).transpose(-1, -2) & _inside(image.shape[-1], right, x)
        return image.masked_fill(inside, 0.0).flatten(-3)


def images(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Return vectors as images, [..., C·H·W] → [..., C, H, W].

    Raises:
        ValueError: when `shape` is not [C, H, W] with C·H·W numbers.
    """
    fits = isinstance(shape, Sequence) and len(shape) == 3 and math.prod(shape) == x.shape[-1]
    if not fits or min(shape) < 1:
        raise ValueError(f"needs images: data.shape=[C,H,W] with C·H·W = {x.shape[-1]} (got {shape})")
    return x.unflatten(-1, tuple(shape))


def _moved(image: Tensor, u: Tensor) -> Tensor:
    """Move images [..., W] by a whole number from U{−s, …, s} along the last dimension, with s = W // 8.

    In bfloat16, draws just below 1 are rounded to 1.
    """
    width, most = image.shape[-1], image.shape[-1] // 8
    wide, chosen = pad(image, (most, most)), (u * (2 * most + 1)).floor().clamp(max=2 * most)
    return sum(((chosen == i) * wide[..., i : i + width] for i in range(2 * most + 1)), torch.zeros_like(image))


def _inside(side: int, u: Tensor, like: Tensor) -> Tensor:
    """Return which of `side` pixels are in a piece of half the length that lies at random, [..., side]."""
    length = side // 2
    begin = (u * (side + 1 - length % 2)).floor().clamp(max=side - length % 2) - length // 2
    place = torch.arange(side, dtype=like.dtype, device=like.device)
    return (place >= begin) & (place < begin + length)
