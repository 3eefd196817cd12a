"""Compare the arguments in a configuration with the signatures of its classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

from hydra.utils import get_object

from gaussgan.config.dotted import walk
from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import nearest

logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # get_object logs its errors in several lines

PLAYER = "gaussgan.gan.player.Player"
RESERVED = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")  # Hydra reads these itself
OURS = {  # arguments that a run supplies itself
    "generator": {"rng"},
    "discriminator": {"rng"},
    "optimizer_d": {"params"},
    "optimizer_g": {"params"},
    "player_d": {"module", "loss", "optimizer", "scale", "leading"},
    "player_g": {"module", "loss", "optimizer", "scale", "leading"},
    "trainer": {"callbacks", "logger", "default_root_dir", "enable_autolog_hparams"},
}
HANDS_ON = {  # classes that pass their **kwargs to another class or function, during a run
    "pytorch_lightning.callbacks.model_summary.ModelSummary": "pytorch_lightning.utilities.model_summary.ModelSummary",
    "pytorch_lightning.loggers.tensorboard.TensorBoardLogger": "torch.utils.tensorboard.SummaryWriter",
    "pytorch_lightning.loggers.wandb.WandbLogger": "wandb.init",
    "pytorch_lightning.strategies.ddp.DDPStrategy": "torch.nn.parallel.DistributedDataParallel",
}


def check_arguments(config: Mapping[str, Any]) -> None:
    """Check that each class gets all arguments that it needs, and none that it does not have.

    Raises:
        ConfigError: for the first missing or unknown argument.
    """
    players = {name: {**config[name], "_target_": PLAYER} for name in ("player_d", "player_g")}
    for path, node in walk({**config, **players}):
        if not isinstance(node, Mapping) or "_target_" not in node:
            continue
        component, name = ".".join(path), str(node["_target_"]).rpartition(".")[2]
        if (takes := _arguments(node["_target_"], OURS.get(component, set()))) is None:
            continue
        for key in node:
            if key not in takes and key not in RESERVED:
                hint = nearest(f"{component}.{key}", (f"{component}.{other}" for other in takes))
                raise ConfigError(f"{component}.{key}: {name} has no argument {key}{hint}")
        if node.get("_args_") or (node.get("_partial_") and component not in OURS):
            continue  # arguments are given by position, or later
        for key, needed in takes.items():
            if needed and key not in node:
                raise ConfigError(f"{component}.{key} must be there: {name} needs it (it was removed, or never given)")


def _arguments(target: str, ours: set[str]) -> dict[str, bool] | None:
    """Return the names of the arguments of a class or function, and whether it needs them.

    Args:
        ours: arguments that a configuration cannot give.

    Returns:
        None if any name is possible because of **kwargs, or if the signature is unknown, as for a class written in C.
    """
    try:
        made = get_object(target)
        parameters = signature(made).parameters.values()
        takes = {
            p.name: p.default is p.empty for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        }
        if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
            receiver = get_object(HANDS_ON[f"{made.__module__}.{made.__qualname__}"])
            takes = {**dict.fromkeys(signature(receiver).parameters, False), **takes}
    except Exception:  # a class that cannot be imported is reported when it is made
        return None
    return {name: needed for name, needed in takes.items() if name not in ours}
