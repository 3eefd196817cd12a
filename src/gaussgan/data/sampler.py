"""The random draws for the training of a run with one seed: examples, their order, latents and noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from gaussgan.data.distributions import Distribution, examples_of
from gaussgan.data.gaussian import sample_moments
from gaussgan.data.loader import Batch
from gaussgan.rng import normal, stream, uniform


@dataclass
class Source:
    """Draws the examples, latents and noise of each epoch. The draws depend only on the seed and the epoch.

    Args:
        distribution: the distribution of the examples.
        num_examples: the number of examples in an epoch.
        fresh: true to draw new examples in every epoch; false to draw one training set at the start and to use it in
            every epoch.
        latent_dim: k, the number of entries of a latent, the input of the generator.
        seed: the run's seed.
        instance_noise: standard deviation of the Gaussian noise that is added to real and to generated examples before
            the discriminator sees them; None for no noise.
    """

    distribution: Distribution
    num_examples: int
    fresh: bool
    latent_dim: int
    seed: int
    instance_noise: float | None = None
    _training_set: Tensor | None = field(default=None, init=False, repr=False)
    _moments: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False, repr=False)  # one for each epoch

    def examples(self, epoch: int = 0) -> Tensor:
        """Return the examples of an epoch before they are shuffled, [num_examples, d].

        The examples are the same in every epoch unless `fresh` is true.
        """
        if self.fresh:
            return examples_of(self.distribution, self.num_examples, stream(self.seed, "data", epoch))
        if self._training_set is None:
            self._training_set = examples_of(self.distribution, self.num_examples, stream(self.seed, "data"))
        return self._training_set

    def moments(self, epochs: int) -> tuple[Tensor, Tensor]:
        """Return the mean, [d], and covariance, [d, d], of all examples in the first `epochs` epochs."""
        epochs = epochs if self.fresh else 1
        for epoch in range(len(self._moments), epochs):
            self._moments.append(sample_moments(self.examples(epoch)))
        if epochs == 1:  # a thousand replicas would spend 50 ms below
            return self._moments[0]
        means, covs = (torch.stack(moments) for moments in zip(*self._moments[:epochs], strict=True))
        centred = means - means.mean(0)
        return means.mean(0), covs.mean(0) + centred.mT @ centred / epochs

    def draw_epoch(self, epoch: int) -> Batch:
        """Return all tensors of an epoch as one `Batch`. The examples are shuffled."""
        n = self.num_examples
        order = torch.randperm(n, generator=stream(self.seed, "shuffle", epoch))
        real = self.examples(epoch).index_select(0, order)
        latent = normal(n, self.latent_dim, generator=stream(self.seed, "latent", epoch))
        mix = uniform(n, 1, generator=stream(self.seed, "mix", epoch))
        if self.instance_noise is None:
            return Batch(real, latent, mix)
        noise = self.instance_noise * normal(2, n, real.shape[-1], generator=stream(self.seed, "noise", epoch))
        return Batch(real + noise[0], latent, mix, noise[1])
