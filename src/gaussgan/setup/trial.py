"""Helpers for the checks that call an object of a run before the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.runs.job_errors import FULL

ROWS = 3  # rows of the batch with which an object is called
ONLY_GIVEN_GENERATOR = "must draw all random numbers from the torch.Generator that it is given"


@contextmanager
def naming_key(key: str) -> Iterator[None]:
    """Use this function in a with statement. If the block raises an error, raise a ConfigError that names a key.

    A ConfigError from the block does not change. If the environment variable HYDRA_FULL_ERROR is 1, no error changes.

    Args:
        key: the key of the configuration with which the message starts.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        if FULL:  # the author of a class wants to see the traceback
            raise
        raise ConfigError(f"{key}: {one_line(error)} ({type(error).__name__})") from error


def check_numbers(where: str, value: Any, shape: Sequence[int], finite: bool = True) -> None:
    """Check that a value is a floating-point tensor with the given shape.

    Args:
        where: the name of the value. The error message starts with this name.
        finite: if true, also check that all numbers in the tensor are finite.

    Raises:
        ConfigError: when one of these checks fails.
    """
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.shape != (*shape,):
        got = f"shape {[*value.shape]} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise ConfigError(f"{where} must be a floating-point tensor of shape {[*shape]} (got {got})")
    if finite and not value.isfinite().all():
        raise ConfigError(f"{where} must be finite (it contains NaN or infinity)")
