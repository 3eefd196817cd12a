"""The random draws for the training of a run: examples, their order, latents and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gaussgan.data.distributions import Distribution, examples_of
from gaussgan.data.examples import Examples
from gaussgan.data.gaussian import sample_moments
from gaussgan.data.latents import Latents
from gaussgan.data.loader import Batch
from gaussgan.rng import normal, stream

ALL = slice(None)
CHUNK = 32_768  # largest number of given examples that are copied and shuffled at once, for each seed


@dataclass
class Sampler:
    """Draws the examples, latents and noise of each epoch for R seeds. Every tensor has a first dimension R.

    The draws of a seed depend only on the seed and the epoch, not on the other seeds or on `threads`. An epoch of a
    known distribution is drawn at once. An epoch of given examples is drawn in chunks, because there may be many: all
    seeds share the rows, each seed has its own order, and only a chunk of rows is copied.

    Args:
        distribution: the distribution of the examples, or the examples.
        num_examples: n, the number of examples in an epoch.
        fresh: true to draw new examples in every epoch; false to draw one training set at the start and to use it in
            every epoch. Given examples are never fresh.
        latent_dim: k, the number of entries of a latent, the input of the generator.
        seeds: the R seeds.
        instance_noise: for each seed, the standard deviation of the Gaussian noise that is added to real and to
            generated examples before the discriminator sees them; None for no noise.
        latents: makes latents from draws from N(0, I); None to use the draws themselves.
        mix: true to draw the column `mix` of a `Batch`.
        perturbation: true to draw the column `perturbation` of a `Batch`.
        augment: n, half the width of the column `augment` of a `Batch`; 0 to draw none.
        threads: the number of threads that share the seeds.
    """

    distribution: Distribution
    num_examples: int
    fresh: bool
    latent_dim: int
    seeds: Sequence[int]
    instance_noise: Sequence[float] | None = None
    latents: Latents | None = None
    mix: bool = True
    perturbation: bool = False
    augment: int = 0
    threads: int = 1
    _training_sets: Tensor | None = field(default=None, init=False, repr=False)
    _moments: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False, repr=False)  # one for each epoch
    _orders: tuple[int, np.ndarray] = field(default=(-1, np.empty(0)), init=False, repr=False)  # an epoch, [R, n]

    def draw(self, epoch: int, rows: slice = ALL) -> Batch:
        """Return the tensors of some rows of an epoch as one `Batch`, each [R, n, width]. The examples are shuffled.

        Args:
            epoch: the number of the epoch.
            rows: the rows. Of given examples, a chunk: the latents and the noise depend on where it begins.
        """
        examples, replicas = self.examples(epoch), len(self.seeds)
        given = isinstance(self.distribution, Examples)
        first, end, _ = (rows if given else ALL).indices(self.num_examples)
        n = end - first
        orders = self._orders_of(epoch)[:, first:end] if given else None
        chunk = f" {first}" if given else ""
        real = torch.empty(replicas, n, examples.shape[-1], dtype=examples.dtype)
        latent = torch.empty(replicas, n, self.latent_dim, dtype=torch.float32)
        mix = torch.empty(replicas, n, 1, dtype=torch.float32) if self.mix else None
        augment = torch.empty(replicas, n, 2 * self.augment, dtype=torch.float32) if self.augment else None
        noise = None if self.instance_noise is None else torch.empty_like(real, dtype=torch.float32)
        perturbation = torch.empty_like(real, dtype=torch.float32) if self.perturbation else None
        source, shuffled = examples.numpy(), real.numpy()  # NumPy copies rows faster than torch
        latents = latent.unbind()

        def draw(i: int, rng: torch.Generator) -> None:
            stream(self.seeds[i], f"epoch{chunk}", epoch, rng)
            order = torch.randperm(n, generator=rng).numpy() if orders is None else orders[i]
            source[i].take(order, 0, out=shuffled[i], mode="clip")
            latents[i].normal_(generator=rng)
            if self.latents is not None:
                with torch.no_grad():  # a thread has its own grad mode, and latents may come from a network
                    latents[i].copy_(self.latents(latents[i]))
            if mix is not None:
                mix[i].uniform_(generator=stream(self.seeds[i], f"mix{chunk}", epoch, rng))
            if augment is not None:
                augment[i].uniform_(generator=stream(self.seeds[i], f"augment{chunk}", epoch, rng))
            if noise is not None and self.instance_noise is not None:
                both = normal(2, *noise[i].shape, generator=stream(self.seeds[i], f"noise{chunk}", epoch, rng))
                both *= self.instance_noise[i]
                real[i] += both[0]
                noise[i] = both[1]
            if perturbation is not None:
                perturbation[i].normal_(generator=stream(self.seeds[i], f"perturbation{chunk}", epoch, rng))

        self._for_each_seed(draw)
        batch = Batch(real, latent, mix, noise, perturbation, augment)
        return batch if given or rows == ALL else batch.map(lambda column: column[:, rows])

    def _orders_of(self, epoch: int) -> np.ndarray:
        """Return the order of the given examples in an epoch for each seed, [R, n]. The last epoch's is kept."""
        if self._orders[0] != epoch:
            n = self.num_examples
            orders = np.empty((len(self.seeds), n), np.int32 if n < 2**31 else np.int64)

            def draw(i: int, rng: torch.Generator) -> None:
                orders[i] = torch.randperm(n, generator=stream(self.seeds[i], "order", epoch, rng)).numpy()

            self._for_each_seed(draw)
            self._orders = epoch, orders
        return self._orders[1]

    def _for_each_seed(self, draw: Callable[[int, torch.Generator], None]) -> None:
        """Call `draw` with the index of each seed and with a generator that it may set. Threads share the seeds."""

        def draw_part(part: range) -> None:
            rng = torch.Generator()
            for i in part:
                draw(i, rng)

        replicas = len(self.seeds)
        if (threads := min(self.threads, replicas)) == 1:
            draw_part(range(replicas))
            return
        ends = [replicas * i // threads for i in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            [*pool.map(draw_part, map(range, ends, ends[1:]))]

    def examples(self, epoch: int = 0) -> Tensor:
        """Return the examples of an epoch before they are shuffled, [R, n, d].

        The examples are the same in every epoch unless `fresh` is true. Given examples are the same for all seeds; the
        result is then one copy of them, seen R times.
        """
        if isinstance(self.distribution, Examples):
            return self.distribution.train.expand(len(self.seeds), -1, -1)
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
