"""The table of ATen operations: what each computes in C.

An operation on single elements is an expression in its operands {0}, {1}, …, where {k} is the kind of its numbers: F
for float32 and truth values, D for float64 and whole numbers. All other operations are functions in `views`, `elements`
and `reductions`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gaussgan.compile.arrays import Array, Operation, kind_of
from gaussgan.compile.errors import NotCompiled
from gaussgan.compile.graph import Node

EXPRESSIONS = {
    "neg": "(-{0})", "abs": "abs{k}({0})", "sign": "sign{k}({0})", "sgn": "sign{k}({0})",
    "reciprocal": "(all{k}(1) / {0})",
    "sqrt": "sqrt{k}({0})", "rsqrt": "(all{k}(1) / sqrt{k}({0}))", "square": "({0} * {0})",
    "exp": "exp{k}({0})", "expm1": "expm1{k}({0})", "log": "log{k}({0})", "log1p": "log1p{k}({0})",
    "sin": "sin{k}({0})", "cos": "cos{k}({0})", "tan": "tan{k}({0})", "atan": "atan{k}({0})", "erf": "erf{k}({0})",
    "sinh": "sinh{k}({0})", "cosh": "cosh{k}({0})", "tanh": "tanh{k}({0})", "sigmoid": "sigmoid{k}({0})",
    "floor": "floor{k}({0})", "ceil": "ceil{k}({0})", "round": "round{k}({0})", "trunc": "trunc{k}({0})",
    "tanh_backward": "({0} * (all{k}(1) - {1} * {1}))", "sigmoid_backward": "({0} * (all{k}(1) - {1}) * {1})",
    "relu": "atleast{k}({0}, all{k}(0))", "mul": "({0} * {1})", "div": "({0} / {1})",
    "maximum": "max{k}({0}, {1})", "minimum": "min{k}({0}, {1})", "atan2": "atan2{k}({0}, {1})",
    "erfc": "erfc{k}({0})", "asin": "asin{k}({0})", "acos": "acos{k}({0})",
    "isnan": "ne{k}({0}, {0})", "isinf": "eq{k}(abs{k}({0}), all{k}(INFINITY))",
    "gt": "gt{k}({0}, {1})", "lt": "lt{k}({0}, {1})", "ge": "ge{k}({0}, {1})",
    "le": "le{k}({0}, {1})", "eq": "eq{k}({0}, {1})", "ne": "ne{k}({0}, {1})",
    "logical_not": "eq{k}({0}, all{k}(0))", "logical_and": "(ne{k}({0}, all{k}(0)) * ne{k}({1}, all{k}(0)))",
    "logical_or": "maxF(ne{k}({0}, all{k}(0)), ne{k}({1}, all{k}(0)))",
}  # fmt: skip
TRUTHS = (  # operations whose results are truth values, of kind F
    "gt", "lt", "ge", "le", "eq", "ne", "isnan", "isinf", "logical_not", "logical_and", "logical_or",
)  # fmt: skip
BITWISE = {"bitwise_not": "logical_not", "bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "ne"}
RANDOM = ("bernoulli", "dropout", "rand", "normal", "uniform", "multinomial", "exponential", "cauchy", "geometric")

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Return a decorator that enters a function in the table, as what computes the operations of these names."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


def compute(emitter: Any, node: Node, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """Return the result of one operation of a graph: an `Array`, or a list of them.

    Raises:
        NotCompiled: when the operation is not in the table, or its numbers have a precision that C programs lack.
    """
    if node.target is operator.getitem:
        return arguments[0][arguments[1]]
    value = node.value
    name = name_of(node.target)
    shape, dtype = (tuple(value.shape), value.dtype) if isinstance(value, Tensor) else ((), torch.float32)
    if name in BITWISE and dtype == torch.bool:
        name = BITWISE[name]
    call = Call(emitter, name, shape, dtype)
    if name in HANDLERS:
        return HANDLERS[name](call, *arguments, **options)
    if name in EXPRESSIONS and not options:
        return call.elements(EXPRESSIONS[name], *arguments)
    if any(word in name for word in RANDOM):
        raise NotCompiled(f"{node.target} draws random numbers inside a network or a loss")
    raise NotCompiled(f"{node.target} is not among the operations that can be compiled")


def name_of(operation: Any) -> str:
    """Return the name of an operation without its overload, such as add for aten.add.Tensor."""
    return str(operation).removeprefix("aten.").removeprefix("prims.").partition(".")[0]


def is_known(operation: Any) -> bool:
    """Return whether an operation is in the table."""
    return name_of(operation) in HANDLERS or name_of(operation) in EXPRESSIONS


class Call:
    """One operation of a graph: its name, and the shape and precision of its result.

    Handlers get a call, then the arguments of the operation, with an `Array` for each tensor.
    """

    def __init__(self, emitter: Any, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.emitter, self.name, self.shape, self.dtype, self.kind = emitter, name, shape, dtype, kind_of(dtype)

    def elements(self, expression: str, *operands: Any, truth: bool = False, truths: int = 0) -> Array:
        """Add an operation on single elements, and return its result.

        It is computed in the precision of the result. If the result is a truth value, it is computed in that of the
        most precise operand.

        Args:
            expression: C in the operands.
            operands: arrays and numbers.
            truth: true if the value of the expression is a truth value, but not that of the operation.
            truths: how many of the first operands are truth values.
        """
        kinds = [each.kind for each in operands if isinstance(each, Array)]
        is_truth = truth or self.name in TRUTHS
        kind = ("D" if "D" in kinds else "F") if is_truth else self.kind
        arrays = tuple(each if isinstance(each, Array) else Array.constant(float(each), kind) for each in operands)
        value = "F" if is_truth else kind
        operation = Operation(
            self.name, "elements", Array.constant(0, self.kind), arrays, expression, kind, value, truths
        )
        return self.emitter.elements(operation, self.shape)
