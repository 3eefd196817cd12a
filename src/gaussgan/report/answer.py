"""What a report answers: the settings from the best to the worst, and how each compares with the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gaussgan.evaluation.scores import larger_is_better
from gaussgan.report import statistics
from gaussgan.report.factors import Factor
from gaussgan.report.intervals import Interval
from gaussgan.report.values import Value

FINISHED = ("completed", "diverged")


@dataclass(frozen=True)
class Comparison:
    """A setting compared with the best one.

    Args:
        runs: the number of pairs of runs with the same seed. For independent runs, the smaller number of runs.
        paired: whether runs with the same seed were compared. If too few seeds are shared, runs are independent.
        difference: the median of the paired differences from the best; for independent runs, the difference of medians.
        interval: a 95% bootstrap interval of `difference`.
        p: the p-value of the test against the best, corrected for the number of tests by Holm's method. It comes from
            the Wilcoxon signed-rank test for pairs, and from the Mann–Whitney test for independent runs.
        improvement: the probability that a run of the best setting has a smaller score than a run of this one.
        more: how many more seeds would be needed to tell the two apart.
    """

    runs: int
    paired: bool
    difference: float
    interval: Interval
    p: float
    improvement: float
    more: float

    @property
    def differs(self) -> bool:
        return self.p <= statistics.LEVEL

    @property
    def mixed(self) -> bool:
        """Whether the median of the paired differences is not 0, although the test sees no difference.

        Then most differences have one sign, but the largest ones have the other sign.
        """
        return self.paired and not self.differs and not self.interval.low <= 0 <= self.interval.high


@dataclass(frozen=True)
class Setting:
    """The runs that differ only in their seed.

    Args:
        values: the value of each factor.
        texts: a short text for each value.
        name: a text with the factors and their values, such as "optimizer_d.lr=0.05 objective=Hinge".
        rows: the rows of the runs in the table of all runs.
        statuses: the number of runs with each status.
        scores: the score of each finished run, infinite for a diverged one. Others are left out. Smaller is better.
        quantiles: the 10th percentile, the median and the 90th percentile of the measure, which is the score or, if
            more of it is better, its negative.
        interval: a 95% bootstrap interval of the median.
        iqm: the interquartile mean of the measure.
        efficiency: mean(mle/w2²) / mean(val/w2²) over the finished runs; 0 if one of them diverged.
        losses: the median loss of the discriminator and of the generator over these runs.
        speed: the median speed of these runs in examples per second.
        reported: the median of the same measure as the score, against rows that nothing was chosen by; NaN without.
        comparison: the comparison with the best setting; None for the best, and where no test is possible.
    """

    values: tuple[Value, ...]
    texts: tuple[str, ...]
    name: str
    rows: np.ndarray
    statuses: Mapping[str, int]
    scores: np.ndarray
    quantiles: tuple[float, float, float]
    interval: Interval
    iqm: float
    efficiency: float
    losses: tuple[float, float]
    speed: float
    reported: float = math.nan
    comparison: Comparison | None = None

    @property
    def n(self) -> int:
        return len(self.scores)

    @property
    def median(self) -> float:
        return self.quantiles[1]


@dataclass(frozen=True)
class Answer:
    """The settings of some runs, from the best to the worst.

    Args:
        tag: the measure by which runs are compared; None if no run has finished.
        factors: what varied.
        settings: the settings. Those with the best median come first, and those without finished runs last.
        baseline: the median of the baseline over all finished runs; NaN if there is none.
        unlike: the number of finished runs that have another score, and so cannot be compared.
        unknown: the number of runs whose settings are not known.
    """

    tag: str | None
    factors: Sequence[Factor]
    settings: Sequence[Setting]
    baseline: float
    unlike: int
    unknown: int

    @property
    def larger(self) -> bool:
        """Whether more of the measure is better."""
        return self.tag is not None and larger_is_better(self.tag)

    @property
    def finished(self) -> list[Setting]:
        return [setting for setting in self.settings if setting.n]
