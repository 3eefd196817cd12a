"""Update rules: how two players move. One call is one iteration.

D is the discriminator, with parameters θ_D. G is the generator, with parameters θ_G. The vector g_D is the gradient of
D's loss with respect to θ_D, and g_G is the gradient of G's loss with respect to θ_G. D ← g means that D's optimizer
makes one step along a vector g. With plain SGD and learning rate η, this step is θ_D ← θ_D − η g.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from gaussgan.gan.player import Loss, Player, mean_over_ranks

Losses = tuple[list[Loss], list[Loss]]  # D's and G's losses, one for each gradient, in order


class Update(Protocol):
    """Moves both players by one iteration and returns their losses.

    A rule may remember tensors between iterations. Then it has a method `start(discriminator, generator)` that returns
    the initial tensors as a tuple. Each call of the rule gets the tensors as further arguments and changes them in
    place. With replicas, each tensor has a first dimension R or no dimension. A rule that differentiates gradients sets
    `second_order = True`.
    """

    def __call__(self, discriminator: Player, generator: Player, batch: Any, *memory: Tensor) -> Losses: ...


def start(update: Update, discriminator: Player, generator: Player) -> tuple[Tensor, ...]:
    """Return the tensors that an update rule remembers, as they are before the first iteration.

    Raises:
        TypeError: when the rule's method `start` does not return a tuple or a list.
    """
    memory = update.start(discriminator, generator) if hasattr(update, "start") else ()
    if not isinstance(memory, tuple | list):
        raise TypeError(f"start must return a tuple of tensors (got {type(memory).__name__})")
    return tuple(memory)


class Alternating:
    """Alternating steps: the discriminator D makes d_steps steps; then the generator G makes one step.

    Each step is along the gradient of the player's own loss, at the current parameters of both players. Goodfellow et
    al. 2014, arXiv 1406.2661, algorithm 1. If `generator_first` is true, G moves before D. With d_steps > 1 a batch is
    split into d_steps chunks, one for each step of D. G gets the last chunk.

    Raises:
        ValueError: when d_steps is below 1.
    """

    def __init__(self, d_steps: int = 1, generator_first: bool = False) -> None:
        if d_steps < 1:
            raise ValueError(f"d_steps must be at least 1 (got {d_steps})")
        self.d_steps = d_steps
        self.generator_first = generator_first

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        chunks = batch.split(self.d_steps) if self.d_steps > 1 else [batch]
        if self.generator_first:
            loss_g = generator.step(chunks[-1])
            return [discriminator.step(chunk) for chunk in chunks], [loss_g]
        return [discriminator.step(chunk) for chunk in chunks], [generator.step(chunks[-1])]


class Simultaneous:
    """Simultaneous steps: the gradients of both players are computed first. Then both players move."""

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        loss_d, gradient_d = discriminator.value_and_grad(batch)
        loss_g, gradient_g = generator.value_and_grad(batch)
        discriminator.apply(gradient_d)
        generator.apply(gradient_g)
        return [loss_d], [loss_g]


class Extragradient:
    """Extragradient: make a simultaneous step, compute new gradients, undo the step, and step along the new gradients.

    Korpelevich 1976; for GANs Gidel et al. 2019, arXiv 1802.10551. As in the paper by Gidel et al., both steps update
    Adam's moments. Unlike in the paper, both gradients use the same batch. So an iteration uses as many examples as an
    iteration of other rules. A call returns the losses before and after the first step.
    """

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        start_d, start_g = discriminator.theta.clone(), generator.theta.clone()
        (here_d,), (here_g,) = Simultaneous()(discriminator, generator, batch)
        ahead_d, gradient_d = discriminator.value_and_grad(batch)
        ahead_g, gradient_g = generator.value_and_grad(batch)
        discriminator.theta.copy_(start_d)
        generator.theta.copy_(start_g)
        discriminator.apply(gradient_d)
        generator.apply(gradient_g)
        return [here_d, ahead_d], [here_g, ahead_g]


class Optimistic:
    """Simultaneous steps along an estimate of each player's next gradient.

    The estimate is 2 g_t − g_{t−1}, where g_t is the player's gradient at iteration t. The first step is along g_0.

    Popov 1980; for GANs Daskalakis et al. 2018, arXiv 1711.00141. With Adam, this rule passes 2 g_t − g_{t−1} to Adam
    as the gradient. The optimistic Adam of Daskalakis et al. is different: its step is twice Adam's current step minus
    Adam's last step.
    """

    def start(self, discriminator: Player, generator: Player) -> tuple[Tensor, ...]:
        """Return both players' last gradients, initially 0, and a flag that is true after the first iteration."""
        thetas = discriminator.theta, generator.theta
        return *map(torch.zeros_like, thetas), torch.zeros((), dtype=torch.bool, device=thetas[0].device)

    def __call__(
        self, discriminator: Player, generator: Player, batch: Any, past_d: Tensor, past_g: Tensor, begun: Tensor
    ) -> Losses:
        loss_d, gradient_d = discriminator.value_and_grad(batch)
        loss_g, gradient_g = generator.value_and_grad(batch)
        discriminator.apply(2 * gradient_d - torch.where(begun, past_d, gradient_d))
        generator.apply(2 * gradient_g - torch.where(begun, past_g, gradient_g))
        past_d.copy_(gradient_d)
        past_g.copy_(gradient_g)
        begun.fill_(True)
        return [loss_d], [loss_g]


class Consensus:
    """Consensus optimization: adds γ ∇ ½‖v‖² to each player's gradient, to make both gradients shorter.

        D ← ½ w_D,   G ← w_G,   (w_D, w_G) = v + γ ∇ ½‖v‖²,   v = (2 g_D, g_G)

    Here g_D and g_G are the gradients of D's and G's losses, each with respect to the player's own parameters. The
    arrow D ← ½ w_D means that D steps along ½ w_D. The factors are 2 and ½ because D's loss here is half of the
    literature's. Mescheder, Nowozin, Geiger 2017, arXiv 1705.10461, equation 6.

    Args:
        weight: the factor γ.
        alternating: true to let D move first, and G at the new parameters of D; false to move both at once.

    Raises:
        ValueError: when the weight γ is negative.
    """

    second_order = True

    def __init__(self, weight: float | Tensor = 1.0, alternating: bool = False) -> None:
        if torch.as_tensor(weight).min() < 0:
            raise ValueError(f"weight must be at least 0 (got {weight})")
        self.weight = weight
        self.alternating = alternating

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> Losses:
        losses, (direction_d, direction_g) = self.directions(discriminator, generator, batch)
        discriminator.apply(direction_d)
        if self.alternating:
            again, (_, direction_g) = self.directions(discriminator, generator, batch)
            losses = losses[0] + again[0], losses[1] + again[1]
        generator.apply(direction_g)
        return losses

    def directions(self, discriminator: Player, generator: Player, batch: Any) -> tuple[Losses, list[Tensor]]:
        """Return the losses at the current point, and the vector along which each player steps."""
        players = (discriminator, generator)
        values, gradients = zip(*(player.value_and_grad(batch, create_graph=True) for player in players), strict=True)
        means = [mean_over_ranks(gradient.detach().clone()) for gradient in gradients]
        directions = []
        for player, mean in zip(players, means, strict=True):
            # ∇ ½‖v‖² = vᵀ ∂v. v is the mean over all ranks; ∂v is computed on this rank's shard.
            parts = torch.autograd.grad(
                gradients,
                player.parameters,
                [each.scale**2 * v for each, v in zip(players, means, strict=True)],
                retain_graph=True,
                materialize_grads=True,
            )
            regulariser = mean_over_ranks(player.concatenate(parts))
            directions.append(mean + self.weight / player.scale * regulariser)
        return ([values[0]], [values[1]]), directions
