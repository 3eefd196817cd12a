"""The GAN: two networks, an objective and an update rule, trained by Lightning with manual optimization."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.data.loader import Batch, Block
from gaussgan.gan.account import Account
from gaussgan.gan.averaging import exponential
from gaussgan.gan.divergence import Diverged, all_finite, divergence
from gaussgan.gan.history import pack, unpack
from gaussgan.gan.objectives import Objective
from gaussgan.gan.penalties import Penalty
from gaussgan.gan.player import Player
from gaussgan.gan.updates import Update
from gaussgan.networks.replicas import Replicas

OptimizerFactory = Callable[[list[Tensor]], torch.optim.Optimizer]


class GAN(LightningModule):
    """A generator and a discriminator that play by an objective and move by an update rule; or `Replicas` of both.

    An iteration is one call of the update rule. A `training_step` runs a block of them and counts each, so that
    `trainer.max_steps`, `global_step`, checkpoints and loggers all count iterations.

    Args:
        generator: from latents [..., B, k] to examples [..., B, d].
        discriminator: from examples to logits, [..., B, 1], high where it takes them for real.
        objective: what each player minimises.
        update: how the two move.
        optimizer_d: from a list of tensors to the discriminator's torch optimizer; `optimizer_g` to the generator's.
        penalties: what is added to the discriminator's loss.
        schedule: from a run's progress, 0 to 1, to the share of the first learning rates that is left.
        player_d: what else the discriminator's `Player` takes, such as `clip_gradient`; `player_g` the generator's.
        ema_half_life: iterations after which a parameter of the generator weighs half in its moving average,
            `generator_ema`, or of each replica, [R]; None for no average.
        config: the run's configuration in plain containers; it travels in the checkpoint.

    Raises:
        Diverged: from `training_step`, when a loss or a parameter is no longer finite. One of several replicas is then
            noted in `diverged`, and keeps the parameters that it had before that block; it is raised for the last one.
    """

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
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.update = update
        self.optimizer_d = optimizer_d
        self.optimizer_g = optimizer_g
        self.penalties = penalties
        self.schedule = schedule
        self.player_d, self.player_g = player_d or {}, player_g or {}
        self.generator_ema: AveragedModel | None = None
        if ema_half_life is not None:
            self.generator_ema = AveragedModel(deepcopy(generator), multi_avg_fn=exponential(ema_half_life))
        self.config = config or {}
        self.replicas = len(generator) if isinstance(generator, Replicas) else 1
        self.diverged: dict[int, Diverged] = {}  # by the number of the replica
        self.history: list[dict[str, Any]] = []  # a row for each epoch, by the callback that evaluates
        self.trajectory: list[Tensor] = []  # both players' parameters, by the callback that follows them
        self.epoch = Account()
        self.shown: tuple[Batch, Any, Tensor] | None = None  # of the generator to D: for a batch, at a version of θ_G

    def on_fit_start(self) -> None:
        # A player that has given up leaves Adam moments below 1e-38, which cost many times as much as other numbers.
        torch.set_flush_denormal(True)

    def training_step(self, block: Block, _: int) -> None:
        before = [tensor.clone() for tensor in self._replicated()]
        for batch in block:
            self.update(self.discriminator_player, self.generator_player, batch)
            for scheduler in self.schedulers:
                scheduler.step()
            if self.generator_ema is not None:
                self.generator_ema.update_parameters(self.generator)
        self._keep_account(block, before)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Losses of the discriminator, [..., B, 1], which sees real and generated examples in one pass."""
        fake = self.generate(batch)
        self.shown = (batch, self.generator_player.version, fake)
        if not self.second_order:  # only a rule that differentiates gradients looks behind fake
            fake = fake.detach()
        real_logits, fake_logits = self.discriminator(torch.cat([batch.real, fake], -2)).chunk(2, -2)
        self.real_logits.append(real_logits.detach())
        self.fake_logits.append(fake_logits.detach())
        losses = self.objective.discriminator_loss(real_logits, fake_logits)
        for penalty in self.penalties:
            losses = losses + penalty(self.discriminator, batch.real, fake, batch.mix) / 2
        return losses

    def generator_loss(self, batch: Batch) -> Tensor:
        """Losses of the generator, [..., B, 1]."""
        fake = self.discriminator(self._shown_again(batch))
        return self.objective.generator_loss(self.discriminator(batch.real) if self.paired else None, fake)

    def generate(self, batch: Batch) -> Tensor:
        """What the discriminator is shown of the generator, [..., B, d]."""
        fake = self.generator(batch.latent)
        return fake if batch.noise is None else fake + batch.noise

    def _shown_again(self, batch: Batch) -> Tensor:
        """What the discriminator has just been shown, graph and all, unless the generator has moved since."""
        shown, self.shown = self.shown, None
        if shown is not None and shown[0] is batch and shown[1] == self.generator_player.version:
            return shown[2]
        return self.generate(batch)

    @property
    def placed(self) -> Tensor:
        """A tensor that is where the networks are, and in their precision."""
        return next(self.parameters())

    def configure_optimizers(self) -> Any:
        self.real_logits: list[Tensor] = []
        self.fake_logits: list[Tensor] = []
        self.paired = getattr(self.objective, "paired", False)
        self.second_order = getattr(self.update, "second_order", False)
        for part in (self.update, *self.penalties):
            for name, value in vars(part).items():  # numbers of replicas, to where the networks are
                if isinstance(value, Tensor):
                    object.__setattr__(part, name, value.to(self.placed))
        leading = 1 if self.replicas > 1 else 0
        self.discriminator_player = Player(
            self.discriminator, self.discriminator_loss, self.optimizer_d, scale=2, leading=leading, **self.player_d
        )
        self.generator_player = Player(
            self.generator, self.generator_loss, self.optimizer_g, leading=leading, **self.player_g
        )
        optimizers = [self.discriminator_player.optimizer, self.generator_player.optimizer]
        self.schedulers: list[LambdaLR] = []
        if (schedule := self.schedule) is not None:
            end = planned_iterations(self.trainer)
            self.schedulers = [LambdaLR(optimizer, lambda i: schedule(min(i / end, 1))) for optimizer in optimizers]
        return optimizers, self.schedulers

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Networks as they are used and not trained for a while: nothing that looks at them changes them."""
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train()

    def epoch_means(self, since: Account | None = None) -> dict[str, Tensor]:
        """Return means over the examples of the epoch so far, or since an account of it.

        They are both losses, and D's verdict on real and on generated examples: a probability where the objective is
        logistic, else the logit.
        """
        account = self.epoch if since is None else self.epoch.since(since)
        means = self.trainer.strategy.reduce(account.means().to(self._reducible)).cpu()
        return dict(zip(Account.tags, means.unbind(-1), strict=True))

    def on_train_epoch_start(self) -> None:
        # Epochs may differ in their number of blocks (the one of max_steps does), and Lightning asks for it just once.
        loop, blocks = self.trainer.fit_loop, len(self.trainer.train_dataloader)  # type: ignore[arg-type]
        loop.max_batches, loop._combined_loader.limits = blocks, [blocks]  # type: ignore[union-attr]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
        if self.schedule is not None:
            checkpoint["planned_iterations"] = planned_iterations(self.trainer)
        checkpoint["update"] = getattr(self.update, "memory", [])
        checkpoint["history"] = pack(self.history)
        checkpoint["diverged"] = {i: (error.iteration, error.what) for i, error in self.diverged.items()}
        # All ranks load what one saves, so it is what they have in common.
        sums = self.trainer.strategy.reduce(self.epoch.sums.to(self._reducible)).cpu()
        checkpoint["epoch_account"] = (sums, self.epoch.counts, self.epoch.number)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = unpack(checkpoint["history"])
        self.diverged = {i: Diverged(*error) for i, error in checkpoint["diverged"].items()}
        if checkpoint["update"]:
            self.update.memory = checkpoint["update"]  # type: ignore[attr-defined]
        self.epoch = Account(*checkpoint["epoch_account"])

    def _keep_account(self, block: Block, before: list[Tensor]) -> None:
        """Count the iterations of a block, add up what its players lost, and see that all of it is finite."""
        self._count_iterations(len(block))
        number = data_of(self.trainer).loader.epoch
        if number != self.epoch.number:  # a run resumed at an epoch's end gets no on_train_epoch_start
            self.epoch = Account(number=number)
        players = {"discriminator": self.discriminator_player, "generator": self.generator_player}
        losses = [torch.cat(player.losses, -2) for player in players.values()]
        verdicts = [torch.cat(logits, -2) for logits in (self.real_logits, self.fake_logits)]
        if getattr(self.objective, "logistic", False):  # else σ of a logit is no probability
            verdicts = [logits.sigmoid() for logits in verdicts]
        self.epoch.add([*losses, *verdicts])
        finite = all_finite([*losses, *(player.theta for player in players.values())], self.replicas)
        # A rank may see finite losses of its share alone; all of them stop.
        if self.diverged or not self.trainer.strategy.reduce_boolean_decision(bool(finite.all())):
            records = {name: player.losses for name, player in players.items()}
            spoilt = finite.logical_not().nonzero().flatten().tolist() if self.replicas > 1 else [0]
            for i in set(spoilt) - set(self.diverged):
                self.diverged[i] = divergence(records, i, self.global_step - len(block) + 1, len(block))
            self._freeze([*self.diverged], before)
        for record in (self.real_logits, self.fake_logits, *(player.losses for player in players.values())):
            record.clear()

    def _freeze(self, replicas: list[int], before: list[Tensor]) -> None:
        """Give replicas back what they had before this block.

        Raises:
            Diverged: when these are all.
        """
        if len(replicas) == self.replicas:
            raise max(self.diverged.values(), key=lambda error: error.iteration)
        for tensor, value in zip(self._replicated(), before, strict=True):
            tensor[replicas] = value[replicas]

    def _replicated(self) -> list[Tensor]:
        """Parameters and buffers that have a row for each replica; none of a single run."""
        if self.replicas == 1:
            return []
        return [tensor for tensor in self.state_dict().values() if tensor.ndim]  # all but how often G was averaged

    @property
    def _reducible(self) -> torch.device:
        """Where ranks can reduce a tensor; a single process need not move it (MPS has no float64)."""
        return self.device if self.trainer.world_size > 1 else torch.device("cpu")

    def _count_iterations(self, n: int) -> None:
        # Lightning counts calls of its own optimizer wrappers, and gives loggers the number of training_steps. Players
        # step raw optimizers, K times in a training_step, so both are told here.
        loop = self.trainer.fit_loop.epoch_loop
        loop.manual_optimization.optim_step_progress.increment_by(n)
        loop._batches_that_stepped += n - 1
