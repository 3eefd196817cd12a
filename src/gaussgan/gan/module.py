"""The GAN as a LightningModule: trains a `Game` with manual optimization, counts iterations, and saves its state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from gaussgan import __version__
from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.data.loader import Block
from gaussgan.gan.augmentations import Augmentation
from gaussgan.gan.averaging import averaging_rate
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.eager import EagerIterations, TrainBlock
from gaussgan.gan.game import Game, OptimizerFactory
from gaussgan.gan.iteration import Iteration
from gaussgan.gan.lightning_loop import count_iterations, set_epoch_length
from gaussgan.gan.objectives import Objective
from gaussgan.gan.one_run import groups, map_tensors
from gaussgan.gan.optimizers import load_tensors
from gaussgan.gan.penalties import Penalty
from gaussgan.gan.player import flatten
from gaussgan.gan.schedules import Schedule, advance, schedulers
from gaussgan.gan.state import TAGS, AverageState, EpochSums, Start, State
from gaussgan.gan.updates import Update, start
from gaussgan.networks.replicas import Replicas


class GAN(LightningModule):
    """Trains a generator and a discriminator, or `Replicas` of both, with an objective and an update rule.

    An iteration is one call of the update rule. A `training_step` runs a block of iterations and counts each of them.
    So `trainer.max_steps`, `global_step`, checkpoints and loggers count iterations.

    Args:
        generator: maps latents [..., B, k] to examples [..., B, d].
        discriminator: maps examples to logits, [..., B, 1]; higher for examples that look real.
        objective: the loss of each player.
        update: the rule by which both players move.
        optimizer_d: makes the discriminator's torch optimizer from a list of tensors.
        optimizer_g: the same for the generator.
        penalties: half of each is added to the discriminator's loss; see `gaussgan.gan.penalties`.
        schedule: maps the progress of the run, 0 to 1, to a multiplier of both learning rates, or of each.
        player_d: further arguments of the discriminator's `Player`, such as `clip_gradient`.
        player_g: the same for the generator.
        ema_half_life: the half-life, in iterations, of the moving average of the generator's parameters,
            `generator_ema`. Pass one number, or [R] numbers for R replicas; None for no average.
        packing: the number of examples that the discriminator sees at once; see `Game`.
        augmentations: random transformations of all examples that the discriminator sees.
        config: the run's configuration as plain dicts and lists. It is saved in the checkpoint.

    Raises:
        Diverged: from `training_step`, when a loss or a parameter is no longer finite. A replica that diverges goes
            back to its state before the current block and stays there; the other replicas continue. With replicas, the
            error is raised when the last replica diverges.
    """

    state: State

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        update: Update,
        optimizer_d: OptimizerFactory,
        optimizer_g: OptimizerFactory,
        penalties: Sequence[Penalty] = (),
        schedule: Schedule | None = None,
        player_d: Mapping[str, Any] | None = None,
        player_g: Mapping[str, Any] | None = None,
        ema_half_life: float | Tensor | None = None,
        packing: int = 1,
        augmentations: Sequence[Augmentation] = (),
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = generator, discriminator
        second_order = getattr(update, "second_order", False)
        self.game = Game(generator, discriminator, objective, penalties, second_order, packing, augmentations)
        self.update, self.schedule = update, schedule
        self.optimizer_d, self.optimizer_g = optimizer_d, optimizer_g
        self.player_d, self.player_g = player_d or {}, player_g or {}
        self.ema_half_life = ema_half_life
        self.generator_ema = None if ema_half_life is None else deepcopy(generator).requires_grad_(False)
        self.config = config or {}
        self.replicas = len(generator) if isinstance(generator, Replicas) else 1
        self.train_block: TrainBlock = EagerIterations()
        self.saved: dict[str, Any] = {}  # the checkpoint of a resumed run, until the state exists
        self.start: Start | None = None  # what is taken from another run, until the state exists

    def on_fit_start(self) -> None:
        # When a player stops moving, Adam's moments fall below 1e-38. Arithmetic with such numbers is very slow.
        torch.set_flush_denormal(True)

    def training_step(self, block: Block, _: int) -> None:
        sums, counts, diverged = self.train_block(self, block)
        count_iterations(self.trainer, len(block))
        number, epoch = data_of(self.trainer).loader.epoch, self.state.epoch
        epoch = epoch if epoch.epoch == number else EpochSums(epoch=number)
        self.state = self.state._replace(epoch=epoch.add(sums, counts), diverged={**self.diverged, **diverged})
        if len(self.diverged) == self.replicas:
            raise max(self.diverged.values(), key=lambda error: error.iteration)
        if self.generator_ema is not None:
            for ours, theirs in zip(self.generator_ema.buffers(), self.generator.buffers(), strict=True):
                ours.copy_(theirs)

    def configure_optimizers(self) -> Any:
        leading = 1 if self.replicas > 1 else 0
        place = partial(map_tensors, function=lambda tensor: tensor.to(self.placed))
        self.update, self.game.penalties = place(self.update), [*map(place, self.game.penalties)]
        players = self.game.players(self.optimizer_d, self.optimizer_g, leading, self.player_d, self.player_g)
        self.discriminator_player, self.generator_player = players
        average, rate, before = None, None, getattr(self, "state", None)
        if self.generator_ema is not None and self.ema_half_life is not None:
            rate = averaging_rate(self.ema_half_life, self.placed)
            average = AverageState(flatten([*self.generator_ema.parameters()], leading), torch.ones_like(rate))
        self.state = State(players[0].state, players[1].state, start(self.update, *players), average)
        if before is not None:  # another fit of the same module
            weight = before.average and before.average.weight
            self._restore(before.remembered(), weight, before.epoch, before.diverged)
        elif self.saved:
            diverged = {i: Diverged(*error) for i, error in self.saved["diverged"].items()}
            sums = EpochSums(*self.saved["epoch_sums"])
            self._restore(self.saved["memory"], self.saved["average_weight"], sums, diverged)
            self.saved = {}
        elif self.start is not None:
            for player, state in zip(players, self.start.optimizers, strict=False):  # none if they start anew
                load_tensors(player.optimizer, state)
            if self.start.averaged and average is not None and rate is not None:
                average.weight.copy_(rate)  # otherwise the first update would forget the average
            self.start = None
        self.iteration = Iteration(self.update, *players, rate)
        optimizers = [player.optimizer for player in players]
        self.schedulers: list[LambdaLR] = []
        if (schedule := self.schedule) is not None:
            self.schedulers = schedulers(schedule, optimizers, planned_iterations(self.trainer))
        return optimizers, self.schedulers

    def next_learning_rates(self, iterations: int) -> list[Tensor]:
        """Return both learning rates of the next iterations, [iterations] each, and advance the schedulers."""
        if not self.schedulers:
            rates = (group["lr"] for group in groups(self.iteration))
            return [torch.full((iterations,), rate, dtype=torch.float64) for rate in rates]
        return [advance(scheduler, iterations) for scheduler in self.schedulers]

    @property
    def placed(self) -> Tensor:
        """A tensor on the device and in the precision of the networks."""
        return next(self.parameters())

    @property
    def logistic(self) -> bool:
        """True if the optimal logit is log p/q; see `Objective`. Then the sigmoid of a logit is a probability."""
        return getattr(self.game.objective, "logistic", False)

    @property
    def diverged(self) -> Mapping[int, Diverged]:
        """Maps the number of each diverged replica to its error. A single run has number 0."""
        return self.state.diverged if hasattr(self, "state") else {}

    def epoch_means(self, since: EpochSums | None = None) -> dict[str, Tensor]:
        """Return the means of D's loss, of G's loss, and of D's verdicts on real and on generated examples.

        D's verdict is the sigmoid of the logit if the objective is logistic, otherwise the logit. The result maps each
        of the four names in `TAGS` to a mean over the examples of the epoch so far. If `since` is given, the examples
        that are in `since` are left out.
        """
        sums = self.state.epoch if since is None else self.state.epoch.since(since)
        return dict(zip(TAGS, self._over_ranks(sums.means()).unbind(-1), strict=True))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside a with block, set the networks to evaluation mode and compute no gradients."""
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train()

    def on_train_epoch_start(self) -> None:
        set_epoch_length(self.trainer, len(self.trainer.train_dataloader))  # type: ignore[arg-type]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["gaussgan_version"] = __version__
        checkpoint["config"] = self.config
        if self.schedule is not None:
            checkpoint["planned_iterations"] = planned_iterations(self.trainer)
        checkpoint["memory"] = self.state.remembered()
        checkpoint["average_weight"] = None if self.state.average is None else self.state.average.weight
        checkpoint["diverged"] = {i: (error.iteration, error.what) for i, error in self.diverged.items()}
        # One rank saves, and every rank loads what it saved. So the sums are averaged over the ranks.
        sums, counts, epoch = self.state.epoch
        checkpoint["epoch_sums"] = (self._over_ranks(sums), counts, epoch)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.saved = checkpoint  # `_restore` needs it when the state exists

    def _restore(
        self, memory: Sequence[Tensor], weight: Tensor | None, epoch: EpochSums, diverged: Mapping[int, Diverged]
    ) -> None:
        """Copy parts of an earlier state into the current one.

        When a run resumes, Lightning restores the networks and the optimizers. In another fit of the same module, the
        networks are still there, but the optimizers start anew.
        """
        for ours, theirs in zip(self.state.remembered(), memory, strict=True):
            ours.copy_(theirs)
        if self.state.average is not None and weight is not None:
            self.state.average.weight.copy_(weight)
        self.state = self.state._replace(epoch=epoch, diverged=diverged)

    def _over_ranks(self, tensor: Tensor) -> Tensor:
        """Return the average of a tensor over the processes of a distributed run, on the CPU."""
        if self.trainer.world_size == 1:
            return tensor.cpu()
        return self.trainer.strategy.reduce(tensor.to(self.device)).cpu()
