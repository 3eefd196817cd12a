"""Examples that are given, such as the rows of a file, in three parts."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.data.distributions import Distribution
from gaussgan.data.gaussian import sample_moments
from gaussgan.data.layout import Layout, check_shape
from gaussgan.rng import stream

FEWEST = 6  # rows in each part: measures of samples need five neighbours of a row


class Examples:
    """Given examples in three parts. It takes the place of a distribution, which is unknown here.

    The rows are shuffled once, and then split: a proportion `holdout` of them is held out. One half of these is to
    choose by: the checkpoint with the smallest distance, and the trials of a search. The other half is to report by.
    The rest is to train on. The split has its own seed, so runs with different seeds can share it.

    Args:
        rows: the examples, [n, d], in the units of the file.
        names: the names of the d columns.
        source: what the rows are from, such as a path.
        fingerprint: a hash of the rows, by which a resumed run recognises them.
        holdout: the proportion of the rows that is held out.
        split_seed: the seed of the split.
        limit: the number of rows to train on; None for all that are not held out.
        standardize: true to shift and scale each column so that, over the rows to train on, its mean is 0 and its
            standard deviation is 1. A constant column is only shifted.
        shape: [C, H, W] if an example is an image, else None.
        pixels: the values of black and white, if the examples are images in [black, white]. They are mapped to [−1, 1]
            in place of the standardisation.
        note: a line about how the rows were read, which each run logs; "" for none.

    Attributes:
        train: the rows to train on, [n, d], standardised, in float32.
        select: the rows to choose by.
        report: the rows to report by.

    Raises:
        ValueError: when the rows do not suffice, or when float32 is not precise enough for them.
    """

    gaussian = False

    def __init__(
        self,
        rows: Tensor,
        names: tuple[str, ...],
        source: str,
        fingerprint: str,
        holdout: float,
        split_seed: int,
        limit: int | None = None,
        standardize: bool = True,
        shape: tuple[int, int, int] | None = None,
        pixels: tuple[float, float] | None = None,
        note: str = "",
    ) -> None:
        self.source, self.fingerprint, self.note = source, fingerprint, note
        n, d = rows.shape
        check_shape(shape, d)
        order = torch.randperm(n, generator=stream(split_seed, "split"))
        held = round(holdout * n)
        if held < 2 * FEWEST:
            raise ValueError(
                f"data.holdout must hold out at least {2 * FEWEST} rows, half to choose by and half to report by"
                f" (got {holdout:g} of {n:,} rows: {held})"
            )
        left = n - held
        if left < FEWEST:
            raise ValueError(f"data.holdout must leave at least {FEWEST} of {n:,} rows to train on (got {holdout:g})")
        if limit is not None and not FEWEST <= limit <= left:
            raise ValueError(
                f"data.num_examples must be from {FEWEST} to {left:,}, the rows to train on, or null for all of them"
                f" (got {limit})"
            )
        train = rows[order[held:][:limit]]
        shift, scale, low, high = _units(train, standardize, pixels, shape is not None)
        self.layout = Layout(names, shift, scale, low, high, shape)
        self.train, self.select, self.report = (
            self._placed(part) for part in (train, rows[order[: held // 2]], rows[order[held // 2 : held]])
        )
        if not standardize and pixels is None:
            _check_resolution(train, self.train, names)

    @property
    def dim(self) -> int:
        """d, the number of columns."""
        return self.layout.dim

    @property
    def mean(self) -> Tensor:
        """The mean of the rows to train on, [d]."""
        return self._moments[0]

    @property
    def cov(self) -> Tensor:
        """The covariance of the rows to train on, [d, d]."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        return sample_moments(self.train)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n different rows of those to report by, [n, d]. The generator chooses them.

        Raises:
            ValueError: when there are fewer than n.
        """
        if n > len(self.report):
            raise ValueError(f"there are only {len(self.report):,} rows to report by (got {n:,})")
        return self.report[torch.randperm(len(self.report), generator=generator)[:n]]

    def log_prob(self, x: Tensor) -> Tensor:
        """Raise ValueError: the density is unknown."""
        raise ValueError(f"the density of {self.source} is unknown")

    def check_same(self, fingerprint: str) -> None:
        """Check that these are the rows with a given fingerprint.

        Raises:
            ConfigError: when they are not.
        """
        if fingerprint != self.fingerprint:
            raise ConfigError(f"data.path: the rows of {self.source} are not those of the run: the file has changed")

    def _placed(self, rows: Tensor) -> Tensor:
        return torch.cat([self.layout.standardised(part).float() for part in rows.split(65_536)])

    def __repr__(self) -> str:
        sizes = [f"{len(part):,}" for part in (self.train, self.select, self.report)]
        names = self.layout.names
        of = (
            f"images of {' × '.join(map(str, self.layout.shape))}" if self.layout.shape else f"columns {_listed(names)}"
        )
        return f"{self.source}: {sizes[0]} rows to train on, {sizes[1]} to choose by, {sizes[2]} to report by; {of}"


def layout_of(distribution: Distribution) -> Layout | None:
    """Return the meaning of the columns of given examples; None for a known distribution."""
    return distribution.layout if isinstance(distribution, Examples) else None


def _units(
    train: Tensor, standardize: bool, pixels: tuple[float, float] | None, is_image: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return shift, scale, smallest and largest value of each column, [d] each, in float64.

    The pixels of images share the smallest and the largest value. Otherwise a pixel that is nearly black in all images
    would be drawn as white in the brightest of them.
    """
    low, high = train.amin(0).double(), train.amax(0).double()
    zero, one = torch.zeros_like(low), torch.ones_like(low)
    if pixels is not None:
        black, white = pixels
        return zero + (black + white) / 2, one * (white - black) / 2, zero + black, zero + white
    constant = low == high
    if is_image:
        low, high = low.min().expand_as(low).clone(), high.max().expand_as(high).clone()
    if not standardize:
        return zero, one, low, high
    mean = train.mean(0, dtype=torch.float64)
    squares = sum((part.double() - mean).square().sum(0) for part in train.split(65_536)) / len(train)
    return train[0].double().where(constant, mean), one.where(constant, torch.as_tensor(squares).sqrt()), low, high


def _check_resolution(given: Tensor, rounded: Tensor, names: tuple[str, ...]) -> None:
    """Check that rounding to float32 changes a column by at most 1% of its standard deviation."""
    error = (given.double() - rounded.double()).abs().amax(0)
    bad = error > 0.01 * given.double().std(0)
    if bad.any():
        name = names[int(bad.nonzero()[0])]
        raise ValueError(f"data.standardize must be true: float32 is not precise enough for the column {name}")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:6])}, … ({len(names)} in all)"
