"""What a configuration gives to its classes, held against what they take."""

from __future__ import annotations

import dis
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import Parameter, isclass, signature, unwrap
from typing import Any

from hydra.utils import get_object

from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import nearest

logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # get_object logs in several lines what it raises

PLAYER = "gaussgan.gan.player.Player"
RESERVED = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")  # what Hydra reads itself
OURS = {  # arguments that a run gives itself
    "generator": {"rng"},
    "discriminator": {"rng"},
    "optimizer_d": {"params"},
    "optimizer_g": {"params"},
    "player_d": {"module", "loss", "optimizer", "scale", "leading"},
    "player_g": {"module", "loss", "optimizer", "scale", "leading"},
    "trainer": {"callbacks", "logger", "default_root_dir", "enable_autolog_hparams"},
}
HANDS_ON = {  # to what classes give their **kwargs later, during a run
    "ModelSummary": "pytorch_lightning.utilities.model_summary.ModelSummary",
    "TensorBoardLogger": "torch.utils.tensorboard.SummaryWriter",
    "WandbLogger": "wandb.init",
    "DDPStrategy": "torch.nn.parallel.DistributedDataParallel",
}


def check_arguments(config: Mapping[str, Any]) -> None:
    """See that each class gets what it needs, and nothing that it does not take.

    Raises:
        ConfigError: naming the first key that is missing, or is too much.
    """
    players = {name: {**config[name], "_target_": PLAYER} for name in ("player_d", "player_g")}
    for part, node in _made({**config, **players}):
        if (takes := arguments(part, node)) is None:
            continue
        for key in node:
            if key not in takes and key not in RESERVED:
                raise ConfigError(not_taken(f"{part}.{key}", node, takes))
        if node.get("_args_") or (node.get("_partial_") and part not in OURS):
            continue  # by position, or later
        for key, needed in takes.items():
            if needed and key not in node:
                name = node["_target_"].rpartition(".")[2]
                raise ConfigError(f"{part}.{key} must be there: {name} needs it (it was taken out, or never put in)")


def arguments(part: str, node: Mapping[str, Any]) -> dict[str, bool] | None:
    """Return what the class of a component takes from a configuration, and whether it needs it.

    Returns:
        None where it takes anything, as by **kwargs, or does not say what it takes, as a class in C.
    """
    try:
        made = get_object(node["_target_"])
        parameters = signature(made).parameters
        takes = {name: p.default is Parameter.empty for name, p in parameters.items() if _is_named(p)}
        if _uses_keywords(made, parameters):
            takes = {**dict.fromkeys(signature(get_object(HANDS_ON[made.__name__])).parameters, False), **takes}
    except Exception:  # also of a class that cannot be imported, which making it says
        return None
    return {name: needed for name, needed in takes.items() if name not in OURS.get(part, ())}


def not_taken(key: str, node: Mapping[str, Any], takes: Iterable[str]) -> str:
    part, name = key.rpartition(".")[0], node["_target_"].rpartition(".")[2]
    hint = nearest(key, (f"{part}.{other}" for other in takes))
    return f"{key} is nothing that {name} takes from a configuration{hint}"


def _uses_keywords(made: Callable[..., Any], parameters: Mapping[str, Parameter]) -> bool:
    """Whether a function has **kwargs and does anything with them."""
    code = getattr(unwrap(made.__init__ if isclass(made) else made), "__code__", None)
    names = [name for name, parameter in parameters.items() if parameter.kind is Parameter.VAR_KEYWORD]
    used = str([step.argval for step in dis.get_instructions(code)]) if code else None
    return bool(names) and (used is None or f"'{names[0]}'" in used)


def _is_named(parameter: Parameter) -> bool:
    return parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def _made(node: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All that has a _target_, by its dotted key."""
    if isinstance(node, Mapping) and "_target_" in node:
        yield key, node
    children = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for name, value in children:
        yield from _made(value, f"{key}.{name}".lstrip("."))
