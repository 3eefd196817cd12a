"""The data module of a run, which draws its examples, latents and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from operator import itemgetter
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from gaussgan.data.distributions import Distribution
from gaussgan.data.examples import Examples
from gaussgan.data.intervals import log_spaced, steps_to_end_at
from gaussgan.data.latents import Latents
from gaussgan.data.loader import Batch, Block, BlockLoader
from gaussgan.data.sampler import ALL, CHUNK, Sampler
from gaussgan.rng import SCHEME


@dataclass(eq=False, repr=False)
class DataModule(LightningDataModule):
    """Draws examples and shuffles them in each epoch. The last batch of an epoch may be smaller.

    Args:
        distribution: the distribution of the data, or given examples.
        num_examples: the number of examples in an epoch. Of given examples, an epoch has all that are to train on.
        batch_size: the number of inputs of the discriminator in one of its steps: of examples, or of packs.
        steps_per_execution: K, the largest number of iterations in a call of `training_step`. K changes only the speed,
            unless a replica diverges: then it goes back to its state before that call.
        fresh: true to draw new examples in every epoch; false to draw one training set at the start and to use it in
            every epoch. Given examples cannot be fresh.
        latent_dim: k, the number of entries of a latent, the input of the generator.
        seed: the run's seed, or a list of R seeds for R replicas. If R > 1, every tensor that is drawn has a first
            dimension R.
        batches_per_iteration: the number of batches that the update rule uses in one iteration: `update.d_steps`, or
            `update.batches`.
        instance_noise: standard deviation of the Gaussian noise that is added to the discriminator's inputs, both real
            and generated examples (Sønderby et al. 2017, arXiv 1610.04490). New noise is drawn in every epoch. Pass a
            list of R numbers if the replicas differ.
        latents: makes latents from draws from N(0, I); None to use the draws themselves.
        validation_samples: n; an evaluation uses n real examples and n generated examples.
        mix: false to draw no `mix` for the batches. Only penalties use it.
        perturbation: true to draw `perturbation` for the batches, for penalties that perturb examples.
        packing: m, the number of examples in a pack, which is one input of the discriminator; see `packed`.
        augment: the number of uniform draws by which an example is augmented; see `draws_of`.
        threads: the number of threads that draw the replicas of an epoch.

    Raises:
        ValueError: when num_examples, batch_size, batches_per_iteration, steps_per_execution or latent_dim is below 1,
            when one iteration needs more than num_examples examples, when the last iteration of an epoch would have
            less than one example for each step of the discriminator, or would leave examples that fill no pack, when
            validation_samples is below packing, or when given examples are to be fresh.
    """

    distribution: Distribution
    num_examples: int
    batch_size: int
    steps_per_execution: int
    fresh: bool
    latent_dim: int
    seed: int | Sequence[int]
    batches_per_iteration: int = 1
    instance_noise: float | Sequence[float] = 0.0
    latents: Latents | None = None
    validation_samples: int = 2_500
    mix: bool = True
    perturbation: bool = False
    packing: int = 1
    augment: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        super().__init__()
        for name in ("num_examples", "batch_size", "batches_per_iteration", "steps_per_execution", "latent_dim"):
            if (count := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1 (got {count})")
        if self.fresh and isinstance(self.distribution, Examples):
            raise ValueError("fresh must be false: a file has no new examples (got true)")
        n, steps = self.num_examples, self.batches_per_iteration
        per = steps * self.packing
        if self.batch_size * per > n:
            limit, size, packs = n // per, self.batch_size, " / discriminator.packing" * (self.packing > 1)
            raise ValueError(
                f"batch_size must be at most num_examples / batches_per_iteration{packs} = {limit} (got {size})"
            )
        if self.validation_samples < self.packing:
            least = f"discriminator.packing = {self.packing} (got {self.validation_samples})"
            raise ValueError(f"validation_samples must be at least {least}")
        self.batch_size *= per  # from here on, the number of examples in an iteration
        self.indivisible = per if self.packing > 1 else 1
        if rest := n % self.batch_size % self.indivisible:
            raise ValueError(
                f"num_examples must be a multiple of discriminator.packing × batches_per_iteration = {per}, so that the"
                f" packs of an epoch's last iteration are whole (got {n}; {n - rest} is one)"
            )
        if 0 < n % self.batch_size < steps:
            raise ValueError(
                f"num_examples must leave at least batches_per_iteration = {steps} examples for an epoch's last"
                f" iteration (got {n}, which leaves {n % self.batch_size})"
            )
        self.seeds = [self.seed] if isinstance(self.seed, int) else [*self.seed]
        noise = self.instance_noise
        noises = [*noise] if isinstance(noise, Sequence) else [noise] * len(self.seeds)
        self._sampler = Sampler(
            self.distribution,
            n,
            self.fresh,
            self.latent_dim,
            self.seeds,
            noises if any(noises) else None,
            self.latents,
            self.mix,
            self.perturbation,
            self.augment,
            self.threads,
        )
        self._loader_state: dict[str, int] = {}

    def examples(self, epoch: int = 0) -> Tensor:
        """Return the examples of an epoch before they are shuffled.

        Shape: [num_examples, d]; for R replicas [R, num_examples, d].
        """
        return self._unstacked(self._sampler.examples(epoch))

    def moments(self, iterations: int) -> tuple[Tensor, Tensor]:
        """Fit a Gaussian by maximum likelihood to the examples of a run's first `iterations` iterations.

        If the last of these iterations lies within an epoch, all examples of that epoch are used.

        Returns:
            The mean, [d], and the covariance, [d, d], of the fit; for R replicas [R, d] and [R, d, d].
        """
        mean, cov = self._sampler.moments(max(1, ceil(iterations / self.iterations)))
        return self._unstacked(mean), self._unstacked(cov)

    @property
    def replicas(self) -> int:
        """R, the number of replicas. It is the number of seeds."""
        return len(self.seeds)

    @property
    def iterations(self) -> int:
        """The number of iterations in an epoch."""
        return ceil(self.num_examples / self.batch_size)

    def examples_seen(self, iterations: int) -> int:
        """Return the number of examples that a run uses in its first `iterations` iterations."""
        epochs, rest = divmod(iterations, self.iterations)
        return epochs * self.num_examples + rest * self.batch_size

    def draw(self, epoch: int, rows: slice = ALL) -> Batch:
        """Return the tensors of some rows of an epoch as one `Batch`; see `Sampler.draw`. The examples are shuffled."""
        return self._sampler.draw(epoch, rows).map(self._unstacked)

    def first_batch(self, most: int) -> Batch:
        """Return the first examples of epoch 0 as one batch: at most `most` of them, in whole packs."""
        n = min(most, self.num_examples)
        return self.draw(0, slice(n - n % self.indivisible))

    @property
    def chunk(self) -> int | None:
        """The number of iterations whose rows are drawn at once; None for those of an epoch."""
        return max(1, CHUNK // self.batch_size) if isinstance(self.distribution, Examples) else None

    def example_batches(self) -> list[Batch]:
        """Return batches of one run, the one with the first seed: one for each number of examples in an iteration.

        Their latents are the draws themselves, because `latents` may need more rows than a batch has.
        """
        noise = self._sampler.instance_noise
        alone = replace(self._sampler, seeds=self.seeds[:1], instance_noise=noise and noise[:1], latents=None)
        epoch = alone.draw(0, slice(max(self.sizes))).map(lambda tensor: tensor[0])
        return [epoch.map(itemgetter(slice(n))) for n in sorted(self.sizes)]

    def _unstacked(self, tensor: Tensor) -> Tensor:
        return tensor if self.replicas > 1 else tensor[0]

    def train_dataloader(self) -> BlockLoader:
        """Return a data loader for this process.

        Of each batch, the loader yields the shard of this process, on the device and in the precision of the networks.
        """
        trainer = self.trainer
        assert trainer is not None
        self.check_shards(trainer.world_size)
        parameter = next(trainer.lightning_module.parameters())

        def place(tensor: Tensor) -> Tensor:
            return tensor.to(trainer.strategy.root_device, parameter.dtype)

        self.loader = BlockLoader(
            lambda epoch, rows: self.draw(epoch, rows).map(place),
            iterations=self.iterations,
            batch_size=self.batch_size,
            steps_per_execution=self.steps_per_execution,
            max_steps=trainer.max_steps,
            every=steps_to_end_at(trainer),
            marks=log_spaced,  # with or without frames, so that to record them changes no bit of a mean loss
            shard=(trainer.global_rank, trainer.world_size),
            chunk=self.chunk,
            packing=self.packing,
        )
        self.loader.load_state_dict(self._loader_state)
        return self.loader

    def check_shards(self, world_size: int) -> None:
        """Check that the batch of every step splits into `world_size` equal shards, one for each process.

        Raises:
            ValueError: when a batch does not split equally.
        """
        for size in self.sizes:
            if world_size > 1 and size % (world_size * self.batches_per_iteration * self.packing):
                raise ValueError(
                    f"batch_size must give {world_size} devices equal shards of every batch, including an epoch's last"
                    f" batch (got a batch of {size})"
                )

    def fewest_rows(self, world_size: int) -> int:
        """Return the fewest examples that one of `world_size` processes gets in one step of the discriminator."""
        return min(self.sizes) // self.batches_per_iteration // world_size

    @property
    def sizes(self) -> set[int]:
        """The numbers of examples in an iteration: of an epoch's last iteration, and of all other iterations."""
        return {self.batch_size, self.num_examples % self.batch_size or self.batch_size}

    # Lightning restores the state of a loader only if the run stopped within an epoch. It always restores the state of
    # a data module. So the data module saves the state of its loader.
    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {**self.loader.state_dict(), "scheme": SCHEME}
        if isinstance(self.distribution, Examples):
            state |= {"layout": self.distribution.layout.state(), "fingerprint": self.distribution.fingerprint}
        return state

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._loader_state = state

    def transfer_batch_to_device(self, batch: Block, device: torch.device, dataloader_idx: int) -> Block:
        """Return the block `batch` unchanged. The loader has already moved the tensors to the device."""
        return batch
