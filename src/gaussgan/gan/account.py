"""The running means of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor


class Account:
    """Sums over the examples of the epoch with a number, [..., 4], in float64, of what `tags` names."""

    tags = ("train/loss_d", "train/loss_g", "train/d_real", "train/d_fake")

    def __init__(self, sums: Tensor | None = None, counts: Tensor | None = None, number: int = -1) -> None:
        zeros = torch.zeros(len(self.tags), dtype=torch.float64)
        self.sums = zeros if sums is None else sums
        self.counts = zeros if counts is None else counts  # which differ where D takes more steps than G
        self.number = number

    def add(self, values: list[Tensor]) -> None:
        """Add values of single examples, each [..., n, 1]."""
        means = torch.stack([value.mean((-2, -1)) for value in values], -1)
        counts = torch.tensor([value.shape[-2] for value in values], dtype=torch.float64)
        self.sums = self.sums + means.cpu().double() * counts
        self.counts = self.counts + counts

    def since(self, earlier: Account) -> Account:
        """What was added since an earlier account of the same epoch; all of it, where that was of another."""
        if earlier.number != self.number:
            return self
        return Account(self.sums - earlier.sums, self.counts - earlier.counts, self.number)

    def means(self) -> Tensor:
        return self.sums / self.counts
