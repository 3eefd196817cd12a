"""Latents: the inputs of the generator, made from draws from N(0, I)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Latents(Protocol):
    """Maps the standard normal draws of an epoch, or of a chunk of it, to latents: [n, k] → [n, k].

    It draws nothing itself. The generator is evaluated with latents from N(0, I), so latents should look like draws
    from N(0, I).
    """

    def __call__(self, draws: Tensor) -> Tensor: ...


@dataclass
class Balanced:
    """Latents whose mean is exactly 0, and whose covariance is exactly I, in every window of w rows.

        z ← L⁻¹ (z − z̄),   L Lᵀ = 1/w Σ (z − z̄) (z − z̄)ᵀ,   z̄ = 1/w Σ z

    Then the moments of an affine generator's output in a window are exactly the moments of its distribution. So
    latents add no noise to a game that compares means and covariances. Barraquand 1995, "Numerical valuation of high
    dimensional multivariate European securities", Management Science 41(12), calls this quadratic resampling.

    Rows of one window depend on each other: they are a random frame, and ‖z‖² ≤ w − 1. So their tails are lighter than
    those of N(0, I). A nonlinear generator sees this; for large windows the difference vanishes.

    Args:
        window: w, the number of rows in a window. With w the size of a batch, every batch is balanced, if n is a
            multiple of the examples of an iteration. If n is not a multiple of w, the last window has up to 2 w − 1
            rows. If n is below w, there is one window.

    Raises:
        ValueError: when a window has at most k rows, because then no latents have the covariance I.
    """

    window: int

    def __call__(self, draws: Tensor) -> Tensor:
        (n, k), w = draws.shape, min(self.window, len(draws))
        if w <= k:
            raise ValueError(f"window must be at least generator.in_features + 1 = {k + 1} (got a window of {w} rows)")
        first = (n // w - 1) * w
        whole = standardized(draws[:first].view(-1, w, k)).view(first, k)
        return torch.cat([whole, standardized(draws[first:])])


def standardized(rows: Tensor) -> Tensor:
    """Return rows, [..., w, k], with mean 0 and covariance I, by subtracting the mean and multiplying by a matrix."""
    centred = rows.double()
    centred = centred - centred.mean(-2, keepdim=True)
    factor = torch.linalg.cholesky(centred.mT @ centred / rows.shape[-2])
    return torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT.to(rows.dtype)
