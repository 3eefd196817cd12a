"""Checks of the numbers that describe a distribution or a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def check_count(name: str, value: int) -> None:
    """Raise ValueError unless `value` is a whole number of at least 1. The error message calls the value `name`."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1 (got {value})")


def positive_number(name: str, value: float) -> float:
    """Return `value` as a float.

    Raises:
        ValueError: when `value` is not a number above 0 that is finite in float32. The error message calls the value
            `name`.
    """
    if number_tensor(name, value, ndim=0, form="a number") <= 0:
        raise ValueError(f"{name} must be above 0 (got {value})")
    return float(value)


def number_tensor(name: str, value: Sequence | Tensor | float, ndim: int, form: str) -> Tensor:
    """Return `value` as a tensor in float64.

    Args:
        name: the name of the value in the error message.
        value: a number, a nested list of numbers or a tensor.
        ndim: the required number of dimensions.
        form: a description of the required form for the error message, such as "d numbers".

    Raises:
        ValueError: when `value` does not have `ndim` dimensions, is empty, or contains an entry that is not a finite
            number in float32.
    """
    try:
        if any(isinstance(entry, bool) for entry in _entries(value)):  # torch would convert True to 1
            raise TypeError
        tensor = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be {form} (got {value})") from None
    if tensor.ndim != ndim or tensor.numel() == 0:
        raise ValueError(f"{name} must be {form} (got {value})")
    if not tensor.float().isfinite().all():
        raise ValueError(f"{name} must be finite in float32 (got {value})")
    return tensor


def check_resolution(A: Tensor, shift: Tensor) -> None:
    """Check that float32 is precise enough for the examples z A + shift, where z ~ N(0, I_k).

    The rounding error of a coordinate is estimated as eps times the root mean square of that coordinate, where eps is
    the machine epsilon of float32. For the check, each coordinate is divided by its standard deviation. Then the
    principal axes of the scaled distribution are computed. Along each axis, the rounding error must be at most 1% of
    the standard deviation along that axis. An axis along which the standard deviation is 0 is not checked.

    Args:
        A: the matrix, [k, d].
        shift: the shift, [d].

    Raises:
        ValueError: when the rounding error along an axis is too large, or when float32 cannot represent an example
            whose distance from `shift` is 10 standard deviations in some coordinate.
    """
    float32, std = torch.finfo(torch.float32), A.norm(dim=0)
    if ((largest := shift.abs() + 10 * std) > float32.max).any():
        raise ValueError(f"examples must be within {float32.max:.2g} of 0 to fit float32 (got {largest.max():.2g})")
    rounding = float32.eps * torch.hypot(std, shift) + float32.tiny
    unit = std.where(std > 0, 1)
    _, stds, axes = torch.linalg.svd(A / unit, full_matrices=False)
    errors = (axes * rounding / unit).norm(dim=-1)
    real = stds > max(A.shape) * torch.finfo(torch.float64).eps * stds.max()
    error = (errors / stds)[real].max().item() if real.any() else 0.0
    if error > 0.01:
        raise ValueError(
            "the distribution must be closer to 0, or wider in its narrowest direction: float32 must round examples by"
            f" at most 0.01 standard deviations in that direction (got {error:.2g})"
        )


def _entries(value: Any) -> Iterator[Any]:
    """Yield the innermost entries of a nested list. If `value` is not a list, yield `value` itself."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            yield from _entries(entry)
    else:
        yield value
