"""Helpers for the checks that try an object once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from gaussgan.config.errors import ConfigError, one_line

ROWS = 3  # rows of a batch in a trial
ONLY_GIVEN_GENERATOR = "only with the generator that is given to it"


@contextmanager
def naming_key(key: str) -> Iterator[None]:
    """Raise any error of a trial as a ConfigError that names the key."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{key}: {one_line(error)} ({type(error).__name__})") from error


def check_numbers(where: str, value: Any, shape: Sequence[int], finite: bool = True) -> None:
    """Check that a value is a floating-point tensor with the given shape."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.shape != (*shape,):
        got = f"{[*value.shape]} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise ConfigError(f"{where} must be a tensor of floats, {[*shape]} (got {got})")
    if finite and not value.isfinite().all():
        raise ConfigError(f"{where} must be finite (it holds NaN or infinity)")
