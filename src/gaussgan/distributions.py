"""The laws that data come from: each has a closed form, so that the truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from gaussgan.streams import normal


class AffineGaussian:
    """The law of X A + b for X ~ N(0, I_k), as row vectors: N(b, AᵀA).

    Args:
        A: the matrix, k rows of d numbers.
        b: the shift, d numbers.

    Raises:
        ValueError: when A is ragged, empty or not two-dimensional, when b has not d numbers, or when a number of
            either is not finite.
    """

    def __init__(self, A: Sequence[Sequence[float]] | Tensor, b: Sequence[float] | Tensor) -> None:
        self.A = _numbers("A", A, ndim=2, form="k rows of d numbers each")
        self.mean = _numbers("b", b, ndim=1, form="d numbers")
        if len(self.mean) != self.dim:
            raise ValueError(f"b must have {self.dim} numbers, one for each column of A (got {len(self.mean)})")

    @property
    def dim(self) -> int:
        """d, the number of features of an example."""
        return self.A.shape[1]

    @property
    def cov(self) -> Tensor:
        """AᵀA, [d, d]."""
        return self.A.T @ self.A

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n examples, [n, d], in float32."""
        return torch.addmm(self.mean.float(), normal(n, len(self.A), generator=generator), self.A.float())

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, [..., d] → [...], in float64.

        Raises:
            ValueError: when AᵀA is singular: then the law has no density.
        """
        return MultivariateNormal(self.mean, self.cov).log_prob(x.double())

    def __repr__(self) -> str:
        return f"N(mean={self.mean.tolist()}, cov={[[round(c, 6) for c in row] for row in self.cov.tolist()]})"


def _numbers(name: str, value: Sequence | Tensor, ndim: int, form: str) -> Tensor:
    try:
        tensor = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be {form} (got {value})") from None
    if tensor.ndim != ndim or tensor.numel() == 0:
        raise ValueError(f"{name} must be {form} (got {value})")
    if not tensor.isfinite().all():
        raise ValueError(f"{name} must be finite numbers (got {value})")
    return tensor
