"""Convert numbers to texts with units."""

from __future__ import annotations

from datetime import timedelta


def gigabytes(size: float) -> str:
    """Convert a number of bytes to a text in gigabytes, such as "1.5 GB"."""
    return f"{size / 1e9:,.{1 if size < 1e10 else 0}f} GB" if size < 1e18 else f"{size / 1e9:.3g} GB"


def clock(seconds: float) -> str:
    """Format a number of seconds as minutes and seconds, such as 0:12. From one hour on, add hours, such as 2:13:20."""
    text = str(timedelta(seconds=round(seconds)))
    return text.removeprefix("0:").removeprefix("0") if seconds < 3599.5 else text
