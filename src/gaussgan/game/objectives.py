"""What each player minimises, as functions of the logits of real and of generated examples.

All map logits [..., B, 1] to losses of single examples, [..., B, 1]. The discriminator's is half of what the literature
adds up, so that it reads log 2 = 0.693 where it cannot tell the two apart.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn.functional import softplus


class Objective(Protocol):
    """A loss for each player; the generator's is not given the real logits (None) as long as none makes use of them."""

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor: ...

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor: ...


class NonSaturating:
    """The original GAN with the generator's loss that keeps its gradient when the discriminator wins.

        L_D = ½ [−log σ(D(x)) − log(1 − σ(D(G(z))))],   L_G = −log σ(D(G(z)))

    Goodfellow et al. 2014, arXiv 1406.2661, section 3.
    """

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return (softplus(-real) + softplus(fake)) / 2

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return softplus(-fake)
