"""Random number generators, each determined by a seed, a purpose and an epoch. Only this module makes them."""

from __future__ import annotations

from hashlib import blake2b

import torch
from torch import Tensor


def stream(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return a new random number generator for one seed, one purpose and one epoch.

    A purpose is any name, such as "shuffle". The generator's numbers depend only on these three arguments. So a resumed
    run, a replica and a rank of a distributed run draw the same numbers as a single, uninterrupted run. The generator
    is on the CPU, so the numbers are the same for every device. Torch's CPU generator uses only 32 bits of a seed, so
    two different triples (seed, purpose, epoch) give the same numbers with probability 2⁻³².
    """
    digest = blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def uniform(*shape: int, generator: torch.Generator) -> Tensor:
    """Return a tensor of the given shape with draws from the uniform distribution on [0, 1), always in float32."""
    return torch.rand(*shape, generator=generator, dtype=torch.float32)


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    """Return a tensor of the given shape with draws from N(0, 1).

    The tensor is always in float32, so that a run in float64 sees the same numbers as a run in float32.
    """
    return torch.randn(*shape, generator=generator, dtype=torch.float32)
