"""Compare and name the values of settings."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from gaussgan.config.dotted import whole_as_int

FEW_DIGITS, ALL_DIGITS = 4, 17
LONGEST = 60  # characters of a text
_DECIMAL = re.compile(r"-?\b\d+\.\d+(e[+-]?\d+)?")

Value = float | str  # a number, or the text of any other value


def comparable(value: Any) -> Value:
    """Return a number as a float, and any other value as a text. Equal values give equal results: 1 and 1.0.

    None becomes "null", and booleans become "true" and "false", as people type them.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "nan" if value != value else float(value)
    return value if isinstance(value, str) else json.dumps(whole_as_int(value), default=str)


def parse(text: str) -> Value:
    """Return the value that a person typed, so that 0.050, 5e-2 and 0.05 are equal."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return comparable(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def names(values: Sequence[Value]) -> list[str]:
    """Return a short text for each of some different values. The texts differ.

    Numbers have four significant digits, and more only where two would have the same text. Long texts are cut.
    """
    found = {value: _short(value, FEW_DIGITS) for value in values}
    for digits in range(FEW_DIGITS + 1, ALL_DIGITS + 1):
        counts = Counter(found.values())
        if len(counts) == len(found):
            break
        found |= {value: _short(value, digits) for value, text in found.items() if counts[text] > 1}
    return [found[value] for value in values]


def _short(value: Value, digits: int) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if digits == ALL_DIGITS:
        return value
    value = " ".join(value.split("\n"))
    text = _DECIMAL.sub(lambda match: f"{float(match[0]):.{digits}g}", value) if value[:1] in ("[", "{") else value
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def in_order(values: Iterable[Value]) -> list[Value]:
    """Return the different values in order: first numbers, then texts."""
    return sorted({*values}, key=lambda value: (isinstance(value, str), value))


def readable(path: str) -> str:
    """Return the name of a file as a text that can be written to a file, although its bytes may be no text."""
    return os.fsencode(path).decode(errors="replace")
