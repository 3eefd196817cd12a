"""Which jobs of a sweep may be trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gaussgan.config.dotted import flatten
from gaussgan.config.per_replica import may_vary, structure

CALLBACKS = tuple(f"gaussgan.callbacks.{name}" for name in ("Evaluation", "Pictures", "Checkpoints", "Record"))
GAME = "gaussgan.callbacks.drawing.game"
LOGGERS = ("pytorch_lightning.loggers.", "gaussgan.loggers.csv_logger.")


def reason_alone(config: Mapping[str, Any]) -> str | None:
    """Why a job cannot be trained with others; None where it can.

    Args:
        config: the job's configuration, unresolved, with Hydra's own where it matters.
    """
    trainer = config["trainer"]
    for key, value, only in (
        ("replicas", config["replicas"], (1,)),
        ("ckpt_path", config["ckpt_path"], (None,)),
        ("trainer.devices", trainer.get("devices", 1), (1, "1")),
        ("trainer.strategy", trainer.get("strategy", "auto"), ("auto",)),
        ("trainer.fast_dev_run", trainer.get("fast_dev_run"), (None, False, 0)),
        ("trainer.log_every_n_steps", trainer.get("log_every_n_steps"), (0,)),
        ("trainer.max_time", trainer.get("max_time"), (None,)),  # which is each job's own
        ("trainer.profiler", trainer.get("profiler"), (None,)),
    ):
        if value not in only:
            return f"{key}={value}"
    for name, callback in config["callbacks"].items():
        if not isinstance(callback, Mapping) or callback.get("_target_") not in CALLBACKS:
            return f"callbacks.{name}"
        if callback["_target_"].endswith(".Pictures") and callback["draw"]["_target_"] != GAME:
            return f"callbacks.{name}"  # which was asked for, and may log numbers
    for name, logger in (config.get("logger") or {}).items():
        if not str(logger["_target_"]).startswith(LOGGERS):
            return f"logger.{name}"
    job = config.get("hydra", {}).get("job", {})
    if job.get("chdir"):
        return "hydra.job.chdir"
    if "${" in str(job.get("env_set")):  # what a process has once might be of each job
        return "hydra.job.env_set"
    return None


def kind(cfg: DictConfig, config: Mapping[str, Any]) -> str:
    """What jobs have in common that may be trained together: the structure of their configurations, and the values of
    what is interpolated in it, which may be of a number that varies. What follows from a job's directory or from Hydra
    is its own."""
    config = {key: value for key, value in config.items() if key != "hydra"}
    derived = [
        key
        for key, value in flatten(config).items()
        if "${" in (text := str(value)) and not may_vary(key) and "${run_dir}" not in text and "${hydra:" not in text
    ]
    return structure(config) + str({key: _resolved(cfg, key) for key in derived})


def spans(numbers: Sequence[int]) -> str:
    """Jobs by their numbers, as in #0–#3, #7."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"#{run[0]}" if len(run) == 1 else f"#{run[0]}–#{run[-1]}" for run in runs)


def _resolved(cfg: DictConfig, key: str) -> Any:
    try:
        value = OmegaConf.select(cfg, key)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except Exception:  # a job that cannot be resolved says so when it is run
        return None
