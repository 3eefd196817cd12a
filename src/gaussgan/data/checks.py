"""Checks of the numbers that describe a distribution. Each error message names the wrong argument."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def check_count(name: str, value: int) -> None:
    """Raise ValueError unless the value of the argument `name` is a whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1 (got {value})")


def positive_number(name: str, value: float) -> float:
    """Return the value of the argument `name` as a float. Raise ValueError unless it is finite and above 0."""
    if number_tensor(name, value, ndim=0, form="a number") <= 0:
        raise ValueError(f"{name} must be above 0 (got {value})")
    return float(value)


def number_tensor(name: str, value: Sequence | Tensor | float, ndim: int, form: str) -> Tensor:
    """Convert a number, a nested list of numbers or a tensor to a tensor in float64.

    Args:
        name: the name of the argument, for the error message.
        ndim: the required number of dimensions.
        form: a description of the required form for the error message, such as "d numbers".

    Raises:
        ValueError: when the value does not have `ndim` dimensions, is empty, or contains an entry that is not a finite
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
    """Check that float32 can represent examples z A + shift, with z ~ N(0, I_k), precisely enough.

    Rounding changes a coordinate of an example by up to eps times the root mean square of that coordinate, where eps is
    the machine epsilon of float32. Along each principal axis of the examples, this rounding error must be at most 1% of
    the standard deviation. The principal axes are computed after each coordinate is divided by its standard deviation.
    An axis with standard deviation 0 is not checked.

    Args:
        A: the matrix, [k, d].
        shift: the shift, [d].

    Raises:
        ValueError: when the rounding error is larger than 1% along an axis, or when an example could be too large for
            float32.
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
    """Yield the entries of nested lists that are not lists themselves. Yield a value that is not a list unchanged."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            yield from _entries(entry)
    else:
        yield value
