"""Objectives of a whole batch: G makes the distance between two samples of D's outputs small, and D makes it large.

Here D is no verdict: it maps examples to a feature in which the two samples are compared. So neither a high nor a low
output means that an example looks real. A penalty, weight clipping or spectral norm must keep D Lipschitz, otherwise D
makes any distance large by its scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gaussgan.config.schema import is_number

Kernel = Callable[[Tensor], Tensor]


class MMD:
    """The squared maximum mean discrepancy between D's outputs of real examples x and of generated examples y = G(z).

        MMD² = E k(D(x), D(x')) + E k(D(y), D(y')) − 2 E k(D(x), D(y)),   L_D = −½ MMD²,   L_G = MMD²

    Here x' and y' are other examples than x and y, and E is the mean over the batch, without pairs of an example with
    itself. So the mean of each loss is an unbiased estimate. The loss of example i is the part of the sum in which
    example i is the first of a pair. With `Distance` as k, MMD² is the energy distance of the Cramér GAN. With
    `GaussianMixture` it is the loss of MMD GAN.

    Li, Chang, Cheng, Yang, Póczos 2017, arXiv 1705.08584; Bińkowski, Sutherland, Arbel, Gretton 2018, arXiv 1801.01401;
    Bellemare et al. 2017, arXiv 1705.10743.

    Args:
        kernel: k, as an even function of the difference D(x) − D(y).

    Raises:
        ValueError: from the losses, when a batch has fewer than two examples.
    """

    paired = True

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return -self.squared(real, fake) / 2

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        assert real is not None
        return self.squared(real, fake)

    def squared(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return numbers, [..., B, 1], whose mean over the batch is the estimate of MMD²."""
        n = real.shape[-2]
        if n < 2:
            raise ValueError(f"MMD needs at least two examples (got {n})")
        within = (self.sums(real, real) + self.sums(fake, fake) - 2 * self.kernel(real.new_zeros(()))) / (n - 1)
        across = self.kernel(real - fake.mT)  # k(D(x_i), D(y_j))
        return within - (across.sum(-1, keepdim=True) + across.sum(-2, keepdim=True).mT) / n

    def sums(self, a: Tensor, b: Tensor) -> Tensor:
        """Return Σ_j k(a_i, b_j) for each i, [..., B, 1]."""
        return self.kernel(a - b.mT).sum(-1, keepdim=True)


class GaussianMixture:
    """The kernel k(d) = Σ_σ exp(−d² / (2 σ²)), a sum over several widths σ. The default widths are those of MMD GAN.

    Raises:
        ValueError: when `widths` is not a list of finite numbers above 0.
    """

    def __init__(self, widths: Sequence[float] = (1, 2, 4, 8, 16)) -> None:
        if (
            not isinstance(widths, Sequence)
            or not widths
            or not all(is_number(width) and width > 0 for width in widths)
        ):
            raise ValueError(f"widths must be a list of numbers above 0 (got {widths})")
        self.widths = [float(width) for width in widths]

    def __call__(self, difference: Tensor) -> Tensor:
        return torch.stack([(difference.square() / (-2 * width**2)).exp() for width in self.widths]).sum(0)


class Distance:
    """The kernel k(d) = −|d| of the energy distance 2 E |a − b| − E |a − a'| − E |b − b'|."""

    def __call__(self, difference: Tensor) -> Tensor:
        return -difference.abs()
