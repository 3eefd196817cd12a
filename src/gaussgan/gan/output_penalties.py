"""Penalties of the discriminator's output: terms of D's loss that need no gradient with respect to D's input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gaussgan.gan.penalties import Discriminator, Seen, check_std, perturbed
from gaussgan.gan.player import mean_over_ranks


@dataclass
class Consistency:
    """The penalty γ (D(x) − D(x + δ))², where γ is `weight` and δ ~ N(0, std² I).

    Here x is a real example. The unit of `std` is that of the examples. The logits D(x) are those of D's loss. So this
    penalty costs one more forward pass.
    Zhang, Zhang, Odena, Lee 2020, arXiv 1910.12027, where γ is called λ, and x + δ may be any augmentation of x.

    Raises:
        ValueError: when std is negative.
    """

    weight: float
    std: float = 0.5
    perturbs = True

    def __post_init__(self) -> None:
        check_std(self.std)

    def __call__(self, discriminator: Discriminator, seen: Seen) -> Tensor:
        return self.weight * (seen.real_logits - discriminator(perturbed(seen, self.std))).square()


@dataclass
class LeCam:
    """The penalty γ [max(0, D(x) − ᾱ_G)² + max(0, ᾱ_R − D(G(z)))²], where γ is `weight`.

    Here ᾱ_R and ᾱ_G are moving averages of D's mean logits of real examples x and of generated examples G(z). They
    belong to the state of training. In the first batch they are its means; later they are averages over all earlier
    batches:

        ᾱ ← δ ᾱ + (1 − δ) · the mean logit of the batch,   δ = `decay`

    The averages change whenever D's loss is computed. On several processes a mean is over the whole batch.
    Tseng, Jiang, Liu, Yang, Yang 2021, arXiv 2104.03310, with the authors' code, google/lecam-gan. There the averages
    also contain the current batch.

    Raises:
        ValueError: when the decay is not in [0, 1].
    """

    weight: float
    decay: float = 0.99

    def __post_init__(self) -> None:
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay must be from 0 to 1 (got {self.decay})")

    def start(self, logit: Tensor) -> tuple[Tensor, ...]:
        """Return ᾱ_R and ᾱ_G, initially 0, and a flag that is true after the first batch."""
        return logit.clone(), logit.clone(), torch.zeros((), dtype=torch.bool, device=logit.device)

    def __call__(
        self, discriminator: Discriminator, seen: Seen, average_real: Tensor, average_fake: Tensor, begun: Tensor
    ) -> Tensor:
        anchors = [
            self.anchor(logits, average, begun)
            for logits, average in ((seen.real_logits, average_real), (seen.fake_logits, average_fake))
        ]
        begun.fill_(True)
        real, fake = anchors
        return self.weight * ((seen.real_logits - fake).relu().square() + (real - seen.fake_logits).relu().square())

    def anchor(self, logits: Tensor, average: Tensor, begun: Tensor) -> Tensor:
        """Return the average before this batch, and update it."""
        mean = mean_over_ranks(logits.detach().to(average).mean(-2, keepdim=True))
        anchor = torch.where(begun, average, mean)
        average.copy_(anchor.lerp(mean, 1 - self.decay))
        return anchor
