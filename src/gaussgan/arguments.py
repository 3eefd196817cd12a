"""What a configuration gives to its classes, held against what they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any

from hydra.utils import get_object

from gaussgan.config import ConfigError

OURS = {  # arguments that a run gives itself
    "generator": {"rng"},
    "discriminator": {"rng"},
    "optimizer_d": {"params"},
    "optimizer_g": {"params"},
    "player_d": {"module", "loss", "optimizer", "scale", "leading"},
    "player_g": {"module", "loss", "optimizer", "scale", "leading"},
    "trainer": {"callbacks", "logger", "default_root_dir", "enable_autolog_hparams"},
}


def check_arguments(config: Mapping[str, Any]) -> None:
    """See that each class gets what it needs, and nothing that it does not take.

    Raises:
        ConfigError: naming the first key that is missing, or is too much.
    """
    players = {name: {"_target_": "gaussgan.game.player.Player", **config[name]} for name in ("player_d", "player_g")}
    for part, node in _made({**config, **players}):
        try:
            parameters = signature(get_object(node["_target_"])).parameters
        except Exception:  # none of these, which making it says; or one of C, which does not say what it takes
            continue
        name, ours = node["_target_"].rpartition(".")[2], OURS.get(part, set())
        takes = [key for key in parameters if key not in ours]
        anything = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
        for key in node:
            if not key.startswith("_") and not anything and key not in takes:
                close = get_close_matches(key, takes, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ConfigError(f"{part}.{key} is nothing that {name} takes from a configuration{hint}")
        if node.get("_args_") or (node.get("_partial_") and not ours):
            continue  # by position, or later
        for key in takes:
            if parameters[key].default is Parameter.empty and _is_named(parameters[key]) and key not in node:
                raise ConfigError(f"{part}.{key} must be there: {name} needs it (it was taken out, or never put in)")


def _is_named(parameter: Parameter) -> bool:
    return parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def _made(node: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All that has a _target_, by its dotted key."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield key, node
        for name, value in node.items():
            yield from _made(value, f"{key}.{name}".lstrip("."))
