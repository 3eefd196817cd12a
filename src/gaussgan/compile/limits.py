"""Up to which size generated C is faster than the matrix products of a library."""

from __future__ import annotations

from gaussgan.compile.emit import Emitter
from gaussgan.compile.errors import NotCompiled, TooWide

LARGEST_WORK = 80_000_000
"""The largest number of multiply-adds in one step of a program of one run.

Generated C saves the time between operations, but its products are slower than those of PyTorch's libraries. Measured
for MLPs with two hidden layers as generator and as discriminator, and for two experiments, in ms per iteration
(float32, one thread of an AMD EPYC with AVX-512, other programs were running):

| units × batch | multiply-adds | C | eager |
|---|---|---|---|
| 64 × 8 | 0.4 million | 0.06 | 0.70 |
| 128 × 100 | 18 million | 0.9 | 1.6 |
| 64 × 512 | 24 million | 1.7 | 2.4 |
| 512 × 24 | 70 million | 9.0 | 9.6 |
| 256 × 100 | 73 million | 6.9 | 8.8 |
| r3gan | 78 million | 4.0 | 5.3 |
| 256 × 128 | 93 million | 11.8 | 9.9 |
| 128 × 512 | 94 million | 6.9 | 4.9 |
| 512 × 64 | 186 million | 11.6 | 8.7 |
| 256 × 512 | 373 million | 43 | 31 |
| ring (400 × 100) | 466 million | 83 | 53 |
"""

LARGEST_MEMORY = 1_000_000
"""The largest number of values in the buffers of one replica, in a program of many replicas.

Such a program computes 16 replicas at a time. If their buffers do not fit into the CPU's caches, it waits for memory.
Measured as above, in ms per iteration and replica:

| units × batch | replicas | values | C | eager |
|---|---|---|---|---|
| 32 × 8 | 16, 64 | 0.06 million | 0.011, 0.009 | 0.07, 0.09 |
| 64 × 100 | 16, 64 | 0.47 million | 0.74, 0.25 | 0.95, 0.51 |
| 128 × 8 | 16, 64 | 0.67 million | 0.15, 0.15 | 0.27, 0.34 |
| 32 × 512 | 16, 64 | 0.86 million | 0.75, 0.61 | 0.82, 1.12 |
| 128 × 64 | 16, 64 | 1.01 million | 0.91, 0.64 | 0.83, 0.87 |
| 128 × 100 | 16, 64 | 1.24 million | 1.18, 0.96 | 1.14, 1.26 |
| 192 × 8 | 16, 64 | 1.44 million | 1.59, 1.35 | 1.24, 1.58 |
| 64 × 512 | 16, 64 | 1.76 million | 2.36, 2.17 | 2.00, 2.50 |
| 256 × 8 | 16, 64 | 2.51 million | 1.40, 4.22 | 1.26, 3.10 |
| 256 × 100 | 16 | 3.64 million | 5.4 | 3.5 |
"""


def work(emitter: Emitter) -> int:
    """Return the number of multiply-adds in the products of matrices of one step."""
    products = [each for each in emitter.operations if each.how == "product"]
    return sum(each.result.index.size * each.operands[0].shape[1] for each in products)


def check_size(emitter: Emitter, single: bool) -> None:
    """Check that generated C is faster than the eager mode. The answer depends on the operations alone.

    Raises:
        TooWide: when it is slower for one run.
        NotCompiled: when it is slower for many replicas.
    """
    if single and (count := work(emitter)) > LARGEST_WORK:
        raise TooWide(f"an iteration has {count / 1e6:,.0f} million multiply-adds, more than {LARGEST_WORK / 1e6:.0f}")
    if not single and (count := sum(emitter.sizes)) > LARGEST_MEMORY:
        raise NotCompiled(
            f"compiled replicas with networks so wide would be slower: an iteration has {count / 1e6:,.1f} million"
            f" numbers for each replica, more than {LARGEST_MEMORY / 1e6:.1f} million"
        )
