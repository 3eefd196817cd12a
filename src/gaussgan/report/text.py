"""Numbers and lists as the texts of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gaussgan.report.intervals import Interval


def counted(statuses: Mapping[str, int]) -> str:
    """Return a text such as "3 completed, 1 failed"."""
    return ", ".join(f"{n:,} {status}" for status, n in statuses.items() if n)


def number(value: float) -> str:
    """Return a number with three significant digits."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if math.isnan(value):
        return "–"
    text = f"{value:.3g}" if value == 0 or 1e-4 <= abs(value) < 1e5 else f"{value:.1e}"
    return text.replace("-", "−")


def bounds(interval: Interval) -> str:
    """Return the two ends of an interval in square brackets."""
    return f"[{number(interval.low)}, {number(interval.high)}]"


def joined(texts: Sequence[str]) -> str:
    """Return a text such as "a, b and c"."""
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else "".join(texts)
