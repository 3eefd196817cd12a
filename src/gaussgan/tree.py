"""Nested configurations by dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration as one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def put(config: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of a nested configuration, whose parents are there."""
    *parents, name = key.split(".")
    for parent in parents:
        config = config[parent]
    config[name] = value
