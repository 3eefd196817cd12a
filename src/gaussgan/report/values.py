"""Compare and name the values of settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

Value = float | str  # a number, or the text of any other value


def comparable(value: Any) -> Value:
    """Return a number as a float, and any other value as a text. Equal values give equal results: 1 and 1.0.

    None becomes "null", and booleans become "true" and "false", as people type them.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value if isinstance(value, str) else json.dumps(_plain(value), default=str)


def parse(text: str) -> Value:
    """Return the value that a person typed, so that 0.050, 5e-2 and 0.05 are equal."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return comparable(yaml.safe_load(text))
    except yaml.YAMLError:
        return text


def name(value: Value, digits: int = 4) -> str:
    """Return a short text for a value. Numbers have `digits` significant digits, and classes have no module."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return value


def names(values: Sequence[Value]) -> list[str]:
    """Return a short text for each of some different values. The texts differ: digits are added where they must be."""
    short = [name(value) for value in values]
    return short if len({*short}) == len({*values}) else [name(value, 17) for value in values]


def in_order(values: Iterable[Value]) -> list[Value]:
    """Return the different values in order: first numbers, then texts."""
    return sorted({*values}, key=lambda value: (isinstance(value, str), value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
