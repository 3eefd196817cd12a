"""Find the jobs of a sweep that can be trained together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from gaussgan.config.per_replica import may_vary, structure

VALUES: dict[str, tuple[Any, ...]] = {  # key → allowed values; a job with any other value is trained alone
    "replicas": (1,),
    "ckpt_path": (None,),
    "data.seed": ("${seed}",),  # replicas draw their data by their seeds
    "trainer.devices": (1, "1"),
    "trainer.strategy": ("auto",),
    "trainer.fast_dev_run": (None, False, 0),
    "trainer.log_every_n_steps": (0,),
    "trainer.max_time": (None,),  # it limits the time of one job
    "trainer.profiler": (None,),
}
# Frames are not recorded of jobs that are trained together.
CALLBACKS = tuple(f"gaussgan.callbacks.{name}" for name in ("Evaluation", "Frames", "Checkpoints", "Record"))
# A job with the default picture may be trained together with other jobs. In this case the picture is not drawn.
PICTURES, GAME = "gaussgan.callbacks.Pictures", "gaussgan.callbacks.drawing.game"
LOGGERS = ("pytorch_lightning", "gaussgan")  # packages whose loggers can log a whole run after its end


def reason_alone(config: Mapping[str, Any]) -> str | None:
    """Return the setting because of which a job must be trained alone, as "KEY" or "KEY=VALUE".

    Return None if the job may be trained together with other jobs. Classes are compared by name and not imported,
    because torch must not be imported before the job's environment variables are set.

    Args:
        config: the job's configuration, including Hydra's own, as plain dicts and lists with unresolved interpolations.
    """
    trainer = {"devices": 1, "strategy": "auto", **config["trainer"]}
    settings = {
        **config,
        "data.seed": config["data"]["seed"],
        **{f"trainer.{key}": value for key, value in trainer.items()},
    }
    for key, values in VALUES.items():
        if (value := settings.get(key)) not in values:
            return f"{key}={value}"
    for name, callback in config["callbacks"].items():
        target = callback.get("_target_") if isinstance(callback, Mapping) else None
        if target not in CALLBACKS and not (target == PICTURES and callback["draw"]["_target_"] == GAME):
            return f"callbacks.{name}"
    for name, logger in (config.get("logger") or {}).items():
        if str(logger["_target_"]).partition(".")[0] not in LOGGERS:
            return f"logger.{name}"
    job = config.get("hydra", {}).get("job", {})
    if job.get("chdir"):
        return "hydra.job.chdir"
    if "${" in str(job.get("env_set")):  # all jobs that are trained together share one environment
        return "hydra.job.env_set"
    return None


def group_key(config: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    """Return a text that identifies the group of jobs with which a job can be trained together.

    Two jobs belong to the same group if their texts are equal. The text consists of two parts. The first part is the
    configuration without the numbers that may differ between replicas. The second part is the values of the
    configuration's interpolations, because such a value may depend on a number that the first part omits.
    Interpolations that use the job's directory or Hydra's own configuration are ignored, and so are those in keys that
    may differ between replicas.

    Args:
        config: the job's configuration as plain dicts and lists with unresolved interpolations.
        task: the same configuration with interpolations resolved.
    """
    config = {key: value for key, value in config.items() if key != "hydra"}
    return structure(config) + str(dict(_derived(config, task)))


def job_ranges(numbers: Sequence[int]) -> str:
    """Format ascending job numbers as a text with ranges: [0, 1, 2, 3, 7] as "#0–#3, #7"."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"#{run[0]}" if len(run) == 1 else f"#{run[0]}–#{run[-1]}" for run in runs)


def _derived(config: Mapping[str, Any], task: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each interpolation that `group_key` does not ignore."""
    for name, value in config.items():
        key, text = f"{prefix}{name}", str(value)
        if isinstance(value, Mapping):
            yield from _derived(value, task[name], f"{key}.")
        elif "${" in text and not may_vary(key) and "${run_dir}" not in text and "${hydra:" not in text:
            yield key, task[name]
