"""Randomness as a function of (seed, purpose, epoch). Nothing else in this package draws numbers."""

from __future__ import annotations

from hashlib import blake2b

import torch
from torch import Tensor


def stream(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """The generator of all draws that a run with this seed makes for one purpose in one epoch.

    It keeps no state between calls, so a resumed run, a replica and a rank draw what they would have drawn. It lives
    on the CPU, so a run draws the same numbers on every device. (Torch's CPU generator keeps 32 bits of a seed; two of
    a run's streams coincide with probability 2⁻³² per pair.)
    """
    digest = blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def uniform(*shape: int, generator: torch.Generator) -> Tensor:
    """Draws from [0, 1) of a shape, in float32 always."""
    return torch.rand(*shape, generator=generator, dtype=torch.float32)


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    """Standard normal draws of a shape, in float32 always, so that a run in float64 sees the same ones."""
    return torch.randn(*shape, generator=generator, dtype=torch.float32)
