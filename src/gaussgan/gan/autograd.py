"""Two private names of torch.autograd, each with a public fallback that is slower."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# torch.autograd.grad spends a fifth of the time of a small network's gradient on checks of its arguments. This is the
# call that it ends in (torch/autograd/__init__.py).
_backward = getattr(torch.autograd.graph, "_engine_run_backward", None)


def pull_back(
    output: Tensor, inputs: Sequence[Tensor], cotangent: Tensor, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """Return ∂output/∂inputᵀ · cotangent for each input.

    Raises:
        RuntimeError: when the output does not depend on an input.
    """
    if _backward is None:
        return torch.autograd.grad(output, inputs, cotangent, create_graph=create_graph)
    return _backward(
        (output,),
        (cotangent,),
        create_graph,
        create_graph,
        tuple(inputs),
        allow_unreachable=False,
        accumulate_grad=False,
    )


def version(tensor: Tensor) -> object:
    """Return a value that changes with every in-place change of a tensor that autograd sees."""
    return getattr(tensor, "_version", object())
