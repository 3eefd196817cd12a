"""Check the settings of a launcher, and import the library that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from gaussgan.config import extras
from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import did_you_mean
from gaussgan.config.schema import Rule

TEXT: Rule = ("a text that is not empty", lambda v: isinstance(v, str) and v.strip() != "")
TEXTS: Rule = ("a list of texts", lambda v: isinstance(v, list) and all(isinstance(text, str) for text in v))
MAPPING: Rule = ("a mapping of keys to values", lambda v: isinstance(v, dict))


def check_settings(settings: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Check that the settings of a launcher are known, complete and valid.

    Args:
        settings: nested plain dicts and lists.
        rules: maps the dotted key of each setting, such as "ray.init.address", to its rule.

    Raises:
        ConfigError: for the first setting that is unknown, missing or wrong.
    """
    given = _flatten(settings, rules)
    for key in given:
        if key not in rules:
            known = [f"hydra.launcher.{other}" for other in rules]
            raise ConfigError(f"unknown key hydra.launcher.{key}{did_you_mean(f'hydra.launcher.{key}', known)}")
    for key, (text, holds) in rules.items():
        if key not in given:
            raise ConfigError(f"hydra.launcher.{key} must be {text} (it was removed)")
        if not holds(given[key]):
            raise ConfigError(f"hydra.launcher.{key} must be {text} (got {given[key]!r})")


def import_extra(name: str) -> ModuleType:
    """Import a library of a launcher. The extra that installs it has the name of the library.

    Raises:
        ConfigError: when the library is not installed. The message names the extra that installs it.
    """
    package = name.partition(".")[0]
    return extras.import_extra(name, "hydra/launcher", package, package)


def _flatten(settings: Mapping[str, Any], rules: Mapping[str, Rule], prefix: str = "") -> dict[str, Any]:
    """Return the settings by their dotted keys. A mapping that has a rule of its own stays whole."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{prefix}{name}"
        section = isinstance(value, Mapping) and key not in rules
        flat |= _flatten(value, rules, f"{key}.") if section else {key: value}
    return flat
