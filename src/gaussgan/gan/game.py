"""The game: two networks, and the loss that each of them minimises on a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

from gaussgan.data.loader import Batch
from gaussgan.gan.augmentations import Augmentation, augmented, draws_of
from gaussgan.gan.objectives import Objective
from gaussgan.gan.penalties import Penalty, Seen
from gaussgan.gan.player import Loss, Player
from gaussgan.networks.packing import copies, packed

OptimizerFactory = Callable[[list[Tensor]], torch.optim.Optimizer]


class Game:
    """A generator and a discriminator with the losses of an objective.

    Args:
        generator: maps latents [..., B, k] to examples [..., B, d].
        discriminator: maps examples to logits, [..., B, 1]; higher for examples that look real.
        objective: the loss of each player as a function of logits.
        penalties: half of each is added to the discriminator's loss; see `gaussgan.gan.penalties`.
        second_order: true if the discriminator's loss must be differentiable with respect to the generator's
            parameters.
        augmentations: random transformations of all examples that the discriminator sees; see `augmented`.
        packing: m, the number of examples that the discriminator sees at once. It then maps packs, [..., B/m, m·d], to
            logits, [..., B/m, 1]; see `packed`. Losses and penalties have one number for each pack.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        penalties: Sequence[Penalty] = (),
        second_order: bool = False,
        packing: int = 1,
        augmentations: Sequence[Augmentation] = (),
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.objective, self.penalties, self.second_order = objective, penalties, second_order
        self.packing, self.augmentations = packing, augmentations
        self.paired = getattr(objective, "paired", False)
        self.fake_cache = FakeCache()

    def like(
        self, generator: nn.Module, discriminator: nn.Module, objective: Objective, penalties: Sequence[Penalty]
    ) -> Game:
        """Return a game of other networks, in which the discriminator sees examples as in this game."""
        options = (self.second_order, self.packing, self.augmentations)
        return Game(generator, discriminator, objective, penalties, *options)

    def discriminator_loss(self, batch: Batch, *memory: Sequence[Tensor]) -> Loss:
        """Return the discriminator's loss. One forward pass computes the logits of real and of generated examples.

        Args:
            batch: the batch.
            memory: for each penalty, the tensors that it remembers.
        """
        fake = self.generated(batch)
        self.fake_cache.keep(batch, fake)
        if not self.second_order:
            fake = fake.detach()
        of_real, of_fake = draws_of_both(batch)
        real, fake = self.shown(batch.real, of_real), self.shown(fake, of_fake)
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake], -2)).chunk(2, -2)
        losses = self.objective.discriminator_loss(real_logits, fake_logits)
        if self.penalties:
            mix = batch.mix if batch.mix is None or self.packing == 1 else batch.mix[..., :: self.packing, :]
            perturbation = None if batch.perturbation is None else packed(batch.perturbation, self.packing)
            seen = Seen(real, fake, real_logits, fake_logits, mix, perturbation)
            for penalty, remembered in zip(self.penalties, memory or repeat(()), strict=False):
                losses = losses + penalty(self.discriminator, seen, *remembered) / 2
        return Loss(losses, real_logits, fake_logits)

    def generator_loss(self, batch: Batch) -> Loss:
        """Return the generator's loss."""
        of_real, of_fake = draws_of_both(batch)
        fake_logits = self.discriminator(self.shown(self.generated(batch), of_fake))
        real_logits = self.discriminator(self.shown(batch.real, of_real)) if self.paired else None
        return Loss(self.objective.generator_loss(real_logits, fake_logits))

    def generated(self, batch: Batch) -> Tensor:
        """Return generated examples with the instance noise of the batch, [..., B, d]; see `FakeCache`."""
        if (kept := self.fake_cache.take(batch)) is not None:
            return kept
        fake = self.generator(batch.latent)
        return fake if batch.noise is None else fake + batch.noise

    def shown(self, x: Tensor, draws: Tensor | None) -> Tensor:
        """Return examples as the discriminator's input: augmented, then packed, [..., B, d] → [..., B/m, m·d]."""
        return packed(augmented(x, self.augmentations, draws), self.packing)

    @property
    def components(self) -> list[Any]:
        """The objective, the penalties and the augmentations."""
        return [self.objective, *self.penalties, *self.augmentations]

    def verdict(self, x: Tensor) -> Tensor:
        """Return the discriminator's logit at points, [..., d] → [..., 1]. A pack consists of m copies of a point."""
        return self.discriminator(copies(x, self.packing))

    def start(self, parameter: Tensor, leading: int) -> tuple[tuple[Tensor, ...], ...]:
        """Return the tensors that each penalty remembers, as they are before the first iteration.

        Args:
            parameter: a parameter of the discriminator.
            leading: the number of leading dimensions of the parameters; see `Player`.
        """
        logit = parameter.detach().new_zeros(*parameter.shape[:leading], 1, 1)
        return tuple(tuple(each.start(logit)) if hasattr(each, "start") else () for each in self.penalties)

    def players(
        self,
        optimizer_d: OptimizerFactory,
        optimizer_g: OptimizerFactory,
        leading: int = 0,
        limits_d: Mapping[str, Any] | None = None,
        limits_g: Mapping[str, Any] | None = None,
    ) -> tuple[Player, Player]:
        """Return the discriminator and the generator, in this order, as players.

        Args:
            optimizer_d: makes the discriminator's torch optimizer from a list of tensors.
            optimizer_g: the same for the generator.
            leading: 1 if the networks are `Replicas`, else 0.
            limits_d: further arguments of the discriminator's `Player`, such as `clip_gradient`.
            limits_g: the same for the generator.
        """
        limits_d = {**(limits_d or {}), "memory": self.start(next(self.discriminator.parameters()), leading)}
        discriminator = Player(
            self.discriminator, self.discriminator_loss, optimizer_d, scale=2, leading=leading, **limits_d
        )
        generator = Player(self.generator, self.generator_loss, optimizer_g, leading=leading, **(limits_g or {}))
        self.fake_cache = FakeCache(generator)
        return discriminator, generator


def columns_of(penalties: Sequence[Penalty], augmentations: Sequence[Augmentation]) -> dict[str, int]:
    """Return which optional columns of a `Batch` a game needs, as arguments of a `DataModule`."""
    perturbs = any(getattr(penalty, "perturbs", False) for penalty in penalties)
    return {"mix": bool(penalties), "perturbation": perturbs, "augment": draws_of(augmentations)}


def draws_of_both(batch: Batch) -> tuple[Tensor | None, Tensor | None]:
    """Return the draws for the augmentations of the real and of the generated examples of a batch."""
    return (None, None) if batch.augment is None else batch.augment.chunk(2, -1)  # type: ignore[return-value]


class FakeCache:
    """Keeps the generated examples from which the discriminator's last loss was computed, with their autograd graph.

    The next loss of either player uses these examples again. So the generator runs once for all losses of a batch,
    unless its parameters change between them.
    """

    def __init__(self, generator: Player | None = None) -> None:
        self.generator = generator
        self.kept: tuple[Batch, list[Tensor], object, Tensor] | None = None

    def keep(self, batch: Batch, fake: Tensor) -> None:
        if self.generator is not None:
            self.kept = batch, self.generator.parameters, self.generator.version, fake

    def take(self, batch: Batch) -> Tensor | None:
        """Return and forget the kept examples; None if there are none, or if they are outdated.

        They are outdated if they are from another batch or the generator's θ has changed.
        """
        if self.kept is None or self.generator is None:
            return None
        (of, parameters, version, fake), self.kept = self.kept, None
        moved = parameters is not self.generator.parameters or version != self.generator.version
        return None if moved or of is not batch else fake
