"""Packing: a discriminator sees several examples at once."""

from __future__ import annotations

import torch
from torch import Tensor


def packed(x: Tensor, packing: int) -> Tensor:
    """Concatenate each m = `packing` examples in a row to one pack, [..., B, d] → [..., B/m, m·d].

    A discriminator of packs gives one logit for each pack: all its examples are real, or all are generated. The optimal
    logit of a pack is the sum of log p/q over its examples. A generator that never makes some of the modes shows more
    clearly in a pack. Lin, Khetan, Fanti, Oh 2018, arXiv 1712.04086, section 3.

    Raises:
        RuntimeError: when B is not a multiple of m.
    """
    return x if packing == 1 else x.unflatten(-2, (-1, packing)).flatten(-2)


def copies(x: Tensor, packing: int) -> Tensor:
    """Make a pack of m = `packing` copies of each example, [..., B, d] → [..., B, m·d]."""
    return x if packing == 1 else torch.cat([x] * packing, -1)
