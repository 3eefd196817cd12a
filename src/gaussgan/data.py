"""The data of a run, drawn from its law, and the loader that hands it out in blocks of iterations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import NamedTuple

import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch import Tensor

from gaussgan.distributions import AffineGaussian
from gaussgan.metrics import sample_moments
from gaussgan.streams import normal, stream


class Batch(NamedTuple):
    """What one iteration sees: real examples, [B, d], and the latents of as many generated ones, [B, k]."""

    real: Tensor
    latent: Tensor


Block = list[Batch]


class GaussianDataModule(LightningDataModule):
    """Examples from a law, reshuffled each epoch; the last, smaller batch of an epoch is kept.

    Args:
        distribution: the law of the data.
        num_examples: examples in an epoch.
        batch_size: examples of one iteration.
        steps_per_execution: K, the iterations of one `training_step`. It changes the speed and nothing else.
        fresh: draw new examples in every epoch, instead of one training set at the start.
        latent_dim: k, the width of the generator's latents.
        seed: the seed of the run.

    Raises:
        ValueError: when a count is below 1, or batch_size above num_examples.
    """

    def __init__(
        self,
        distribution: AffineGaussian,
        num_examples: int,
        batch_size: int,
        steps_per_execution: int,
        fresh: bool,
        latent_dim: int,
        seed: int,
    ) -> None:
        super().__init__()
        counts = {
            "num_examples": num_examples,
            "batch_size": batch_size,
            "steps_per_execution": steps_per_execution,
            "latent_dim": latent_dim,
        }
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1 (got {count})")
        if batch_size > num_examples:
            raise ValueError(f"batch_size must be at most num_examples = {num_examples} (got {batch_size})")
        self.distribution = distribution
        self.num_examples = num_examples
        self.batch_size = batch_size
        self.steps_per_execution = steps_per_execution
        self.fresh = fresh
        self.latent_dim = latent_dim
        self.seed = seed
        self._training_set: Tensor | None = None
        self._loader_state: dict[str, int] = {}

    def examples(self, epoch: int = 0) -> Tensor:
        """The examples of an epoch in the order in which they were drawn, [num_examples, d]; the same ones in every
        epoch unless `fresh`."""
        if self.fresh:
            return self.distribution.sample(self.num_examples, stream(self.seed, "data", epoch))
        if self._training_set is None:
            self._training_set = self.distribution.sample(self.num_examples, stream(self.seed, "data"))
        return self._training_set

    def moments(self, iterations: int) -> tuple[Tensor, Tensor]:
        """Mean [d] and covariance [d, d] of all that was drawn for the first so many iterations: the maximum-likelihood
        fit."""
        epochs = max(1, ceil(iterations / self.iterations)) if self.fresh else 1
        draws = [sample_moments(self.examples(epoch)) for epoch in range(epochs)]
        means, covs = (torch.stack(moments) for moments in zip(*draws, strict=True))
        centred = means - means.mean(0)
        return means.mean(0), covs.mean(0) + centred.mT @ centred / epochs

    @property
    def iterations(self) -> int:
        """Iterations in an epoch."""
        return ceil(self.num_examples / self.batch_size)

    def examples_seen(self, iterations: int) -> int:
        """Examples that the first so many iterations of a run see."""
        epochs, rest = divmod(iterations, self.iterations)
        return epochs * self.num_examples + rest * self.batch_size

    def draw_epoch(self, epoch: int) -> Batch:
        """All examples of an epoch, shuffled, beside all its latents."""
        order = torch.randperm(self.num_examples, generator=stream(self.seed, "shuffle", epoch))
        latents = normal(self.num_examples, self.latent_dim, generator=stream(self.seed, "latent", epoch))
        return Batch(self.examples(epoch).index_select(0, order), latents)

    def train_dataloader(self) -> BlockLoader:
        """The loader of the attached trainer's run: on its device, in its precision, this rank's share of each batch.

        Raises:
            ValueError: when a batch cannot be shared equally between the ranks.
        """
        trainer = self.trainer
        assert trainer is not None
        for size in {self.batch_size, self.num_examples % self.batch_size or self.batch_size}:
            if size % trainer.world_size:
                raise ValueError(
                    f"batch_size must give {trainer.world_size} devices equal shares of every batch, the last of an"
                    f" epoch included (got a batch of {size})"
                )
        parameter = next(trainer.lightning_module.parameters())

        def place(tensor: Tensor) -> Tensor:
            return tensor.to(trainer.strategy.root_device, parameter.dtype)

        self.loader = BlockLoader(
            lambda epoch: Batch(*map(place, self.draw_epoch(epoch))),
            iterations=self.iterations,
            batch_size=self.batch_size,
            steps_per_execution=self.steps_per_execution,
            max_steps=trainer.max_steps,
            share=slice(trainer.global_rank, None, trainer.world_size),
        )
        self.loader.load_state_dict(self._loader_state)
        return self.loader

    # Lightning gives a loader its state back within an epoch only; a data module always gets its own.
    def state_dict(self) -> dict[str, int]:
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._loader_state = state

    def transfer_batch_to_device(self, batch: Block, device: torch.device, dataloader_idx: int) -> Block:
        """Nothing: the loader moves an epoch at a time."""
        return batch


def data_of(trainer: Trainer) -> GaussianDataModule:
    """The data module that a trainer runs on."""
    return trainer.datamodule  # type: ignore[attr-defined]


class BlockLoader:
    """An iterable over the blocks of one epoch after another, which resumes within an epoch.

    An epoch's tensors are drawn and placed once and cut into views, so a batch costs next to nothing. A block ends
    after K iterations, at the epoch's end, and where the run reaches `max_steps`: a checkpoint never falls inside one.

    Args:
        draw_epoch: from an epoch's number to its shuffled examples and latents.
        iterations: batches in an epoch.
        share: the rows of a batch that are this process's.
    """

    def __init__(
        self,
        draw_epoch: Callable[[int], Batch],
        iterations: int,
        batch_size: int,
        steps_per_execution: int,
        max_steps: int = -1,
        share: slice = slice(None),
    ) -> None:
        self.draw_epoch = draw_epoch
        self.batch_size = batch_size
        self.iterations = iterations
        self.steps_per_execution = steps_per_execution
        self.max_steps = max_steps
        self.share = share
        self.epoch = self.position = self.blocks = 0

    def __iter__(self) -> Iterator[Block]:
        self.epoch, self.position, self.blocks = self._next()
        return self._hand_out()

    def __len__(self) -> int:
        """Blocks of the epoch that is under way, or comes next: those already handed out included."""
        epoch, position, blocks = self._next()
        return blocks + len(self._ends(epoch, position))

    @property
    def within_epoch(self) -> bool:
        """Whether iterations of the current epoch are left."""
        return self.position < self.iterations

    def _next(self) -> tuple[int, int, int]:
        """Epoch, iterations and blocks before the next block."""
        return (self.epoch, self.position, self.blocks) if self.within_epoch else (self.epoch + 1, 0, 0)

    def _hand_out(self) -> Iterator[Block]:
        real, latent = self.draw_epoch(self.epoch)
        batches = zip(real.split(self.batch_size), latent.split(self.batch_size), strict=True)
        epoch = [Batch(x[self.share], z[self.share]) for x, z in batches]
        for end in self._ends(self.epoch, self.position):
            start, self.position = self.position, end
            self.blocks += 1
            yield epoch[start:end]

    def _ends(self, epoch: int, position: int) -> list[int]:
        """The iterations of an epoch after which its blocks end, from a position on."""
        last = self.max_steps - epoch * self.iterations
        cuts = [position, last] if position < last < self.iterations else [position]
        ends: list[int] = []
        for start, stop in zip(cuts, [*cuts[1:], self.iterations], strict=True):
            ends += [*range(start + self.steps_per_execution, stop, self.steps_per_execution), stop]
        return ends

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position, "blocks": self.blocks}

    def load_state_dict(self, state: dict[str, int]) -> None:
        vars(self).update(state)
