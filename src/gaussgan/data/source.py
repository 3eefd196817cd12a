"""Make what a configuration says the data are from: a known distribution, or examples that are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.distributions import Distribution
from gaussgan.data.examples import Examples


def source_of(data: Mapping[str, Any]) -> Distribution:
    """Return the distribution of the section `data` of a configuration, or the examples that it names.

    Examples that were read a moment ago are not read again.

    Raises:
        ConfigError: when they cannot be made or read.
    """
    try:
        if "distribution" in data:
            return instantiate(data["distribution"])
        return instantiate({**data, "seed": 0}).distribution
    except InstantiationException as error:
        cause = error.__cause__ if "distribution" not in data and error.__cause__ else error
        raise data_error(cause, "data.distribution" if "distribution" in data else "data") from error


def data_error(error: BaseException, key: str = "data") -> ConfigError:
    """Return the error for data that cannot be made. Its message begins with a key."""
    line = one_line(error)
    return ConfigError(line if line.startswith("data.") else f"{key}: {line}")


def counted(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in which `data.num_examples` is a number. If it was null, the examples are counted.

    Raises:
        ConfigError: when they cannot be read.
    """
    data = config["data"]
    if data["num_examples"] is not None:
        return {**config}
    source = source_of(data)
    return {**config, "data": {**data, "num_examples": len(source.train) if isinstance(source, Examples) else 0}}
