"""A player of the game: parameters θ, a loss ℓ(batch; θ) and an optimizer. Update rules move players."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.graph import _engine_run_backward


class Player:
    """One side of a game of two.

    Its parameters become views into one vector, `theta`: an optimizer then steps one tensor, and an update rule adds
    gradients as vectors.

    Args:
        module: what is trained; its parameters are θ.
        loss: from a batch to the losses of single examples, [..., B, 1], or to one number. Minimised is their mean
            over the batch, summed over leading dimensions, so that each replica's gradient is its own.
        optimizer: from [θ] to a torch optimizer.
        scale: how many times this loss the literature's is (2 for the halved one of a GAN's discriminator).
        clip_gradient: the greatest Euclidean norm that a gradient keeps; a longer one is shortened to it.
        clip_weights: the bound of each parameter's modulus after every step (Arjovsky et al. 2017, arXiv 1701.07875).
        leading: 1 where a leading dimension R of the parameters counts replicas: then θ is [R, n], and a bound may be
            one for each, [R, 1].
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[Any], Tensor],
        optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
        scale: float = 1.0,
        clip_gradient: float | Tensor | None = None,
        clip_weights: float | Tensor | None = None,
        leading: int = 0,
    ) -> None:
        self.loss = loss
        self.parameters = list(module.parameters())
        self.leading = leading
        self.theta = flatten(self.parameters, leading)
        self.optimizer = optimizer([self.theta])
        self.scale = scale
        self.clip_gradient, self.clip_weights = (
            bound.to(self.theta) if isinstance(bound, Tensor) else bound for bound in (clip_gradient, clip_weights)
        )
        self.losses: list[Tensor] = []
        self.steps = 0

    def gradient(self, batch: Any, create_graph: bool = False) -> Tensor:
        """∇_θ of the mean loss at the current point, as a vector like θ; the losses are appended to `losses`.

        With `create_graph` it is differentiable in its turn, and of this process's share of the batch alone.
        """
        losses = self.loss(batch)
        self.losses.append(losses.detach())
        share = 1 / losses.shape[-2] if losses.ndim > 1 else 1.0
        gradients = pullback(losses, self.parameters, torch.full_like(losses, share), create_graph)
        vector = self.joined(gradients)
        return vector if create_graph else mean_over_ranks(vector)

    @property
    def version(self) -> tuple[int, int]:
        """What changes whenever θ does: also by an optimizer that autograd does not notice, as torch's fused ones."""
        return self.steps, self.theta._version

    @property
    def learning_rate(self) -> float | Tensor:
        """The rate of the next step; where replicas have their own, [R]."""
        group = self.optimizer.param_groups[0]
        rate = group["lr"] * group.get("rates", 1.0)
        return rate.flatten() if isinstance(rate, Tensor) else rate

    def joined(self, tensors: Iterable[Tensor]) -> Tensor:
        """Tensors like its parameters as a vector like θ."""
        return joined(tensors, self.leading)

    def apply(self, gradient: Tensor) -> None:
        """One optimizer step along a gradient."""
        if self.clip_gradient is not None:
            norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
            gradient = gradient * (self.clip_gradient / norm.clamp(min=self.clip_gradient))
        self.theta.grad = gradient
        self.optimizer.step()
        self.steps += 1
        if self.clip_weights is not None:
            self.theta.clamp_(-self.clip_weights, self.clip_weights)  # type: ignore[arg-type]


def pullback(
    output: Tensor, inputs: Sequence[Tensor], cotangent: Tensor, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """∂output/∂input ᵀ · cotangent for each input: torch.autograd.grad, but for its checks of what it is given.

    On networks as small as the textbook's these take a fifth of the gradient's time.

    Raises:
        RuntimeError: when an input does not enter the output.
    """
    return _engine_run_backward(
        (output,),
        (cotangent,),
        create_graph,
        create_graph,
        tuple(inputs),
        allow_unreachable=False,
        accumulate_grad=False,
    )


def flatten(parameters: list[nn.Parameter], leading: int) -> Tensor:
    """Join parameters into one vector, and make each a view into it."""
    theta = joined(parameters, leading).detach()
    sizes = [parameter.shape[leading:].numel() for parameter in parameters]
    for parameter, piece in zip(parameters, theta.split(sizes, -1), strict=True):
        parameter.data = piece.view_as(parameter)
    return theta


def joined(tensors: Iterable[Tensor], leading: int) -> Tensor:
    """Tensors of any shapes as one vector, but for their leading dimensions."""
    return torch.cat([tensor.reshape(*tensor.shape[:leading], -1) for tensor in tensors], -1)


def mean_over_ranks(vector: Tensor) -> Tensor:
    """The average over the processes of a distributed run, each of which saw an equal share of the batch."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(vector)
        vector /= dist.get_world_size()
    return vector
