"""A player of the game: a network, a loss and an optimizer. Update rules move players."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gaussgan.gan.autograd import pull_back, version
from gaussgan.gan.state import PlayerState


class Loss(NamedTuple):
    """The loss of a player on a batch, and the logits that it is computed from.

    Attributes:
        values: the losses of single examples, [..., B, 1]; or one number.
        real: the discriminator's logits of real examples, [..., B, 1], where the loss reports them.
        fake: its logits of generated examples.
    """

    values: Tensor
    real: Tensor | None = None
    fake: Tensor | None = None

    def detach(self) -> Loss:
        real, fake = (None if logits is None else logits.detach() for logits in (self.real, self.fake))
        return Loss(self.values.detach(), real, fake)


class Player:
    """One side of a game of two.

    The parameters of its network become views of one vector θ. So an optimizer steps one tensor, and an update rule
    computes with gradients as vectors.

    Args:
        module: the network that is trained.
        loss: from a batch to a `Loss`, or to its values alone. The player minimises their mean over the batch, summed
            over leading dimensions: so each replica's gradient is its own.
        optimizer: from [θ] to a torch optimizer.
        scale: how many times this loss the literature's loss is (2 for the halved loss of a GAN's discriminator).
        clip_gradient: the largest Euclidean norm of a gradient; a longer gradient is shortened to it.
        clip_weights: the largest absolute value of a parameter after a step (Arjovsky et al. 2017, arXiv 1701.07875).
        leading: 1 where the first dimension R of each parameter counts replicas. Then θ is [R, n], and a limit may be
            one number or one for each replica, [R, 1].
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[Any], Loss | Tensor],
        optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
        scale: float = 1.0,
        clip_gradient: float | Tensor | None = None,
        clip_weights: float | Tensor | None = None,
        leading: int = 0,
    ) -> None:
        self.module = module
        self.loss = loss
        self.leading = leading
        self.parameters: list[Tensor] = list(module.parameters())
        self.theta = flatten(self.parameters, leading)
        self.optimizer = optimizer([self.theta])
        self.scale = scale
        self.clip_gradient, self.clip_weights = (
            limit.to(self.theta) if isinstance(limit, Tensor) else limit for limit in (clip_gradient, clip_weights)
        )
        self.steps = 0

    def step(self, batch: Any) -> Loss:
        """Make one optimizer step along the gradient, and return the loss before it."""
        loss, gradient = self.value_and_grad(batch)
        self.apply(gradient)
        return loss

    def value_and_grad(self, batch: Any, create_graph: bool = False) -> tuple[Loss, Tensor]:
        """Return the loss at the current point, and ∇_θ of its mean as a vector like θ.

        With `create_graph` the gradient can be differentiated, and is the one of this process's shard of the batch.
        """
        loss = self.loss(batch)
        loss = loss if isinstance(loss, Loss) else Loss(loss)
        values = loss.values
        weight = 1 / values.shape[-2] if values.ndim > 1 else 1.0
        gradient = self.joined(pull_back(values, self.parameters, torch.full_like(values, weight), create_graph))
        return loss.detach(), gradient if create_graph else mean_over_ranks(gradient)

    def gradient(self, batch: Any) -> Tensor:
        """Return ∇_θ of the mean loss at the current point, as a vector like θ."""
        return self.value_and_grad(batch)[1]

    def apply(self, gradient: Tensor) -> None:
        """Make one optimizer step along a gradient."""
        if self.clip_gradient is not None:
            norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
            gradient = gradient * (self.clip_gradient / norm.clamp(min=self.clip_gradient))
        self.theta.grad = gradient
        self.optimizer.step()
        self.steps += 1
        if self.clip_weights is not None:
            self.theta.clamp_(-self.clip_weights, self.clip_weights)  # type: ignore[arg-type]

    def joined(self, tensors: Iterable[Tensor]) -> Tensor:
        """Return tensors like the parameters as one vector like θ."""
        return joined(tensors, self.leading)

    @property
    def version(self) -> tuple[object, ...]:
        """A value that changes whenever θ does. Torch's fused optimizers change θ unseen by autograd."""
        return self.steps, version(self.theta)

    @property
    def learning_rate(self) -> float | Tensor:
        """The learning rate of the next step; [R] where replicas have their own."""
        group = self.optimizer.param_groups[0]
        rate = group["lr"] * group.get("rates", 1.0)
        return rate.flatten() if isinstance(rate, Tensor) else rate

    @property
    def state(self) -> PlayerState:
        """The player's own tensors. In-place changes of them are changes of the player."""
        remembered = self.optimizer.state[self.theta]
        tensors = {name: value for name, value in remembered.items() if isinstance(value, Tensor)}
        return PlayerState(self.theta, tensors, dict(self.module.named_buffers()))


def flatten(parameters: list[Tensor], leading: int) -> Tensor:
    """Join parameters into one vector, and make each of them a view of it."""
    theta = joined(parameters, leading).detach()
    for parameter, piece in zip(parameters, pieces(theta, parameters, leading), strict=True):
        parameter.data = piece
    return theta


def pieces(theta: Tensor, parameters: list[Tensor], leading: int) -> list[Tensor]:
    """Return views of a vector that are shaped like the parameters that it joins."""
    sizes = [parameter.shape[leading:].numel() for parameter in parameters]
    return [piece.view_as(like) for piece, like in zip(theta.split(sizes, -1), parameters, strict=True)]


def joined(tensors: Iterable[Tensor], leading: int) -> Tensor:
    """Join tensors of any shapes into one vector; their leading dimensions stay."""
    if leading == 0:
        return torch.cat([tensor.reshape(-1) for tensor in tensors])
    return torch.cat([tensor.reshape(*tensor.shape[:leading], -1) for tensor in tensors], -1)


def mean_over_ranks(vector: Tensor) -> Tensor:
    """Average a vector over the processes of a distributed run. Each of them saw an equal shard of the batch."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(vector)
        vector /= dist.get_world_size()
    return vector
