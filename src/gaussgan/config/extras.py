"""Import libraries that only some users need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from gaussgan.config.errors import ConfigError


def import_extra(module: str, what: str, package: str, extra: str) -> ModuleType:
    """Import a module of a library that only some users need.

    Args:
        module: the name of the module.
        what: what needs the library. The error message begins with it.
        package: the name of the library.
        extra: the extra of gaussgan that installs the library.

    Raises:
        ConfigError: when the library is not installed. The message names the extra that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{what} needs the package {package}: pip install -c constraints.txt -e '.[{extra}]' ({error})"
        ) from error
