"""Relativistic average objectives: compare each example with the mean over the examples of the other kind.

Jolicoeur-Martineau 2019, arXiv 1807.00734. The loss of an example depends on the means over the whole batch. So a run
with these objectives needs `trainer.devices=1`.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from gaussgan.gan.objectives import logistic_loss


class RelativisticAverage:
    """The original GAN on the differences x̃ = D(x) − E D(y) and ỹ = D(y) − E D(x). The paper calls it RaSGAN.

        L_D = ½ [−log σ(x̃) − log(1 − σ(ỹ))],   L_G = −log σ(ỹ) − log(1 − σ(x̃))

    Here x is a real example, y = G(z) is a generated example, E is the mean over the batch, and σ is the sigmoid. When
    D sees no difference, L_D is log 2 and L_G is 2 log 2.
    """

    paired = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return logistic_loss(*differences(real, fake))

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        assert real is not None
        real, fake = differences(real, fake)
        return softplus(-fake) + softplus(real)


class RelativisticAverageLeastSquares:
    """Least squares on the differences x̃ = D(x) − E D(y) and ỹ = D(y) − E D(x). The paper calls it RaLSGAN.

        L_D = ½ [(x̃ − 1)² + (ỹ + 1)²],   L_G = (ỹ − 1)² + (x̃ + 1)²

    Here x is a real example, y = G(z) is a generated example, and E is the mean over the batch. The optimal D is
    c (p − q) / (p + q) + a constant, with c = 2 / (1 + 3/2 ∫ (p − q)² / (p + q)). Here p is the density of the data and
    q is the density of generated examples.
    """

    paired = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        real, fake = differences(real, fake)
        return ((real - 1).square() + (fake + 1).square()) / 2

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        assert real is not None
        real, fake = differences(real, fake)
        return (fake - 1).square() + (real + 1).square()


def differences(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return D(x) − E D(y) and D(y) − E D(x), where E is the mean over the batch."""
    return real - fake.mean(-2, keepdim=True), fake - real.mean(-2, keepdim=True)
