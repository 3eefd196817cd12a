"""The data of a run, drawn from its distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from gaussgan.data.distributions import Distribution
from gaussgan.data.intervals import steps_to_end_at
from gaussgan.data.loader import Batch, Block, BlockLoader
from gaussgan.data.sampler import Source


@dataclass(eq=False, repr=False)
class GaussianDataModule(LightningDataModule):
    """Examples from a distribution, reshuffled each epoch. The last batch of an epoch may be smaller.

    Args:
        distribution: the distribution of the data.
        num_examples: examples in an epoch.
        batch_size: examples in one step of the discriminator.
        steps_per_execution: K, the iterations of one `training_step`. It changes only the speed.
        fresh: draw new examples in every epoch. If false, one training set is drawn at the start.
        latent_dim: k, the width of the generator's latents.
        seed: the run's seed; for R replicas a list of R seeds. Then every draw has a leading dimension R.
        batches_per_iteration: the discriminator's steps in an iteration.
        instance_noise: standard deviation of the noise that is added to everything the discriminator sees
            (Sønderby et al. 2017, arXiv 1610.04490). It is drawn again in every epoch. A list of R numbers if replicas
            differ.
        validation_samples: the number of real examples, and of generated examples, for measures that need samples.

    Raises:
        ValueError: when a count is below 1, when batch_size is too large for num_examples, or when an epoch's last
            iteration would have fewer examples than steps.
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
    validation_samples: int = 2_500

    def __post_init__(self) -> None:
        super().__init__()
        for name in ("num_examples", "batch_size", "batches_per_iteration", "steps_per_execution", "latent_dim"):
            if (count := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1 (got {count})")
        n, steps = self.num_examples, self.batches_per_iteration
        if self.batch_size * steps > n:
            limit, size = n // steps, self.batch_size
            raise ValueError(f"batch_size must be at most num_examples / update.d_steps = {limit} (got {size})")
        self.batch_size *= steps  # from here on, the examples of an iteration
        if 0 < n % self.batch_size < steps:
            raise ValueError(
                f"num_examples must leave at least update.d_steps = {steps} examples for an epoch's last iteration"
                f" (got {n}, which leaves {n % self.batch_size})"
            )
        self.seeds = [self.seed] if isinstance(self.seed, int) else [*self.seed]
        noise = self.instance_noise
        noises = noise if isinstance(noise, Sequence) else [noise] * len(self.seeds)
        self.sources = [
            Source(self.distribution, n, self.fresh, self.latent_dim, seed, noise if any(noises) else None)
            for seed, noise in zip(self.seeds, noises, strict=True)
        ]
        self._loader_state: dict[str, int] = {}

    def examples(self, epoch: int = 0) -> Tensor:
        """Return the examples of an epoch in the order of drawing, [(R,) num_examples, d]."""
        return self._stack([source.examples(epoch) for source in self.sources])

    def moments(self, iterations: int) -> tuple[Tensor, Tensor]:
        """Return the maximum-likelihood fit to all examples that are drawn for the first iterations of a run.

        Returns:
            The mean, [(R,) d], and the covariance, [(R,) d, d].
        """
        epochs = max(1, ceil(iterations / self.iterations))
        means, covs = zip(*(source.moments(epochs) for source in self.sources), strict=True)
        return self._stack(means), self._stack(covs)

    @property
    def replicas(self) -> int:
        """R, the number of seeds."""
        return len(self.seeds)

    @property
    def iterations(self) -> int:
        """Iterations in an epoch."""
        return ceil(self.num_examples / self.batch_size)

    def examples_seen(self, iterations: int) -> int:
        """Return how many examples the first iterations of a run see."""
        epochs, rest = divmod(iterations, self.iterations)
        return epochs * self.num_examples + rest * self.batch_size

    def draw_epoch(self, epoch: int) -> Batch:
        """Draw all examples of an epoch, shuffled, with its latents and noise."""
        columns = zip(*(source.draw_epoch(epoch) for source in self.sources), strict=True)
        return Batch(*(None if column[0] is None else self._stack(column) for column in columns))  # type: ignore[arg-type]

    def _stack(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.stack([*tensors]) if self.replicas > 1 else tensors[0]

    def train_dataloader(self) -> BlockLoader:
        """Return a loader of batches on the trainer's device, in its precision, with this rank's shard."""
        trainer = self.trainer
        assert trainer is not None
        self.check_shards(trainer.world_size)
        parameter = next(trainer.lightning_module.parameters())

        def place(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(trainer.strategy.root_device, parameter.dtype)

        self.loader = BlockLoader(
            lambda epoch: Batch(*map(place, self.draw_epoch(epoch))),  # type: ignore[arg-type]
            iterations=self.iterations,
            batch_size=self.batch_size,
            steps_per_execution=self.steps_per_execution,
            max_steps=trainer.max_steps,
            every=steps_to_end_at(trainer),
            shard=(trainer.global_rank, trainer.world_size),
        )
        self.loader.load_state_dict(self._loader_state)
        return self.loader

    def check_shards(self, world_size: int) -> None:
        """Check that the batch of every step splits into equal shards, one for each process.

        Raises:
            ValueError: when a batch does not split equally.
        """
        for size in self._sizes:
            if world_size > 1 and size % (world_size * self.batches_per_iteration):
                raise ValueError(
                    f"batch_size must give {world_size} devices equal shards of every batch, including an epoch's last"
                    f" batch (got a batch of {size})"
                )

    def fewest_rows(self, world_size: int) -> int:
        """Return the rows of the smallest batch that a process sees in a step."""
        return min(self._sizes) // self.batches_per_iteration // world_size

    @property
    def _sizes(self) -> set[int]:
        """The number of examples in an iteration, and in an epoch's last iteration."""
        return {self.batch_size, self.num_examples % self.batch_size or self.batch_size}

    # Lightning restores a loader only within an epoch; it always restores a data module.
    def state_dict(self) -> dict[str, int]:
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._loader_state = state

    def transfer_batch_to_device(self, batch: Block, device: torch.device, dataloader_idx: int) -> Block:
        """Return the block unchanged: the loader has already moved it to the device."""
        return batch
