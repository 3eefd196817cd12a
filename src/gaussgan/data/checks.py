"""Check the numbers that describe a distribution, with messages that name the argument."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def check_count(name: str, value: int) -> None:
    """Check that an argument is a whole number of at least 1, or raise ValueError."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1 (got {value})")


def positive_number(name: str, value: float) -> float:
    """Return a finite number above 0 as a float, or raise ValueError."""
    if number_tensor(name, value, ndim=0, form="a number") <= 0:
        raise ValueError(f"{name} must be above 0 (got {value})")
    return float(value)


def number_tensor(name: str, value: Sequence | Tensor | float, ndim: int, form: str) -> Tensor:
    """Return nested lists of numbers as a tensor of float64.

    Args:
        ndim: the number of dimensions.
        form: the expected form in words, for the message.

    Raises:
        ValueError: when the value has another form, holds no numbers, or holds a number that is not finite in float32.
    """
    try:
        if any(isinstance(entry, bool) for entry in _entries(value)):  # torch would convert them to numbers
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
    """Check that float32 can hold examples Z A + shift with Z ~ N(0, I).

    Rounding changes a coordinate by up to eps times its root mean square. This error may be at most 1% of the standard
    deviation in each direction. The directions are the principal axes after each coordinate is scaled to standard
    deviation 1. Directions with standard deviation 0 are not checked.

    Args:
        A: [k, d].
        shift: [d].

    Raises:
        ValueError: when the rounding error is larger, or when an example could be infinite.
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
            "the distribution must be closer to 0, or wider in its narrowest direction: there, float32 may round"
            f" examples by at most 0.01 standard deviations (got {error:.2g})"
        )


def _entries(value: Any) -> Iterator[Any]:
    """Yield the entries of nested lists, however deep."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            yield from _entries(entry)
    else:
        yield value
