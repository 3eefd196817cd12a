"""Resolve the interpolations of a configuration, faster than OmegaConf does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, reduce
from operator import getitem
from typing import Any

from omegaconf import DictConfig, OmegaConf

KEY = re.compile(r"\$\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}")  # such as ${seed} or ${generator.in_features}


def resolved(cfg: DictConfig, plain: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a configuration as plain dicts and lists with interpolations resolved. The section `hydra` is left out.

    The result is the same as that of `OmegaConf.to_container` with resolve=True. OmegaConf spends most of its time on
    parsing interpolations. Here, the key in ${key} is looked up in the plain configuration, and OmegaConf resolves only
    interpolations of other forms.

    Args:
        cfg: the configuration.
        plain: the same configuration as plain dicts and lists with unresolved interpolations, if it is known.

    Raises:
        OmegaConfBaseException: when an interpolation cannot be resolved.
    """
    if plain is None:
        plain = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    task = {key: value for key, value in plain.items() if key != "hydra"}  # type: ignore[union-attr]

    @cache
    def without_hydra() -> DictConfig:
        return OmegaConf.masked_copy(cfg, [*task])

    def resolve(value: Any, path: tuple[Any, ...]) -> Any:
        if isinstance(value, dict):
            return {key: resolve(entry, (*path, key)) for key, entry in value.items()}
        if isinstance(value, list):
            return [resolve(entry, (*path, i)) for i, entry in enumerate(value)]
        if not (isinstance(value, str) and "${" in value):
            return value
        try:
            if match := KEY.fullmatch(value):
                return look_up(match[1])
            if not {"$", "\\"} & {*KEY.sub("", value)}:
                return KEY.sub(lambda match: str(look_up(match[1])), value)
        except LookupError:
            pass
        config = without_hydra() if "hydra" in value.replace("${hydra:", "") else cfg
        node: Any = reduce(getitem, path, config)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node

    def look_up(key: str) -> Any:
        """Return the resolved value of a dotted key. Raise a LookupError if it is missing, a mapping or a list."""
        names, value = key.split("."), task
        for name in names:
            if not isinstance(value, dict):
                raise LookupError
            value = value[name]
        if isinstance(value, dict | list) or value == "???":
            raise LookupError
        return resolve(value, tuple(names))

    resolved_task: dict[str, Any] = resolve(task, ())
    return resolved_task
