"""R networks of one architecture as one module whose parameters have a leading dimension R."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

TRANSPARENT = (  # torch modules that accept inputs with any leading dimensions
    nn.Sequential, nn.ModuleList, nn.Identity, nn.Tanh, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU,
    nn.Softplus, nn.Sigmoid,
)  # fmt: skip


class Replicas(nn.Module):
    """R networks at once, [R, ..., k] → [R, ..., d]. Network i maps entry i of the input to entry i of the output.

    The attribute `stacked` is one network that holds the parameters and buffers of all R networks, each [R, ...]. If
    the class of each of its modules is in `TRANSPARENT` or itself sets `replicable = True` (see
    `gaussgan.networks.layers`; a subclass does not inherit it), `stacked` computes with these tensors directly.
    Otherwise `stacked` runs under torch.vmap, which is slower. Both ways give the same numbers up to rounding.

    Args:
        networks: R networks of one architecture, in float32, on the CPU. They must not share parameters. Only their
            tensors are kept.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        states = []
        for network in networks:
            states.append(dict(_tensors(network)))
        self.stacked = deepcopy(network)
        _replace(self.stacked, lambda path, _: torch.stack([state[path].detach() for state in states]))
        self.replicable = all(
            vars(type(module)).get("replicable") or type(module) in TRANSPARENT for module in self.stacked.modules()
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.replicable:
            return self.stacked(x)
        return torch.vmap(self._single, randomness="different")(dict(_tensors(self.stacked)), x)

    def _single(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        # `state` has a tied tensor once for each module that holds it, so torch need not tie it. Torch's tying fails
        # for a module used twice.
        return functional_call(self.stacked, state, (x,), tie_weights=False)

    def __len__(self) -> int:
        return len(next(self.stacked.parameters()))

    def __getitem__(self, rows: slice | Tensor) -> Replicas:
        """Return a module with the networks in `rows`, a slice or a tensor of indices.

        With a slice, the module holds views of the parameters and buffers of this module; with indices, copies.
        """
        chosen = deepcopy(self, {id(tensor): tensor for _, tensor in _tensors(self)})
        _replace(chosen.stacked, lambda _, tensor: tensor[rows])
        return chosen

    def network(self, i: int) -> nn.Module:
        """Return a copy of network i."""
        single = deepcopy(self.stacked)
        _replace(single, lambda _, tensor: tensor[i].clone())
        return single

    @property
    def moments(self) -> Any:
        """A function of no arguments that returns the means, [R, d], and covariances, [R, d, d], of the R outputs.

        The attribute exists only if the networks have a method `moments()`; see `has_closed_form`.

        Raises:
            AttributeError: when the networks have no method `moments()`.
        """
        single = self.stacked.moments
        if self.replicable:
            return single

        def moments() -> tuple[Tensor, ...]:
            each = [self.network(i).moments() for i in range(len(self))]  # type: ignore[operator]
            return tuple(map(torch.stack, zip(*each, strict=True)))

        return moments


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the dotted path and the tensor of each parameter and buffer of a module.

    A tensor that several modules share (a tied tensor) is yielded once for each of them. A module that has several
    paths counts once.
    """
    for prefix, child in module.named_modules():
        yield from child.named_parameters(prefix, recurse=False, remove_duplicate=False)
        yield from child.named_buffers(prefix, recurse=False, remove_duplicate=False)


def _replace(module: nn.Module, change: Callable[[str, Tensor], Tensor]) -> None:
    """Replace each parameter and buffer of a module by change(path, tensor). Tied tensors stay tied."""
    changed: dict[int, Tensor] = {}
    for path, old in [*_tensors(module)]:
        parent, _, name = path.rpartition(".")
        owner = module.get_submodule(parent)
        if id(old) not in changed:
            new = change(path, old.detach())
            changed[id(old)] = nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new
        setattr(owner, name, changed[id(old)])
