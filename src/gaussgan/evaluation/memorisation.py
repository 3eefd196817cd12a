"""A test of whether a generator copies training examples."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gaussgan.evaluation.pairwise import nearest

PAIRS = 2**24  # number of distances for one generated sample; in 64 dimensions they take 0.1 seconds
QUERIES = 200  # of each sample at least so many examples are tested, if the sample has them
PER_CELL = 200  # number of tested examples for each cell; the paper has as many
FEWEST = 20  # a cell with fewer generated examples than this does not count; from the paper
CELL_ROWS = 10_000  # largest number of training examples from which the cells are made


class Copying(NamedTuple):
    """The result of the test of `Memorisation`. All numbers are in float64.

    Attributes:
        c_t: the statistic C_T of the paper.
        z: C_T divided by its standard deviation under the null hypothesis; −2 or less is evidence that the examples
            are too close to the training examples: copies, or a distribution that is too narrow.
        p: the one-sided p-value Φ(z).
    """

    c_t: Tensor
    z: Tensor
    p: Tensor


class Memorisation:
    """Test whether generated examples are closer to the training examples than held-out examples are.

    This is the three-sample test of Meehan, Chaudhuri, Dasgupta 2020, arXiv 2004.05675. d(x) is the distance of an
    example to its nearest training example. K-means divides the space into cells π. In each cell, Z_π is the z-score
    of the Mann–Whitney U statistic of d of m_π generated and n_π held-out examples:

        C_T = Σ n_π Z_π / Σ n_π,  z = Σ n_π Z_π / √(Σ n_π²)

    The sums are over cells with at least 20 generated examples. The null hypothesis is that the generator's
    distribution is the true one. Then each Z_π and z are N(0, 1) for large samples. A generator that copies makes z
    negative; a generator whose examples are far from the data makes it positive. Without cells, copies could hide: a
    generator that copies, but mostly where training examples are sparse, has large d. The variance of U includes the
    correction for ties, so repeated rows of the data do no harm. With several cells the standard deviation of C_T
    itself is below 1, so Φ(C_T) would be too large.

    Differences from the paper's code: d is the distance to all training examples and not only to those of the cell,
    ties are corrected, U has no correction for continuity, and there is one cell for each 200 tested examples. (The
    paper has 5 cells for 1,000 and 50 for 10,000.)

    With many training examples only the first 2²⁴/N examples of each sample are tested, at least 200 of them. All N
    training examples are used, so copies are always found.

    Measured at p ≤ 0.05: the true distribution is flagged in 5.3% of 10,000 seeds with 100 examples of a Gaussian in
    the plane, in 5.2% with 20 examples, and in 5.0% of 3,000 seeds with 1,000 examples of the ring of 8 modes (5
    cells). A generator that replays training examples is flagged in 100 of 100 seeds in all these cases. One that
    replays a fifth of its examples is flagged in 81 of 100 seeds with 100 examples in the plane, in 96 with 180
    examples in 64 dimensions, and in 100 with 1,000 examples in 10 dimensions.

    A flag does not prove copying: a generator that is too narrow is flagged, too. An honest Gaussian in the plane with
    0.8 times the true standard deviation is flagged in 26 of 50 seeds with 800 training, 100 held-out and 100 generated
    examples; with 0.5 times, in 48.

    A generated example with NaN or infinity is left out. If no example is left, or none in a cell that has held-out
    examples, all numbers are NaN.

    Args:
        train: the N training examples, [N, d].
        held_out: examples that were not used for training, [n, d]. Their distances are computed once.
        rng: the random number generator that draws the first centres of the cells.
        cells: the number of cells. None gives one cell for each 200 tested examples.
    """

    def __init__(self, train: Tensor, held_out: Tensor, rng: torch.Generator, cells: int | None = None) -> None:
        self.train, self.queries = train, max(QUERIES, PAIRS // len(train))
        held_out = held_out[: self.queries]
        cells = max(1, len(held_out) // PER_CELL) if cells is None else cells
        self.centres = k_means(train[torch.randperm(len(train), generator=rng)[:CELL_ROWS]], cells)
        self.distances, self.cells = self._distances_and_cells(held_out)

    def __call__(self, fake: Tensor) -> Copying:
        """Test a generated sample, [m, d]."""
        fake = fake[: self.queries]
        distances, cells = self._distances_and_cells(fake[fake.isfinite().all(-1)])
        zs, weights = [], []
        for cell in range(len(self.centres)):
            ours, theirs = distances[cells == cell], self.distances[self.cells == cell]
            if len(ours) >= min(FEWEST, max(1, len(distances))) and len(theirs) > 0:
                zs.append(mann_whitney(ours, theirs))
                weights.append(float(len(theirs)))
        weight, z = torch.tensor(weights, dtype=torch.float64), torch.tensor(zs, dtype=torch.float64)
        score = (weight @ z) / weight.norm()
        return Copying((weight @ z) / weight.sum(), score, torch.special.ndtr(score))

    def _distances_and_cells(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return nearest(x, self.train)[0], nearest(x, self.centres)[1]


def mann_whitney(x: Tensor, y: Tensor) -> float:
    """Return the z-score of the Mann–Whitney U statistic of two samples of numbers.

        U = number of pairs with x_i > y_j, plus half the number of pairs with x_i = y_j
        z = (U − nm/2) / σ,  σ² = nm/12 [N + 1 − Σ (t³ − t) / (N (N − 1))],  N = n + m

    The sum is over groups of t equal numbers. If all numbers are equal, z is 0. If x and y have the same continuous
    distribution, z is N(0, 1) in the limit of large n and m. Mann and Whitney 1947, doi:10.1214/aoms/1177730491.
    """
    n, m, y = len(x), len(y), y.sort().values
    u = (torch.searchsorted(y, x) + torch.searchsorted(y, x, right=True)).sum().item() / 2
    ties = torch.cat([x, y]).unique(return_counts=True)[1].double()
    variance = n * m / 12 * (n + m + 1 - (ties**3 - ties).sum().item() / ((n + m) * (n + m - 1)))
    return 0.0 if variance <= 0 else (u - n * m / 2) / variance**0.5


def k_means(rows: Tensor, cells: int, steps: int = 20) -> Tensor:
    """Return the centres of k-means, [cells, d], after some steps of Lloyd's algorithm from the first rows."""
    rows = rows.double()
    centres = rows[:cells]
    for _ in range(steps if cells > 1 else 0):
        cell = nearest(rows, centres)[1]
        sums = torch.zeros_like(centres).index_add_(0, cell, rows)
        counts = cell.bincount(minlength=len(centres)).unsqueeze(-1)
        centres = torch.where(counts > 0, sums / counts, centres)  # an empty cell keeps its centre
    return centres
