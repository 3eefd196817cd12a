"""What a run with one seed draws."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from gaussgan.data.distributions import Law, examples_of
from gaussgan.data.gaussian import sample_moments
from gaussgan.data.loader import Batch
from gaussgan.rng import normal, stream, uniform


@dataclass
class Source:
    """The examples, latents and noise of a run as functions of its seed and the epoch.

    Args:
        law: the law of the examples.
        fresh: draw new examples in every epoch, instead of one training set at the start.
        latent_dim: k, the width of the generator's latents.
        instance_noise: standard deviation of the noise that is added to all that the discriminator sees; None for none.
    """

    law: Law
    num_examples: int
    fresh: bool
    latent_dim: int
    seed: int
    instance_noise: float | None = None
    _training_set: Tensor | None = field(default=None, init=False, repr=False)
    _moments: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False, repr=False)  # of each epoch

    def examples(self, epoch: int = 0) -> Tensor:
        """The examples of an epoch in the order in which they were drawn, [num_examples, d]; the same ones in every
        epoch unless `fresh`."""
        if self.fresh:
            return examples_of(self.law, self.num_examples, stream(self.seed, "data", epoch))
        if self._training_set is None:
            self._training_set = examples_of(self.law, self.num_examples, stream(self.seed, "data"))
        return self._training_set

    def moments(self, epochs: int) -> tuple[Tensor, Tensor]:
        """Mean [d] and covariance [d, d] of all that was drawn in so many epochs: the maximum-likelihood fit."""
        epochs = epochs if self.fresh else 1
        for epoch in range(len(self._moments), epochs):
            self._moments.append(sample_moments(self.examples(epoch)))
        means, covs = (torch.stack(moments) for moments in zip(*self._moments[:epochs], strict=True))
        centred = means - means.mean(0)
        return means.mean(0), covs.mean(0) + centred.mT @ centred / epochs

    def draw_epoch(self, epoch: int) -> Batch:
        """All examples of an epoch, shuffled, beside all else that it draws."""
        n = self.num_examples
        order = torch.randperm(n, generator=stream(self.seed, "shuffle", epoch))
        real = self.examples(epoch).index_select(0, order)
        latent = normal(n, self.latent_dim, generator=stream(self.seed, "latent", epoch))
        mix = uniform(n, 1, generator=stream(self.seed, "mix", epoch))
        if self.instance_noise is None:
            return Batch(real, latent, mix)
        noise = self.instance_noise * normal(2, n, real.shape[-1], generator=stream(self.seed, "noise", epoch))
        return Batch(real + noise[0], latent, mix, noise[1])
