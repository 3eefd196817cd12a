"""Check that the arguments in a configuration fit the signatures of the classes that receive them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

from hydra.utils import get_object

from gaussgan.config.dotted import walk
from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import did_you_mean
from gaussgan.config.schema import KNOWN_DATA

logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # get_object logs each error in several lines

PLAYER = "gaussgan.gan.player.Player"
LABELS = ("label", "labels", "target", "targets", "classes", "num_classes", "y")  # of other programs
RESERVED = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")  # Hydra reads these itself
OF_THE_RUN = ("discriminator.packing",)  # keys beside the arguments of a class that the run reads itself
SUPPLIED = {  # component → the arguments that the run supplies; the configuration cannot give them
    "data": {"augment", "latents", "mix", "perturbation", "packing", "threads"},
    "generator": {"rng"},
    "discriminator": {"rng"},
    "optimizer_d": {"params"},
    "optimizer_g": {"params"},
    "player_d": {"module", "loss", "optimizer", "scale", "leading"},
    "player_g": {"module", "loss", "optimizer", "scale", "leading"},
    "trainer": {"callbacks", "logger", "default_root_dir", "enable_autolog_hparams"},
}
PASSES_KWARGS_TO = {  # class or function → the class or function to which it passes its **kwargs during a run
    **{f"gaussgan.data.files.{name}": KNOWN_DATA for name in ("file_data", "image_folder_data", "digits_data")},
    "pytorch_lightning.callbacks.model_summary.ModelSummary": "pytorch_lightning.utilities.model_summary.ModelSummary",
    "pytorch_lightning.loggers.tensorboard.TensorBoardLogger": "torch.utils.tensorboard.SummaryWriter",
    "pytorch_lightning.loggers.wandb.WandbLogger": "wandb.init",
    "pytorch_lightning.strategies.ddp.DDPStrategy": "torch.nn.parallel.DistributedDataParallel",
}


def check_arguments(config: Mapping[str, Any]) -> None:
    """Check that a configuration gives each class all required arguments, and no argument that the class does not have.

    A mapping with a `_target_` names a class, and its other keys are the arguments for the class.

    Raises:
        ConfigError: for the first missing or unknown argument.
    """
    players = {name: {**config[name], "_target_": PLAYER} for name in ("player_d", "player_g")}
    for path, node in walk({**config, **players}):
        if not isinstance(node, Mapping) or "_target_" not in node:
            continue
        component, name = ".".join(path), str(node["_target_"]).rpartition(".")[2]
        if (takes := _arguments(node["_target_"], SUPPLIED.get(component, set()))) is None:
            continue
        for key in node:
            if key not in takes and key not in RESERVED and f"{component}.{key}" not in OF_THE_RUN:
                if component == "data" and key in LABELS:
                    hint = "; networks have no labels as inputs, and data.exclude leaves out columns of labels"
                else:
                    hint = did_you_mean(f"{component}.{key}", (f"{component}.{other}" for other in takes))
                raise ConfigError(f"{component}.{key}: {name} has no argument {key}{hint}")
        if node.get("_args_") or (node.get("_partial_") and component not in SUPPLIED):
            continue  # the class may get arguments by position, or later
        for key, required in takes.items():
            if required and key not in node:
                raise ConfigError(f"{component}.{key} must be given: {name} needs it (it is missing)")


def _arguments(target: str, supplied: set[str]) -> dict[str, bool] | None:
    """Return the names of the arguments of a class or function, and for each argument whether it is required.

    Args:
        target: the dotted name of the class or function.
        supplied: the arguments to leave out, because the run supplies them.

    Returns:
        A dict from the name of each argument to True if the argument is required, or else to False. None if the class
        or function accepts any name through **kwargs and is not in PASSES_KWARGS_TO, or if its signature is unknown, as
        for some classes written in C.
    """
    try:
        function = get_object(target)
        parameters = signature(function).parameters.values()
        takes = {
            p.name: p.default is p.empty for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        }
        if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
            receiver = get_object(PASSES_KWARGS_TO[f"{function.__module__}.{function.__qualname__}"])
            takes = {**dict.fromkeys(signature(receiver).parameters, False), **takes}
    except Exception:  # if the class cannot be imported, making it reports the error
        return None
    return {name: required for name, required in takes.items() if name not in supplied}
