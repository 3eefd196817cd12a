"""The random draws for the training of a run: examples, their order, latents and noise."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gaussgan.data.distributions import Distribution, examples_of
from gaussgan.data.gaussian import sample_moments
from gaussgan.data.loader import Batch
from gaussgan.rng import normal, stream


@dataclass
class Sampler:
    """Draws the examples, latents and noise of each epoch for R seeds. Every tensor has a first dimension R.

    The draws of a seed depend only on the seed and the epoch, not on the other seeds or on `threads`.

    Args:
        distribution: the distribution of the examples.
        num_examples: n, the number of examples in an epoch.
        fresh: true to draw new examples in every epoch; false to draw one training set at the start and to use it in
            every epoch.
        latent_dim: k, the number of entries of a latent, the input of the generator.
        seeds: the R seeds.
        instance_noise: for each seed, the standard deviation of the Gaussian noise that is added to real and to
            generated examples before the discriminator sees them; None for no noise.
        mix: true to draw the column `mix` of a `Batch`.
        threads: the number of threads that share the seeds.
    """

    distribution: Distribution
    num_examples: int
    fresh: bool
    latent_dim: int
    seeds: Sequence[int]
    instance_noise: Sequence[float] | None = None
    mix: bool = True
    threads: int = 1
    _training_sets: Tensor | None = field(default=None, init=False, repr=False)
    _moments: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False, repr=False)  # one for each epoch

    def draw_epoch(self, epoch: int) -> Batch:
        """Return all tensors of an epoch as one `Batch`, each [R, n, width]. The examples are shuffled."""
        replicas, n = len(self.seeds), self.num_examples
        examples = self.examples(epoch)
        real, latent = torch.empty_like(examples), torch.empty(replicas, n, self.latent_dim, dtype=torch.float32)
        mix = torch.empty(replicas, n, 1, dtype=torch.float32) if self.mix else None
        noise = None if self.instance_noise is None else torch.empty_like(real, dtype=torch.float32)
        rows, shuffled = examples.numpy(), real.numpy()  # NumPy copies rows faster than torch
        latents = latent.unbind()

        def draw(part: range) -> None:
            rng = torch.Generator()
            for i in part:
                stream(self.seeds[i], "epoch", epoch, rng)
                rows[i].take(torch.randperm(n, generator=rng).numpy(), 0, out=shuffled[i], mode="clip")
                latents[i].normal_(generator=rng)
                if mix is not None:
                    mix[i].uniform_(generator=stream(self.seeds[i], "mix", epoch, rng))
                if noise is not None and self.instance_noise is not None:
                    both = normal(2, *noise[i].shape, generator=stream(self.seeds[i], "noise", epoch, rng))
                    both *= self.instance_noise[i]
                    real[i] += both[0]
                    noise[i] = both[1]

        if (threads := min(self.threads, replicas)) == 1:
            draw(range(replicas))
        else:
            ends = [replicas * i // threads for i in range(threads + 1)]
            with ThreadPoolExecutor(threads) as pool:
                [*pool.map(draw, map(range, ends, ends[1:]))]
        return Batch(real, latent, mix, noise)

    def examples(self, epoch: int = 0) -> Tensor:
        """Return the examples of an epoch before they are shuffled, [R, n, d].

        The examples are the same in every epoch unless `fresh` is true.
        """
        if self.fresh:
            return self._draw_examples(epoch)
        if self._training_sets is None:
            self._training_sets = self._draw_examples(0)
        return self._training_sets

    def _draw_examples(self, epoch: int) -> Tensor:
        rngs = (stream(seed, "data", epoch) for seed in self.seeds)
        return torch.stack([examples_of(self.distribution, self.num_examples, rng) for rng in rngs])

    def moments(self, epochs: int) -> tuple[Tensor, Tensor]:
        """Return the mean, [R, d], and covariance, [R, d, d], of all examples in the first `epochs` epochs."""
        epochs = epochs if self.fresh else 1
        for epoch in range(len(self._moments), epochs):
            moments = zip(*map(sample_moments, self.examples(epoch)), strict=True)
            self._moments.append(tuple(map(torch.stack, moments)))  # type: ignore[arg-type]
        if epochs == 1:  # a thousand replicas would spend 50 ms below
            return self._moments[0]
        means, covs = (torch.stack(each, 1) for each in zip(*self._moments[:epochs], strict=True))  # [R, epochs, …]
        centred = means - means.mean(1, keepdim=True)
        return means.mean(1), covs.mean(1) + centred.mT @ centred / epochs
