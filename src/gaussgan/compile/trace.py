"""Record the operations of a function of tensors, as a graph of core ATen operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import getitem
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from gaussgan.compile.errors import NotCompiled, first_line
from gaussgan.compile.graph import Graph, Node, nodes_in, run
from gaussgan.compile.operations import is_known

Step = Callable[[list[Tensor], list[Tensor]], Sequence[Tensor]]

aten = torch.ops.aten
BRANCH = "it branches on the value of a tensor; use torch.where instead"


def trace(step: Step, state: Sequence[Tensor], inputs: Sequence[Tensor], decompose: bool = True) -> Graph:
    """Return a graph that maps (*state, *inputs) to (*new state, *outputs) and changes no tensor in place.

    The step is recorded with all that autograd does. Then the record is repeated and recorded without operations in
    place.

    Args:
        step: maps (state, inputs) to outputs, and changes the tensors of the state in place. Its operations must not
            depend on the values of tensors, only on their shapes.
        state: tensors with the shapes and precisions of the state. They are not changed.
        inputs: tensors with the shapes and precisions of the inputs.
        decompose: true for core ATen operations only; false to keep the operations of the step.

    Raises:
        NotCompiled: when the step branches on the value of a tensor, or fails.
    """

    def functional(*tensors: Tensor) -> list[Tensor]:
        new = [tensor.clone() for tensor in tensors[: len(state)]]
        outputs = step(new, [*tensors[len(state) :]])
        return [*(tensor.detach() for tensor in new), *(output.detach() for output in outputs)]

    tensors = [tensor.detach().clone() for tensor in (*state, *inputs)]
    try:
        with torch.enable_grad():
            first = record(functional, tensors)
            _check_recorded(functional, first, tensors)
        with torch.no_grad():
            pure = torch.func.functionalize(lambda *given: run(first, given), remove="mutations")
            return record(pure, tensors, decompose)
    except NotCompiled:
        raise
    except Exception as error:
        raise NotCompiled(f"it cannot be traced: {first_line(error)}") from error


def _check_recorded(function: Callable[..., list[Tensor]], recorded: Graph, given: Sequence[Tensor]) -> None:
    """Check that recorded operations compute the same as the function itself, on other numbers and bit for bit.

    They do not if the function reads numbers elsewhere: from NumPy, a counter, or Python's random numbers.

    Raises:
        NotCompiled: when the results differ.
    """
    results = []
    with torch.random.fork_rng(devices=[]):
        for call in (function, lambda *tensors: run(recorded, tensors)):
            torch.manual_seed(0)
            results.append(call(*map(_other, given)))
    if not all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(*results, strict=True)):
        raise NotCompiled("it depends on something else than tensors, such as a counter, NumPy, or random numbers")


def record(function: Callable[..., list[Tensor]], tensors: Sequence[Tensor], decompose: bool = False) -> Graph:
    """Call a function of tensors, and return its operations.

    Args:
        function: the function.
        tensors: its arguments.
        decompose: true to replace an operation that the compiler does not know by the core operations of which it
            consists.
    """
    inputs = [Node(None, tensor) for tensor in tensors]
    recorder = Recorder({id(node.value): node for node in inputs}, decompose)
    with recorder:
        results = [recorder.node(result) for result in function(*tensors)]
    needed, kept = {id(node) for node in results}, []
    for node in reversed(recorder.nodes):
        if id(node) in needed or _changes_in_place(node.target):
            kept.append(node)
            needed |= {id(each) for each in nodes_in((node.arguments, node.options))}
    return Graph(inputs, kept[::-1], results)


class Recorder(TorchDispatchMode):
    """Records each ATen operation that is called while the mode is active.

    Args:
        known: the nodes of the tensors that exist already, by the identity of the tensors.
        decompose: see `record`.
    """

    def __init__(self, known: dict[int, Node], decompose: bool) -> None:
        super().__init__()
        self.known, self.decompose = known, decompose
        self.nodes: list[Node] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # true imports torch's own compiler, which takes a second

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        if not is_known(operation):
            with self:  # some operations consist of others, such as tensor_split
                parts = operation.decompose(*arguments, **options)
            if parts is not NotImplemented:
                return parts
        if self.decompose and not is_known(operation) and (rule := _decompositions().get(operation)) is not None:
            with self:
                return rule(*arguments, **options)
        if not self.decompose and (functional := _out_of_place(operation)) is not None:
            with self:  # functionalize needs less than half the time if it sees only copies in place
                return arguments[0].copy_(functional(*arguments, **options))
        value = operation(*arguments, **options)
        given = tree_map(self.node, arguments), tree_map(self.node, options)
        if not any(isinstance(each, Tensor) for each in tree_leaves(value)):
            raise NotCompiled(BRANCH if [*nodes_in(given)] else f"{operation} returns no tensor")
        call = Node(operation, value, *given)
        self.nodes.append(call)
        if isinstance(value, Tensor):
            self.known.setdefault(id(value), call)  # an operation in place returns its first argument
        for i, part in enumerate(value if isinstance(value, list | tuple) else ()):
            self.known[id(part)] = Node(getitem, part, (call, i))
            self.nodes.append(self.known[id(part)])
        return value

    def node(self, value: Any) -> Any:
        """Return the node of a tensor; anything else unchanged. A tensor that no operation has made is a constant."""
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self.known:
            self.known[id(value)] = Node(None, value)
            self.nodes.append(self.known[id(value)])
        return self.known[id(value)]


def _other(tensor: Tensor) -> Tensor:
    """Return a tensor like another one with other numbers."""
    if tensor.dtype == torch.bool:
        return ~tensor
    return tensor * 1.25 + 0.0625 if tensor.is_floating_point() else tensor + 1


def _changes_in_place(operation: Any) -> bool:
    return operation is not None and operation is not getitem and operation._schema.is_mutable


def _out_of_place(operation: Any) -> Any:
    """Return the operation that returns what an operation in place writes, such as mul for mul_; otherwise None."""
    name = operation._schema.name.removeprefix("aten::")
    if not name.endswith("_") or name == "copy_":
        return None
    return getattr(getattr(aten, name[:-1], None), operation._overloadname, None)


@cache
def _decompositions() -> dict[Any, Callable]:
    """Return PyTorch's decompositions of ATen operations into core operations. Importing them takes a second."""
    from torch._decomp import core_aten_decompositions, get_decompositions

    more = (
        aten.linalg_vector_norm, aten.leaky_relu, aten.elu, aten.gelu, aten.hardtanh, aten.var_mean,
        aten.native_batch_norm, aten._native_batch_norm_legit, aten._native_batch_norm_legit_functional,
        aten._batch_norm_with_update_functional, aten.batch_norm_backward, aten.native_layer_norm,
        aten._log_softmax, aten._softmax,
    )  # fmt: skip
    return {**core_aten_decompositions(), **get_decompositions(more)}
