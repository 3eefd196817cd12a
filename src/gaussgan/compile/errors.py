"""The error of everything that cannot be compiled."""

from __future__ import annotations


class NotCompiled(Exception):
    """A function cannot be compiled. The message says why, in one line."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; the name of its class if it has no message."""
    return next(iter(str(error).splitlines()), type(error).__name__)


class TooWide(NotCompiled):
    """The products of matrices in a step are so large that generated C would be slower than the eager mode."""
