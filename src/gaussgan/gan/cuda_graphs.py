"""Train a GAN on a GPU with CUDA graphs: each iteration is one call, instead of some eighty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils import _pytree as pytree

from gaussgan.compile.cuda import CudaGraph
from gaussgan.data.loader import Batch, Block
from gaussgan.gan.divergence import freeze
from gaussgan.gan.eager import Outcome, outcome_of
from gaussgan.gan.one_run import check_optimizers, groups
from gaussgan.gan.player import Loss
from gaussgan.gan.python_state import check_constants, constants, refusing_changes
from gaussgan.gan.updates import Losses

Recorded = Callable[[], Losses]
Record = Callable[[Recorded, torch.device], Recorded]


class CudaGraphIterations:
    """CUDA graphs that train a GAN, one for each size of a batch.

    A graph is one iteration. It repeats the operations of the eager mode, so it computes the same numbers. It works on
    a state of its own, to which the GAN's state is copied before a block of iterations, and from which it is copied
    back. It has not been run on a GPU yet.

    Args:
        gan: the GAN. Its state need not exist yet.
        batches: for each size, a batch of one run.
        device: the GPU on which the GAN will be trained.
        record: records an iteration; see `CudaGraph`.

    Raises:
        NotCompiled: when an iteration cannot be recorded.
    """

    backend = "to a CUDA graph for each size of a batch"

    def __init__(self, gan: Any, batches: Sequence[Batch], device: torch.device, record: Record = CudaGraph) -> None:
        twin = deepcopy(gan).to(device)
        twin.schedule = None  # the learning rates are those of the GAN
        twin.configure_optimizers()
        self.iteration = twin.iteration
        check_optimizers([self.iteration.discriminator, self.iteration.generator])
        self.state = pytree.tree_map_only(Tensor, torch.clone, twin.state)
        self.rates = torch.ones(2, dtype=torch.float64, device=device)
        for group, rate in zip(groups(self.iteration), self.rates.unbind(), strict=True):
            group["lr"] = rate
        self.constants = constants(self.iteration, twin.game.components)
        replicas = (gan.replicas,) if gan.replicas > 1 else ()
        self.columns: dict[int, Batch] = {}
        self.graphs: dict[int, Recorded] = {}
        with isolate_rng(), refusing_changes(self.iteration, twin.game.components):
            for batch in batches:
                size = batch.real.shape[-2]
                self.columns[size] = batch.map(
                    lambda column: column.to(twin.placed).expand(*replicas, *column.shape).clone()
                )
                self.graphs[size] = record(lambda size=size: self._iterate(size), device)  # type: ignore[misc]

    def _iterate(self, size: int) -> Losses:
        # Each call has another `Batch`, because two iterations on one would share generated examples; see `FakeCache`.
        return self.iteration(self.state, Batch(*self.columns[size]))

    def __call__(self, gan: Any, block: Block) -> Outcome:
        """Run the iterations of a block. The state of the GAN changes in place, but not that of a diverged replica."""
        check_constants(self.constants, constants(gan.iteration, gan.game.components))
        ours, theirs = self.state.tensors(), gan.state.tensors()
        for mine, given in zip(ours, theirs, strict=True):
            mine.copy_(given)
        rates = torch.stack(gan.next_learning_rates(len(block)), -1).to(self.rates.device)
        losses = [self._repeat(batch, rate) for batch, rate in zip(block, rates, strict=True)]
        outcome = outcome_of(gan, losses, (self.state.discriminator.theta, self.state.generator.theta))
        if gan.replicas > 1:
            rows = [i for i, tensor in enumerate(ours) if tensor.ndim]
            freeze([ours[i] for i in rows], [theirs[i] for i in rows], {**gan.diverged, **outcome.diverged})
        for mine, given in zip(ours, theirs, strict=True):
            given.copy_(mine)
        return outcome

    def _repeat(self, batch: Batch, rates: Tensor) -> Losses:
        size = batch.real.shape[-2]
        for ours, theirs in zip(self.columns[size], batch, strict=True):
            if ours is not None and theirs is not None:
                ours.copy_(theirs)
        self.rates.copy_(rates)
        losses_d, losses_g = self.graphs[size]()
        return [_copy(loss) for loss in losses_d], [_copy(loss) for loss in losses_g]

    def __deepcopy__(self, memo: dict) -> CudaGraphIterations:
        return self  # between two blocks, the state does not matter


def _copy(loss: Loss) -> Loss:
    """Return a copy, because the next iteration overwrites the losses of a graph."""
    return Loss(*(None if tensor is None else tensor.clone() for tensor in loss))  # type: ignore[arg-type]
