"""A graph of ATen operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map


@dataclass(eq=False)
class Node:
    """One operation of a graph.

    Attributes:
        target: the ATen operation; None for an argument of the graph and for a constant.
        value: the result, a tensor or several. An argument's value is only an example.
        arguments: the arguments of the operation. Other nodes stand for tensors.
        options: the same for its keyword arguments.
    """

    target: Any
    value: Any
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """The operations of a function of tensors, in order.

    Attributes:
        inputs: the arguments.
        nodes: the constants and operations on which a result depends.
        results: the results.
    """

    inputs: list[Node]
    nodes: list[Node]
    results: list[Node]


def run(graph: Graph, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Compute the results of a graph."""
    values = {id(node): tensor for node, tensor in zip(graph.inputs, tensors, strict=True)}

    def value(each: Any) -> Any:
        return values[id(each)] if isinstance(each, Node) else each

    for node in graph.nodes:
        if node.target is None:
            values[id(node)] = node.value
        else:
            values[id(node)] = node.target(*tree_map(value, node.arguments), **tree_map(value, node.options))
    return [values[id(node)] for node in graph.results]


def nodes_in(arguments: Any) -> Iterator[Node]:
    """Return the nodes among the arguments of an operation."""
    return (each for each in tree_leaves(arguments) if isinstance(each, Node))
