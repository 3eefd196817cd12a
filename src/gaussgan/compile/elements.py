"""Operations on single elements whose expressions depend on their arguments."""

from __future__ import annotations

from typing import Any

import torch

from gaussgan.compile.arrays import Array, literal
from gaussgan.compile.operations import Call, handles

POWERS = {0.5: "sqrt{k}({0})", 1: "{0}", 2: "({0} * {0})", 3: "({0} * {0} * {0})", -1: "(all{k}(1) / {0})"}
POWERS |= {-0.5: "(all{k}(1) / sqrt{k}({0}))", 4: "({0} * {0} * {0} * {0})", -2: "(all{k}(1) / ({0} * {0}))"}
WHOLE = (torch.int64, torch.int32)


@handles("_to_copy", "convert_element_type")
def _convert(call: Call, x: Array, *_: Any, **__: Any) -> Array:
    if call.dtype == torch.bool:
        return call.elements("ne{k}({0}, all{k}(0))", x, truth=True)
    return call.elements("trunc{k}({0})" if call.dtype in WHOLE else "{0}", x)


@handles("add")
def _add(call: Call, x: Any, y: Any, alpha: float = 1) -> Array:
    if call.dtype == torch.bool:
        return call.elements("max{k}({0}, {1})", x, y)
    return call.elements("({0} + {1})" if alpha == 1 else f"({{0}} + all{{k}}({literal(alpha)}) * {{1}})", x, y)


@handles("sub")
def _sub(call: Call, x: Any, y: Any, alpha: float = 1) -> Array:
    return call.elements("({0} - {1})" if alpha == 1 else f"({{0}} - all{{k}}({literal(alpha)}) * {{1}})", x, y)


@handles("rsub")
def _rsub(call: Call, x: Any, y: Any, alpha: float = 1) -> Array:
    return _sub(call, y, x) if alpha == 1 else call.elements(f"({{1}} - all{{k}}({literal(alpha)}) * {{0}})", x, y)


@handles("addcmul")
def _addcmul(call: Call, x: Array, a: Array, b: Array, value: float = 1) -> Array:
    return call.elements(f"({{0}} + all{{k}}({literal(value)}) * {{1}} * {{2}})", x, a, b)


@handles("pow")
def _pow(call: Call, x: Any, exponent: Any) -> Array:
    if isinstance(exponent, int | float) and float(exponent) in POWERS:
        return call.elements(POWERS[float(exponent)], x)
    return call.elements("pow{k}({0}, {1})", x, exponent)


@handles("where")
def _where(call: Call, condition: Array, x: Any, y: Any) -> Array:
    return call.elements("where{k}({0}, {1}, {2})", condition, x, y, truths=1)


@handles("masked_fill")
def _masked_fill(call: Call, x: Array, mask: Array, value: Any) -> Array:
    return _where(call, mask, value, x)


@handles("clamp", "clamp_min", "clamp_max")
def _clamp(call: Call, x: Array, low: Any = None, high: Any = None) -> Array:
    if call.name == "clamp_max":
        low, high = None, low
    if low is not None:  # a limit that is NaN counts if it is a tensor's
        x = call.elements("max{k}({0}, {1})" if isinstance(low, Array) else "atleast{k}({0}, {1})", x, low)
    if high is not None:
        x = call.elements("min{k}({0}, {1})" if isinstance(high, Array) else "atmost{k}({0}, {1})", x, high)
    return x


@handles("addcdiv")
def _addcdiv(call: Call, x: Array, a: Array, b: Array, value: float = 1) -> Array:
    return call.elements(f"({{0}} + all{{k}}({literal(value)}) * ({{1}} / {{2}}))", x, a, b)


@handles("lerp")
def _lerp(call: Call, x: Array, y: Array, weight: Any) -> Array:
    return call.elements("({0} + {2} * ({1} - {0}))", x, y, weight)


@handles("softplus")
def _softplus(call: Call, x: Array, beta: float = 1, threshold: float = 20) -> Array:
    scaled = call.elements("({0} * {1})", x, beta)
    soft = call.elements("(log1p{k}({0}) / {1})", call.elements("exp{k}({0})", scaled), beta)
    return _where(call, call.elements("gt{k}({0}, {1})", scaled, threshold, truth=True), x, soft)


@handles("softplus_backward")
def _softplus_backward(call: Call, gradient: Array, x: Array, beta: float, threshold: float) -> Array:
    scaled = call.elements("({0} * {1})", x, beta)
    slope = call.elements("({0} * {1} / ({1} + all{k}(1)))", gradient, call.elements("exp{k}({0})", scaled))
    return _where(call, call.elements("gt{k}({0}, {1})", scaled, threshold, truth=True), gradient, slope)


@handles("threshold_backward")
def _threshold_backward(call: Call, gradient: Array, x: Array, threshold: float) -> Array:
    return _where(call, call.elements("le{k}({0}, {1})", x, threshold, truth=True), 0, gradient)
