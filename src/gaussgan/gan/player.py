"""A player of the game: a network, a loss and an optimizer. Update rules move players."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gaussgan.gan.autograd import vector_jacobian_product, version
from gaussgan.gan.optimizers import VectorOptimizer, with_explicit_state
from gaussgan.gan.state import PlayerState


class Loss(NamedTuple):
    """The loss of a player on a batch, and the logits from which D's loss is computed.

    Attributes:
        values: the losses of single examples, [..., B, 1]; or the loss of the whole batch, [].
        real: the discriminator's logits of real examples, [..., B, 1]; None in the generator's loss.
        fake: the discriminator's logits of generated examples, [..., B, 1]; None in the generator's loss.
    """

    values: Tensor
    real: Tensor | None = None
    fake: Tensor | None = None

    def detach(self) -> Loss:
        real, fake = (None if logits is None else logits.detach() for logits in (self.real, self.fake))
        return Loss(self.values.detach(), real, fake)


class Player:
    """One of the two sides of a game: a network, its loss and its optimizer.

    The parameters of the network become views of one vector θ. So the optimizer changes one tensor, and an update rule
    computes with gradients as vectors.

    Args:
        module: the network that is trained.
        loss: maps a batch to a `Loss`, or only to the losses of single examples. The player minimises the mean loss
            over the batch. Each replica minimises its own mean. If there is a memory, its entries are further
            arguments.
        optimizer: makes a torch optimizer from the list [θ].
        scale: the player's loss in the literature divided by the argument `loss`. The scale is 2 for a discriminator,
            because the discriminator's loss here is half of the loss in the literature.
        clip_gradient: the largest Euclidean norm of a gradient. A longer gradient is scaled down to it.
        clip_weights: the largest absolute value of a parameter after a step (Arjovsky et al. 2017, arXiv 1701.07875).
        leading: the number of leading dimensions: 1 if each parameter has a first dimension R for R replicas, else 0.
            For replicas θ is [R, n], and clip_gradient and clip_weights may be [R, 1], one number for each replica.
        memory: the tensors that the loss remembers and changes in place; see `PlayerState`.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[..., Loss | Tensor],
        optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
        scale: float = 1.0,
        clip_gradient: float | Tensor | None = None,
        clip_weights: float | Tensor | None = None,
        leading: int = 0,
        memory: tuple[tuple[Tensor, ...], ...] = (),
    ) -> None:
        self.memory = memory
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
        """Make one optimizer step along the gradient, and return the loss before the step."""
        loss, gradient = self.value_and_grad(batch)
        self.apply(gradient)
        return loss

    def value_and_grad(self, batch: Any, create_graph: bool = False) -> tuple[Loss, Tensor]:
        """Return the loss at the current parameters, and the gradient ∇_θ of the mean loss, with the shape of θ.

        If `create_graph` is true, the gradient can be differentiated, but it is not averaged over the ranks of a
        distributed run.
        """
        loss = self.loss(batch, *self.memory)
        loss = loss if isinstance(loss, Loss) else Loss(loss)
        values = loss.values
        weight = 1 / values.shape[-2] if values.ndim > 1 else 1.0
        cotangent = torch.full_like(values, weight)
        gradient = self.concatenate(vector_jacobian_product(values, self.parameters, cotangent, create_graph))
        return loss.detach(), gradient if create_graph else mean_over_ranks(gradient)

    def gradient(self, batch: Any) -> Tensor:
        """Return the gradient ∇_θ of the mean loss at the current parameters, with the shape of θ."""
        return self.value_and_grad(batch)[1]

    def apply(self, gradient: Tensor) -> None:
        """Make one optimizer step along a gradient."""
        gradient = self._clipped(gradient)
        self.theta.grad = gradient.detach() if gradient.requires_grad else gradient
        self.optimizer.step()
        self.steps += 1
        self._keep_in_bounds(self.theta)

    def move(self, vector: Tensor) -> None:
        """Add a vector to θ, without the optimizer."""
        self.theta.add_(vector)
        self._keep_in_bounds(self.theta)

    def after_step(
        self, theta: Tensor, state: Mapping[str, Tensor], gradient: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return θ and the optimizer's state after a step from `theta` and `state`; the player does not change.

        If the gradient can be differentiated, so can the results.

        Raises:
            TypeError: when the optimizer comes from torch.optim; see `with_explicit_state`.
        """
        optimizer = with_explicit_state(self.optimizer)
        theta, state = theta.clone(), {name: tensor.clone() for name, tensor in state.items()}
        optimizer.update(theta, self._clipped(gradient), state, optimizer.param_groups[0])
        self._keep_in_bounds(theta)
        return theta, state

    @contextmanager
    def at(self, theta: Tensor) -> Iterator[None]:
        """Inside a with block, compute losses and gradients with the parameters `theta`, which may have a graph."""
        own = self.parameters
        self.use(unflatten(theta if theta.requires_grad else theta.detach().requires_grad_(), own, self.leading))
        try:
            yield
        finally:
            self.use(own)

    @contextmanager
    def looking_ahead(self) -> Iterator[None]:
        """After a with block, give the network's buffers and the memory of the loss their values from before it."""
        before = [tensor.clone() for tensor in self._remembered()]
        yield
        for tensor, value in zip(self._remembered(), before, strict=True):  # a network may replace its buffers
            tensor.copy_(value)

    def _remembered(self) -> list[Tensor]:
        return [*self.module.buffers(), *chain.from_iterable(self.memory)]

    def use(self, parameters: list[Tensor]) -> None:
        """Replace the parameters of the network by other tensors."""
        new = {id(old): parameter for old, parameter in zip(self.parameters, parameters, strict=True)}
        for module in self.module.modules():
            for name, old in module._parameters.items():
                module._parameters[name] = None if old is None else new[id(old)]  # type: ignore[assignment]
        self.parameters = parameters

    def _clipped(self, gradient: Tensor) -> Tensor:
        if self.clip_gradient is None:
            return gradient
        norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
        return gradient * (self.clip_gradient / norm.clamp(min=self.clip_gradient))

    def _keep_in_bounds(self, theta: Tensor) -> None:
        if self.clip_weights is not None:
            theta.clamp_(-self.clip_weights, self.clip_weights)  # type: ignore[arg-type]

    def concatenate(self, tensors: Iterable[Tensor]) -> Tensor:
        """Join tensors that have the shapes of the parameters into one tensor that has the shape of θ."""
        return concatenate(tensors, self.leading)

    @property
    def version(self) -> tuple[object, ...]:
        """A value that changes whenever θ changes. Autograd does not notice a fused optimizer, so steps count too."""
        return self.steps, version(self.theta)

    @property
    def learning_rate(self) -> float | Tensor:
        """The learning rate of the next step; [R], on the CPU, if the learning rates of replicas differ."""
        rate = self._rate()
        return rate.flatten().cpu() if isinstance(rate, Tensor) else rate

    @property
    def step_size(self) -> Tensor:
        """The literature's learning rate of the next step, that of a loss times `scale`: [], or for replicas [R, 1]."""
        return torch.as_tensor(self._rate(), dtype=self.theta.dtype, device=self.theta.device) / self.scale

    def _rate(self) -> float | Tensor:
        group = self.optimizer.param_groups[0]
        return group["lr"] * group.get("rates", 1.0)

    @property
    def state(self) -> PlayerState:
        """The player's own tensors, not copies. If a tensor is changed in place, the player changes."""
        explicit = isinstance(self.optimizer, VectorOptimizer)
        optimizer_state = dict(self.optimizer.state[self.theta]) if explicit else {}
        return PlayerState(self.theta, optimizer_state, dict(self.module.named_buffers()), self.memory)


def flatten(parameters: list[Tensor], leading: int) -> Tensor:
    """Return a copy of all parameters as one tensor (see `concatenate`). Make each parameter a view of this tensor."""
    theta = concatenate(parameters, leading).detach()
    for parameter, view in zip(parameters, unflatten(theta, parameters, leading), strict=True):
        parameter.data = view
    return theta


def unflatten(theta: Tensor, parameters: list[Tensor], leading: int) -> list[Tensor]:
    """Split a tensor made by `concatenate` into views that have the shapes of the parameters."""
    sizes = [parameter.shape[leading:].numel() for parameter in parameters]
    return [chunk.view_as(like) for chunk, like in zip(theta.split(sizes, -1), parameters, strict=True)]


def concatenate(tensors: Iterable[Tensor], leading: int) -> Tensor:
    """Flatten all but the first `leading` dimensions of each tensor. Join the results along the last dimension."""
    if leading == 0:
        return torch.cat([tensor.reshape(-1) for tensor in tensors])
    return torch.cat([tensor.reshape(*tensor.shape[:leading], -1) for tensor in tensors], -1)


def mean_over_ranks(vector: Tensor) -> Tensor:
    """Average a vector over the processes of a distributed run, in place, and return it."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(vector)
        vector /= dist.get_world_size()
    return vector
