"""The error of everything that cannot be compiled."""

from __future__ import annotations


class NotCompiled(Exception):
    """A function cannot be compiled. The message says why, in one line."""
