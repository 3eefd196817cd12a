"""R networks of one architecture as one module with a leading dimension R."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

TRANSPARENT = (  # modules that do not mind leading dimensions
    nn.Sequential, nn.ModuleList, nn.Identity, nn.Tanh, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU,
    nn.Softplus, nn.Sigmoid,
)  # fmt: skip


class Replicas(nn.Module):
    """R networks at once: output i, [..., d], is what the i-th network makes of input i, [..., k].

    The parameters and buffers of `stacked` are theirs, [R, ...]. A network all of whose modules are `replicable`
    (gaussgan.networks) or activations computes with these as it stands; any other is mapped by torch.vmap,
    which is slower. Either is the same function up to rounding.

    Args:
        networks: of one architecture; in float32, on the CPU, and each with parameters of its own.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stacked = deepcopy(networks[0])
        states = [dict(_tensors(network)) for network in networks]
        _replace(self.stacked, lambda path, _: torch.stack([state[path].detach() for state in states]))
        self.replicable = all(
            vars(type(module)).get("replicable") or type(module) in TRANSPARENT for module in self.stacked.modules()
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.replicable:
            return self.stacked(x)
        return torch.vmap(self._single, randomness="different")(dict(_tensors(self.stacked)), x)

    def _single(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        # Not by torch's tying, which loses its way in a module that is used twice; the state has every tied name.
        return functional_call(self.stacked, state, (x,), tie_weights=False)

    def __len__(self) -> int:
        return len(next(self.stacked.parameters()))

    def __getitem__(self, rows: slice) -> Replicas:
        """Some of the replicas, whose parameters are views of these."""
        part = deepcopy(self, {id(tensor): tensor for _, tensor in _tensors(self)})
        _replace(part.stacked, lambda _, tensor: tensor[rows])
        return part

    def network(self, i: int) -> nn.Module:
        """A copy of the i-th network alone."""
        single = deepcopy(self.stacked)
        _replace(single, lambda _, tensor: tensor[i].clone())
        return single

    @property
    def moments(self) -> Any:
        """Of a network with `moments()`: those of all, [R, ...]."""
        single = self.stacked.moments  # an AttributeError where it has none
        if self.replicable:
            return single
        return lambda: tuple(torch.stack(each) for each in zip(*map(_moments, self.networks()), strict=True))

    def networks(self) -> Iterator[nn.Module]:
        """Copies of the networks one by one."""
        return (self.network(i) for i in range(len(self)))


def _moments(network: Any) -> tuple[Tensor, Tensor]:
    return network.moments()


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by their paths; a tied parameter by each of them."""
    for prefix, part in module.named_modules():
        for name, tensor in [*part._parameters.items(), *part._buffers.items()]:
            if tensor is not None:
                yield f"{prefix}.{name}".lstrip("."), tensor


def _replace(module: nn.Module, change: Callable[[str, Tensor], Tensor]) -> None:
    """Put others in the place of a module's tensors; tied ones stay tied."""
    changed: dict[int, Tensor] = {}
    for path, old in [*_tensors(module)]:
        parent, _, name = path.rpartition(".")
        owner = module.get_submodule(parent)
        if id(old) not in changed:
            new = change(path, old.detach())
            changed[id(old)] = nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new
        setattr(owner, name, changed[id(old)])
