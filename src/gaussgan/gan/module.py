"""The GAN as a LightningModule: trains a `Game` with manual optimization, counts iterations, and saves its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import chain
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from gaussgan import __version__
from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.data.loader import Batch, Block
from gaussgan.gan.averaging import averaging_rate
from gaussgan.gan.divergence import Diverged, all_finite, divergence
from gaussgan.gan.game import Game, OptimizerFactory
from gaussgan.gan.history import pack, unpack
from gaussgan.gan.iteration import Iteration
from gaussgan.gan.lightning_loop import count_iterations, set_epoch_length
from gaussgan.gan.objectives import Objective
from gaussgan.gan.penalties import Penalty
from gaussgan.gan.player import flatten
from gaussgan.gan.state import TAGS, AverageState, EpochSums, State
from gaussgan.gan.updates import Losses, Update, start
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
        penalties: the terms that are added to the discriminator's loss.
        schedule: maps the progress of the run, 0 to 1, to a multiplier of both learning rates.
        player_d: further arguments of the discriminator's `Player`, such as `clip_gradient`.
        player_g: the same for the generator.
        ema_half_life: the half-life, in iterations, of the moving average of the generator's parameters,
            `generator_ema`. A number, or [R] with one for each replica. None for no average.
        config: the run's configuration in plain containers. It is saved in the checkpoint.

    Raises:
        Diverged: from `training_step`, when a loss or a parameter is no longer finite. A replica that diverges goes
            back to its state before that block and stays there; the other replicas continue. The error is raised when
            the last replica diverges.
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
        schedule: Callable[[float], float] | None = None,
        player_d: Mapping[str, Any] | None = None,
        player_g: Mapping[str, Any] | None = None,
        ema_half_life: float | Tensor | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = generator, discriminator
        self.game = Game(generator, discriminator, objective, penalties, getattr(update, "second_order", False))
        self.update, self.schedule = update, schedule
        self.optimizer_d, self.optimizer_g = optimizer_d, optimizer_g
        self.player_d, self.player_g = player_d or {}, player_g or {}
        self.ema_half_life = ema_half_life
        self.generator_ema = None if ema_half_life is None else deepcopy(generator).requires_grad_(False)
        self.config = config or {}
        self.replicas = len(generator) if isinstance(generator, Replicas) else 1
        self.history: list[dict[str, Any]] = []  # one row for each epoch; the callback `Evaluation` adds them
        self.trajectory: list[Tensor] = []  # the parameters of both players; the callback `Trajectory` adds them
        self.saved: dict[str, Any] = {}  # the checkpoint of a resumed run, until the state exists

    def on_fit_start(self) -> None:
        # When a player stops moving, Adam's moments fall below 1e-38. Arithmetic with such numbers is very slow.
        torch.set_flush_denormal(True)

    def training_step(self, block: Block, _: int) -> None:
        before = [tensor.clone() for tensor in self._replica_tensors()]
        losses = [self._iterate(batch) for batch in block]
        self._finish_block(block, losses, before)

    def _iterate(self, batch: Batch) -> Losses:
        losses = self.iteration(self.state, batch)
        for scheduler in self.schedulers:
            scheduler.step()
        return losses

    def _finish_block(self, block: Block, losses: list[Losses], before: list[Tensor]) -> None:
        """Count the iterations of a block, add its losses to the epoch's sums, and check for numbers that diverged."""
        count_iterations(self.trainer, len(block))
        losses_d, losses_g = ([*chain.from_iterable(each)] for each in zip(*losses, strict=True))
        values_d, values_g = (torch.cat([loss.values for loss in each], -2) for each in (losses_d, losses_g))
        logits = [torch.cat(each, -2) for each in zip(*((loss.real, loss.fake) for loss in losses_d), strict=True)]
        verdicts = [each.sigmoid() for each in logits] if self.logistic else logits
        number, epoch = data_of(self.trainer).loader.epoch, self.state.epoch
        epoch = epoch if epoch.epoch == number else EpochSums(epoch=number)
        self.state = self.state._replace(epoch=epoch.add([values_d, values_g, *verdicts]))
        thetas = [self.state.discriminator.theta, self.state.generator.theta]
        finite = all_finite([values_d, values_g, *thetas], self.replicas)
        # The losses of one rank's shard may be finite while another rank's are not. All ranks must stop.
        if self.diverged or not self.trainer.strategy.reduce_boolean_decision(bool(finite.all())):
            values = ([loss.values for loss in each] for each in (losses_d, losses_g))
            self._freeze_diverged(block, dict(zip(("discriminator", "generator"), values, strict=True)), finite, before)
        if self.generator_ema is not None:
            for ours, theirs in zip(self.generator_ema.buffers(), self.generator.buffers(), strict=True):
                ours.copy_(theirs)

    def _freeze_diverged(
        self, block: Block, losses: Mapping[str, Sequence[Tensor]], finite: Tensor, before: list[Tensor]
    ) -> None:
        """Record the replicas that diverged in a block. Restore all diverged replicas to their state before it.

        Raises:
            Diverged: when every replica has diverged.
        """
        first = self.global_step - len(block) + 1
        not_finite = finite.logical_not().nonzero().flatten().tolist() if self.replicas > 1 else [0]
        new = {i: divergence(losses, i, first, len(block)) for i in not_finite if i not in self.diverged}
        self.state = self.state._replace(diverged={**self.diverged, **new})
        if len(self.diverged) == self.replicas:
            raise max(self.diverged.values(), key=lambda error: error.iteration)
        for tensor, value in zip(self._replica_tensors(), before, strict=True):
            tensor[[*self.diverged]] = value[[*self.diverged]]

    def _replica_tensors(self) -> list[Tensor]:
        """Return the tensors of the state with one row for each replica; none for a single run."""
        return [tensor for tensor in self.state.tensors() if tensor.ndim] if self.replicas > 1 else []

    def configure_optimizers(self) -> Any:
        leading = 1 if self.replicas > 1 else 0
        for component in (self.update, *self.game.penalties):
            for name, value in vars(component).items():  # tensors with one number for each replica
                if isinstance(value, Tensor):
                    setattr(component, name, value.to(self.placed))
        players = self.game.players(self.optimizer_d, self.optimizer_g, leading, self.player_d, self.player_g)
        self.discriminator_player, self.generator_player = players
        average, rate = None, None
        if self.generator_ema is not None and self.ema_half_life is not None:
            rate = averaging_rate(self.ema_half_life, self.placed)
            average = AverageState(flatten([*self.generator_ema.parameters()], leading), torch.ones_like(rate))
        self.state = State(players[0].state, players[1].state, start(self.update, *players), average)
        self._restore()
        self.iteration = Iteration(self.update, *players, rate)
        optimizers = [player.optimizer for player in players]
        self.schedulers: list[LambdaLR] = []
        if (schedule := self.schedule) is not None:
            end = planned_iterations(self.trainer)
            self.schedulers = [LambdaLR(optimizer, lambda i: schedule(min(i / end, 1))) for optimizer in optimizers]
        return optimizers, self.schedulers

    @property
    def placed(self) -> Tensor:
        """A tensor on the device and in the precision of the networks."""
        return next(self.parameters())

    @property
    def logistic(self) -> bool:
        """True if the optimal logit is log p/q. Then its sigmoid is a probability; see `Objective`."""
        return getattr(self.game.objective, "logistic", False)

    @property
    def diverged(self) -> Mapping[int, Diverged]:
        """The errors of the replicas that diverged, by number."""
        return self.state.diverged if hasattr(self, "state") else {}

    def epoch_means(self, since: EpochSums | None = None) -> dict[str, Tensor]:
        """Return means over the examples of the epoch so far, or over the examples after the sums `since`.

        They are both losses, and D's verdict on real and on generated examples: a probability if the objective is
        logistic, otherwise the logit.
        """
        sums = self.state.epoch if since is None else self.state.epoch.since(since)
        return dict(zip(TAGS, self._over_ranks(sums.means()).unbind(-1), strict=True))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Set the networks to evaluation mode inside a with block. Calls then do not change them."""
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
        checkpoint["memory"] = [*self.state.memory]
        checkpoint["average_weight"] = None if self.state.average is None else self.state.average.weight
        checkpoint["history"] = pack(self.history)
        checkpoint["diverged"] = {i: (error.iteration, error.what) for i, error in self.diverged.items()}
        # One rank saves and every rank loads: the sums are averaged over the ranks.
        sums, counts, epoch = self.state.epoch
        checkpoint["epoch_sums"] = (self._over_ranks(sums), counts, epoch)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = unpack(checkpoint["history"])
        self.saved = checkpoint  # `_restore` needs it when the state exists

    def _restore(self) -> None:
        """Load the entries that Lightning does not load: memory, average, sums and diverged replicas."""
        if not self.saved:
            return
        saved, self.saved = self.saved, {}
        for ours, theirs in zip(self.state.memory, saved["memory"], strict=True):
            ours.copy_(theirs)
        if self.state.average is not None:
            self.state.average.weight.copy_(saved["average_weight"])
        diverged = {i: Diverged(*error) for i, error in saved["diverged"].items()}
        self.state = self.state._replace(epoch=EpochSums(*saved["epoch_sums"]), diverged=diverged)

    def _over_ranks(self, tensor: Tensor) -> Tensor:
        """Average a tensor over the processes of a distributed run. A single process keeps it on the CPU."""
        device = self.device if self.trainer.world_size > 1 else torch.device("cpu")  # MPS has no float64
        return self.trainer.strategy.reduce(tensor.to(device)).cpu()
