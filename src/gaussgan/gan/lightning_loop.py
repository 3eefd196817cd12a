"""Private names of Lightning's training loop, which counts what a block of iterations does in another way.

Where Lightning no longer has a name, training goes on. Only what the name is for is lost.
"""

from __future__ import annotations

from pytorch_lightning import Trainer


def count_iterations(trainer: Trainer, n: int) -> None:
    """Make `global_step` and the steps of other callbacks' logs count the n iterations of a block.

    Lightning counts the steps of its own optimizer wrappers, once for each optimizer
    (https://github.com/Lightning-AI/pytorch-lightning/issues/17958), and gives loggers the number of `training_step`
    calls (https://github.com/Lightning-AI/pytorch-lightning/pull/11805).
    """
    loop = trainer.fit_loop.epoch_loop
    loop.manual_optimization.optim_step_progress.increment_by(n)
    if hasattr(loop, "_batches_that_stepped"):
        loop._batches_that_stepped += n - 1


def set_epoch_length(trainer: Trainer, blocks: int) -> None:
    """Tell Lightning how many blocks the next epoch has.

    It asks a loader for its length once, but the epoch in which `max_steps` falls is shorter
    (https://github.com/Lightning-AI/pytorch-lightning/issues/20330).
    """
    loop = trainer.fit_loop
    loop.max_batches = blocks
    if (loader := getattr(loop, "_combined_loader", None)) is not None:
        loader.limits = [blocks]
