"""Nested configurations: by dotted keys, and as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from omegaconf._utils import OmegaConfDumper


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


class _Dumper(getattr(yaml, "CDumper", yaml.Dumper)):  # type: ignore[misc]
    """libyaml's, where it is built in, with OmegaConf's rule for text."""


_Dumper.add_representer(str, OmegaConfDumper.str_representer)


def to_yaml(container: Any) -> str:
    """The text that OmegaConf.to_yaml gives, in half of the time."""
    return yaml.dump(container, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=_Dumper)
