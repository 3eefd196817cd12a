"""Functions that use two private names of PyTorch. Without these names the functions still work, but are slower."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# For a small network, torch.autograd.grad spends a fifth of its time on its arguments before it calls this function.
# See https://github.com/pytorch/pytorch/pull/176704 and https://github.com/pytorch/pytorch/issues/41383.
_backward = getattr(torch.autograd.graph, "_engine_run_backward", None)


def vector_jacobian_product(
    output: Tensor, inputs: Sequence[Tensor], vector: Tensor, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """Return (∂output/∂x)ᵀ · vector for each x in `inputs`. With `create_graph`, the results can be differentiated.

    Raises:
        RuntimeError: when the output does not depend on an input.
    """
    if _backward is None:
        return torch.autograd.grad(output, inputs, vector, create_graph=create_graph)
    return _backward(
        (output,),
        (vector,),
        create_graph,
        create_graph,
        tuple(inputs),
        allow_unreachable=False,
        accumulate_grad=False,
    )


def version(tensor: Tensor) -> object:
    """Return a value that changes whenever a tensor is changed in place and autograd notices the change."""
    return getattr(tensor, "_version", object())  # torch types it, https://github.com/pytorch/pytorch/pull/41125
