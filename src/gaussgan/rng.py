"""Random number generators, each determined by a seed, a purpose and an epoch. Only this module makes them."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.random.bit_generator import ISeedSequence
from torch import Tensor

SCHEME = 2  # increases when a seed, a purpose and an epoch give other numbers than before

# The state of a torch generator that has drawn nothing. Its counters take 24 bytes. Then come the 624 words of the
# Mersenne Twister, each of 32 bits in 8 bytes.
_FRESH = torch.Generator().get_state().numpy()


def stream(seed: int, purpose: str, epoch: int = 0, reuse: torch.Generator | None = None) -> torch.Generator:
    """Return a random number generator for one seed, one purpose and one epoch.

    A purpose is any name, such as "data". The generator's numbers depend only on these three arguments. So a resumed
    run, a replica and a rank of a distributed run draw the same numbers as a single, uninterrupted run. The generator
    is on the CPU, so the numbers are the same for every device.

    Torch's generator is the Mersenne Twister, whose state has 19,937 bits. Torch would compute them from 32 bits of a
    seed. Then 10⁶ seeds would hold about 116 pairs with equal numbers. Here they come from SFC64, another generator,
    which starts from a hash of the three arguments with 192 bits. No two triples have the same text. So among N triples
    the probability of two equal starts is below N² 2⁻¹⁹³: for 10⁶ runs of 10⁴ epochs, below 10⁻³⁷. Different starts
    give different numbers: the counter of SFC64 keeps two streams from meeting in their first 2⁶⁴ steps.

    Args:
        reuse: a generator to set and return. None makes a new one, which takes longer.
    """
    sfc64 = np.random.SFC64(_Hash(f"{seed}/{purpose}/{epoch}"))  # type: ignore[arg-type]  # stubs lack ISeedSequence
    words = sfc64.random_raw(312).view(np.uint32)
    state = _FRESH.copy()
    state[24 : 24 + 8 * len(words)].view(np.uint64)[:] = words
    return (torch.Generator() if reuse is None else reuse).set_state(torch.from_numpy(state))


def uniform(*shape: int, generator: torch.Generator) -> Tensor:
    """Return a tensor of the given shape with draws from the uniform distribution on [0, 1), always in float32."""
    return torch.rand(*shape, generator=generator, dtype=torch.float32)


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    """Return a tensor of the given shape with draws from N(0, 1).

    The tensor is always in float32, so that a run in float64 sees the same numbers as a run in float32. Processors with
    AVX2 give the same numbers, also those with AVX-512. Other processors may round the last bit differently.
    """
    return torch.randn(*shape, generator=generator, dtype=torch.float32)


class _Hash(ISeedSequence):
    """The bits from which a generator of NumPy starts: a hash of a text."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return np.frombuffer(blake2b(self.text, digest_size=n_words * np.dtype(dtype).itemsize).digest(), dtype)
