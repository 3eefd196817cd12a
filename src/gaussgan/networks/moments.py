"""Whether a generator knows its own moments."""

from __future__ import annotations

from torch import nn


def has_closed_form(generator: nn.Module) -> bool:
    """Whether a generator knows the `moments()` of its law under z ~ N(0, I), as an affine one does."""
    return hasattr(generator, "moments")
