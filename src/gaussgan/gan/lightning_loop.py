"""Correct the counters of Lightning's training loop, which does not know blocks of iterations.

The correction uses names of Lightning that begin with an underscore. If Lightning removes one of them, training still
works; only that part of the correction is lost.
"""

from __future__ import annotations

from pytorch_lightning import Trainer


def count_iterations(trainer: Trainer, n: int) -> None:
    """Add the n iterations of a block to `global_step` and to the step number that loggers get.

    Without this, `global_step` counts the steps of all of Lightning's optimizer wrappers
    (https://github.com/Lightning-AI/pytorch-lightning/issues/17958), and loggers get the number of `training_step`
    calls (https://github.com/Lightning-AI/pytorch-lightning/pull/11805).
    """
    loop = trainer.fit_loop.epoch_loop
    loop.manual_optimization.optim_step_progress.increment_by(n)
    if hasattr(loop, "_batches_that_stepped"):
        loop._batches_that_stepped += n - 1


def set_epoch_length(trainer: Trainer, blocks: int) -> None:
    """Tell Lightning that the epoch that begins has `blocks` blocks.

    Lightning reads the length of a loader only once. But the number of blocks may differ between epochs, because a
    block also ends at `max_steps` and where a callback acts; see `BlockLoader`
    (https://github.com/Lightning-AI/pytorch-lightning/issues/20330).
    """
    loop = trainer.fit_loop
    loop.max_batches = blocks
    if (loader := getattr(loop, "_combined_loader", None)) is not None:
        loader.limits = [blocks]


def begin_next_epoch(trainer: Trainer) -> None:
    """Let a run that is resumed at the end of an epoch begin the next epoch. Call this function in on_train_start.

    With `max_steps`, Lightning takes the epoch for unfinished. It would train one block, end the epoch a second time,
    and count the epochs wrongly from then on.
    """
    loop = trainer.fit_loop
    if getattr(loop, "restarted_on_epoch_end", False):
        loop.epoch_progress.increment_completed()
        loop.reset_restart_stage()
        loop._restarting = loop.epoch_loop.restarting = False
