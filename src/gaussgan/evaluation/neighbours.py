"""Measures of all distances between two samples: energy distance, precision, recall, density and coverage."""

from __future__ import annotations

import torch
from torch import Tensor

from gaussgan.evaluation.pairwise import squared_distances, with_margin


class Neighbourhoods:
    """Compare generated samples with a real sample by the distances between all examples.

    B_k(x) is the closed ball around an example x whose radius is the distance to the k-th nearest other example of the
    same sample. Of n real examples x and m generated examples y,

        precision = proportion of y in at least one ball B_3(x);
        recall = proportion of x in at least one ball B_3(y);
        density = 1/(5m) Σ_y number of balls B_5(x) that contain y;
        coverage = proportion of x with at least one y in B_5(x);
        energy = 2 mean ‖x − y‖ − mean ‖x − x'‖ − mean ‖y − y'‖.

    Precision and recall are from Kynkäänniemi et al. 2019, arXiv 1904.06991, with their k = 3. Density and coverage
    are from Naeem et al. 2020, arXiv 2002.09797, with their k = 5. If both samples come from one continuous
    distribution,

        E density = 1,  E coverage = 1 − Π (n − i)/(n + m − i) for i = 1, …, k.

    Density can be larger than 1. Precision and recall at equal distributions depend on n, m and the distribution, so
    compare them with a baseline.

    The energy distance is the one of `energy_test`: the means are over all pairs, also those of an example with itself.
    So it is never negative, it is 0 only for equal samples, and it is too large by E‖x − x'‖/n + E‖y − y'‖/m on
    average.

    A real example counts as often as it occurs. Ties count as inside, also at radius 0, where an example occurs more
    than k times. A generated example with NaN or infinity lies in no ball, and its own ball is empty. It makes the
    energy distance NaN.

    The radii of the real balls are computed once. The matrix of distances is computed in chunks of rows.

    Args:
        real: the real sample, [n, d], with finite entries.
        k_precision: the k of precision and recall.
        k_density: the k of density and coverage.

    Raises:
        ValueError: a sample has at most k examples.
    """

    def __init__(self, real: Tensor, k_precision: int = 3, k_density: int = 5) -> None:
        self.real, self.k = real, (k_precision, k_density)
        self.radii, self.mean = _within(real, self.k, "real")

    def __call__(self, fake: Tensor) -> dict[str, Tensor]:
        """Return the five measures of a generated sample, [m, d], as a dict from names to scalars in float64."""
        (reach,), mean = _within(fake, self.k[:1], "generated")
        narrow, wide = self.radii.unsqueeze(-1)
        precise = torch.zeros(len(fake), dtype=torch.bool)
        recalled, contained, covered, total = torch.zeros(4, dtype=torch.float64)
        for rows, squared in squared_distances(self.real, fake):
            precise |= (squared <= narrow[rows]).any(0)
            recalled += (squared <= reach).any(-1).sum()
            contained += torch.count_nonzero(squared <= wide[rows])
            covered += (squared.amin(-1, keepdim=True) <= wide[rows]).sum()
            total += squared.sqrt_().sum()
        n, m = len(self.real), len(fake)
        return {
            "energy": (2 * total / (n * m) - self.mean - mean).clamp(min=0),
            "precision": precise.double().mean(),
            "recall": recalled / n,
            "density": contained / (self.k[1] * m),
            "coverage": covered / n,
        }


def _within(x: Tensor, k: tuple[int, ...], which: str) -> tuple[Tensor, Tensor]:
    """Return the squared radii of the balls B_k(x), [len(k), n], and the mean distance between all pairs.

    The radii have a margin for rounding; see `with_margin`. The squared radius of an empty ball is −1.
    """
    if len(x) <= max(k):
        raise ValueError(f"{max(k)} nearest neighbours need at least {max(k) + 1} {which} examples, not {len(x)}")
    radii, total = [], torch.zeros((), dtype=torch.float64)
    for rows, squared in squared_distances(x, x):
        own = squared.diagonal(rows.start)
        own.fill_(torch.inf)
        radii.append(squared.topk(max(k), largest=False).values[:, [each - 1 for each in k]].mT)
        own.zero_()
        total += squared.sqrt_().sum()
    squared_radii = torch.cat(radii, -1)
    return with_margin(squared_radii, x).where(squared_radii.isfinite(), -1), total / len(x) ** 2
