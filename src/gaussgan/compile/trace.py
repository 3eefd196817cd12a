"""Trace a function of tensors to a graph of core ATen operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves

from gaussgan.compile.errors import NotCompiled

Step = Callable[[list[Tensor], list[Tensor]], Sequence[Tensor]]

aten = torch.ops.aten
COPIES = {aten.detach.default, aten.alias.default, aten.clone.default, aten.lift_fresh_copy.default}


def trace(step: Step, state: Sequence[Tensor], inputs: Sequence[Tensor], decompose: bool = True) -> fx.GraphModule:
    """Return a graph that maps (*state, *inputs) to (*new state, *outputs) and changes no tensor in place.

    Args:
        step: maps (state, inputs) to outputs, and changes the tensors of the state in place. Its operations must not
            depend on the values of tensors, only on their shapes.
        state: tensors with the shapes and precisions of the state. They are not changed.
        inputs: tensors with the shapes and precisions of the inputs.
        decompose: true for core ATen operations only; false to keep the operations of the step.

    Raises:
        NotCompiled: when the step branches on the value of a tensor, or fails with tensors that only record operations.
    """

    def functional(*tensors: Tensor) -> list[Tensor]:
        new = [tensor.clone() for tensor in tensors[: len(state)]]
        outputs = step(new, [*tensors[len(state) :]])
        return [*(tensor.detach() for tensor in new), *(output.detach() for output in outputs)]

    tensors = [tensor.detach().clone() for tensor in (*state, *inputs)]
    try:
        with torch.enable_grad():
            recorded = make_fx(functional)(*tensors)
        with torch.no_grad():  # the first graph holds gradients; the second one has no operations in place
            pure = torch.func.functionalize(recorded, remove="mutations")
            graph = make_fx(pure, decomposition_table=_decompositions() if decompose else {})(*tensors)
    except Exception as error:
        raise NotCompiled(_reason(error)) from error
    _remove_copies(graph)
    return graph


def _decompositions() -> dict[Any, Callable]:
    """Return the decompositions of ATen operations into core operations.

    Some of PyTorch's own decompositions are left out or replaced, because the short form is faster and exact.
    """
    names = (
        aten.linalg_vector_norm, aten.leaky_relu, aten.elu, aten.gelu, aten.hardtanh, aten.var_mean,
        aten.native_batch_norm, aten._native_batch_norm_legit, aten._native_batch_norm_legit_functional,
        aten._batch_norm_with_update_functional, aten.batch_norm_backward, aten.native_layer_norm,
        aten._log_softmax, aten._softmax,
    )  # fmt: skip
    table = {**core_aten_decompositions(), **get_decompositions(names)}
    kept = (aten.split.Tensor, aten.split_with_sizes.default, aten.t.default, aten.mv.default, aten.sum.default)
    table = {operation: rule for operation, rule in table.items() if operation not in kept}
    return table | {aten.addcdiv.default: _addcdiv, aten.lerp.Scalar: _lerp, aten.lerp.Tensor: _lerp}


def _addcdiv(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return x + value * (a / b)


def _lerp(x: Tensor, y: Tensor, weight: Any) -> Tensor:
    return x + weight * (y - x)


def _remove_copies(graph: fx.GraphModule) -> None:
    """Remove the operations that only copy a tensor. They have no meaning where nothing changes in place."""
    for node in graph.graph.nodes:
        if node.target in COPIES and node.args[0].op != "get_attr":
            node.replace_all_uses_with(node.args[0])
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _reason(error: Exception) -> str:
    text = str(error)
    if "get value out of a tracing tensor" in text or "data-dependent" in text or "_local_scalar_dense" in text:
        return "it branches on the value of a tensor; use torch.where instead"
    return f"it cannot be traced: {next(iter(text.splitlines()), type(error).__name__)}"


def leaves(graph: fx.GraphModule) -> list[fx.Node]:
    """Return the nodes of a graph's results, in order."""
    return tree_leaves(next(node for node in graph.graph.nodes if node.op == "output").args[0])
