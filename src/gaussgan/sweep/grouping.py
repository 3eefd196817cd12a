"""The jobs of a sweep that may be trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gaussgan.config.dotted import flatten
from gaussgan.config.per_replica import may_vary, structure

VALUES: dict[str, tuple[Any, ...]] = {  # the only values with which a job may be trained with others
    "replicas": (1,),
    "ckpt_path": (None,),
    "trainer.devices": (1, "1"),
    "trainer.strategy": ("auto",),
    "trainer.fast_dev_run": (None, False, 0),
    "trainer.log_every_n_steps": (0,),
    "trainer.max_time": (None,),  # each job has its own time
    "trainer.profiler": (None,),
}
CALLBACKS = tuple(f"gaussgan.callbacks.{name}" for name in ("Evaluation", "Checkpoints", "Record"))
PICTURES, GAME = "gaussgan.callbacks.Pictures", "gaussgan.callbacks.drawing.game"  # the default figure may be left out
LOGGERS = ("pytorch_lightning", "gaussgan")  # packages whose loggers may be told about a run after its end


def reason_alone(config: Mapping[str, Any]) -> str | None:
    """Return why a job cannot be trained with others, as a key or key=value; None where it can.

    Classes are compared by name: an import of torch would come before the environment of the job is set.

    Args:
        config: the job's configuration, unresolved, with Hydra's own.
    """
    trainer = {"devices": 1, "strategy": "auto", **config["trainer"]}
    settings = {**config, **{f"trainer.{key}": value for key, value in trainer.items()}}
    for key, values in VALUES.items():
        if (value := settings.get(key)) not in values:
            return f"{key}={value}"
    for name, callback in config["callbacks"].items():
        kind = callback.get("_target_") if isinstance(callback, Mapping) else None
        if kind not in CALLBACKS and not (kind == PICTURES and callback["draw"]["_target_"] == GAME):
            return f"callbacks.{name}"
    for name, logger in (config.get("logger") or {}).items():
        if str(logger["_target_"]).partition(".")[0] not in LOGGERS:
            return f"logger.{name}"
    job = config.get("hydra", {}).get("job", {})
    if job.get("chdir"):
        return "hydra.job.chdir"
    if "${" in str(job.get("env_set")):  # a process has one environment
        return "hydra.job.env_set"
    return None


def kind(cfg: DictConfig, config: Mapping[str, Any]) -> str:
    """Return what jobs must have in common to be trained together.

    These are the structure of the configuration, and the values of its interpolations, which may depend on a number
    that varies. Interpolations of the job's directory or of Hydra's own configuration are left out.

    Args:
        cfg: the job's configuration.
        config: the same, unresolved, as plain containers.
    """
    config = {key: value for key, value in config.items() if key != "hydra"}
    derived = [
        key
        for key, value in flatten(config).items()
        if "${" in (text := str(value)) and not may_vary(key) and "${run_dir}" not in text and "${hydra:" not in text
    ]
    return structure(config) + str({key: _resolved(cfg, key) for key in derived})


def spans(numbers: Sequence[int]) -> str:
    """Return the numbers of jobs as text, such as #0–#3, #7."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"#{run[0]}" if len(run) == 1 else f"#{run[0]}–#{run[-1]}" for run in runs)


def _resolved(cfg: DictConfig, key: str) -> Any:
    try:
        value = OmegaConf.select(cfg, key)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except Exception:  # the job is run alone and says what is wrong
        return None
