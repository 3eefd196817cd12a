"""The error of everything that cannot be compiled."""

from __future__ import annotations


class NotCompiled(Exception):
    """A function cannot be compiled. The message says why, in one line."""


class TooWide(NotCompiled):
    """The products of matrices in a step are so large that generated C would be slower than the eager mode."""
