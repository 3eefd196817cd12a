"""The rule for each key of a configuration."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from gaussgan.config.compile_mode import CHOICES, typed_mode

Rule = tuple[str, Callable[[Any], bool]]  # a text that says what a value must be, and a function that checks it


def whole(minimum: int) -> Rule:
    return f"a whole number of at least {minimum}", lambda v: type(v) is int and v >= minimum


def number(low: float, *, strict: bool = False) -> Rule:
    text = f"a finite number {'above' if strict else 'of at least'} {low:g}"
    return text, lambda v: is_number(v) and (v > low if strict else v >= low)


def or_null(rule: Rule) -> Rule:
    """Return a rule that accepts null, and every value that the given rule accepts."""
    text, holds = rule
    return f"{text}, or null", lambda v: v is None or holds(v)


def only(value: Any, why: str) -> Rule:
    """Return the rule for a key with only one valid value.

    Args:
        value: the valid value.
        why: a text for the error message. It says why no other value is valid, or which key to use instead.
    """
    return f"{json.dumps(value)}: {why}", lambda v: v == value and (type(v) is type(value) or v == 0)


def prefixed(prefixes: str, rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Return the same rules for several components, as a dict from dotted keys, such as "data.seed", to rules.

    Args:
        prefixes: the dotted keys of the components, separated by spaces.
        rules: maps a key of a component, such as "seed", to its rule.
    """
    return {f"{prefix}.{key}": rule for prefix in prefixes.split() for key, rule in rules.items()}


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number. A boolean is not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_devices(value: Any) -> bool:
    if isinstance(value, str):  # Lightning accepts a number of devices or a list of device indices as text
        return value in ("auto", "-1") or (value != "0" and all(index.strip().isdigit() for index in value.split(",")))
    if isinstance(value, list):
        return bool(value) and all(type(device) is int and device >= 0 for device in value)
    return type(value) is int and (value >= 1 or value == -1)


def _is_duration(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"\d+:\d\d:\d\d:\d\d", value.strip()) is not None and re.search("[1-9]", value) is not None
    try:
        return timedelta(**value) > timedelta(0)
    except (TypeError, OverflowError):  # not a mapping, unknown units, or too long
        return False


def _is_columns(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(column, str) or type(column) is int for column in value)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(size) is int and size >= 1 for size in value)


BOOLEAN: Rule = ("true or false", lambda v: isinstance(v, bool))
FINITE: Rule = ("a finite number", is_number)
POSITIVE = number(0, strict=True)
FRACTION: Rule = ("a number from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1)
NO_PARTIAL: Rule = ("false: a run needs the component itself, not a function that makes it", lambda v: v is False)
CLASS: Rule = ("the dotted name of a class or function", lambda v: isinstance(v, str))
ACCELERATOR: Rule = ("auto, or the name of an accelerator such as cpu or gpu", lambda v: isinstance(v, str))
STEPS: Rule = ("-1 (no limit) or a whole number of at least 1", lambda v: type(v) is int and (v == -1 or v >= 1))
BETAS: Rule = (
    "two numbers from 0 up to, but not including, 1",
    lambda v: isinstance(v, list) and len(v) == 2 and all(is_number(b) and 0 <= b < 1 for b in v),
)
PRECISION: Rule = (
    "a precision without loss scaling: 32-true, 64-true, bf16-true or bf16-mixed",
    lambda v: v is None or str(v) in ("32-true", "64-true", "bf16-true", "bf16-mixed", "32", "64", "bf16"),
)
DEVICES: Rule = ("auto, -1 (all of them), a whole number of at least 1, or a list of device indices", _is_devices)
COMPILE: Rule = ("auto, on, off or explain", lambda v: typed_mode(v) in CHOICES)
TAGS: Rule = (
    "a list of words, such as [a,b]",
    lambda v: isinstance(v, list) and all(isinstance(tag, str) and tag.strip() for tag in v),
)
COLUMNS: Rule = (
    "null, or a list of names or numbers of columns, such as [a,b] or [0,1]",
    lambda v: v is None or _is_columns(v),
)
CHECKPOINT: Rule = ("null, or the path of an existing checkpoint", lambda v: v is None or Path(str(v)).is_file())

MAX_TIME: Rule = (
    "null, or a time above 0 as DD:HH:MM:SS or {hours: 1, minutes: 30}",
    lambda v: v is None or _is_duration(v),
)
ANY: Rule = ("a value that Lightning accepts", lambda v: True)  # Lightning checks the value in Trainer(…)

NO_VALIDATION = "there is no validation loop; every epoch ends with an evaluation"
ONE_OR_NULL = or_null(only(1.0, NO_VALIDATION))
CLIPPING = "gradients are clipped by player_d.clip_gradient and player_g.clip_gradient"
TRAINER: dict[str, Rule] = {  # all arguments of Lightning's Trainer
    "accelerator": ACCELERATOR,
    "strategy": ANY,
    "devices": DEVICES,
    "num_nodes": only(1, "a run uses one machine"),
    "precision": PRECISION,
    "logger": only(None, "loggers are chosen by logger=NAME"),
    "callbacks": only(None, "callbacks are chosen by callbacks=[default,NAME]"),
    "fast_dev_run": ("true, false or a number of iterations", lambda v: isinstance(v, bool) or whole(1)[1](v)),
    "max_epochs": or_null(whole(1)),
    "min_epochs": or_null(whole(1)),
    "max_steps": STEPS,
    "min_steps": or_null(whole(1)),
    "max_time": MAX_TIME,
    "limit_train_batches": or_null(only(1.0, "trainer.max_steps limits the number of iterations")),
    **dict.fromkeys(("limit_val_batches", "limit_test_batches", "limit_predict_batches"), ONE_OR_NULL),
    "overfit_batches": only(0.0, "data.num_examples=N sets a smaller training set"),
    "val_check_interval": ONE_OR_NULL,
    "check_val_every_n_epoch": only(1, NO_VALIDATION),
    "num_sanity_val_steps": or_null(only(0, NO_VALIDATION)),
    "log_every_n_steps": or_null(whole(0)),
    "enable_checkpointing": or_null(only(True, "callbacks.checkpoints saves the checkpoints from which a run resumes")),
    "enable_progress_bar": BOOLEAN,
    "enable_model_summary": or_null(BOOLEAN),
    "accumulate_grad_batches": only(1, "data.batch_size=N sets a larger batch"),
    **dict.fromkeys(("gradient_clip_val", "gradient_clip_algorithm"), only(None, CLIPPING)),
    "deterministic": ("true, false, warn or null", lambda v: v in (True, False, "warn", None)),
    "benchmark": or_null(BOOLEAN),
    "inference_mode": only(True, NO_VALIDATION),
    "use_distributed_sampler": only(True, "each process takes its shard of every batch"),
    "profiler": ANY,
    "detect_anomaly": BOOLEAN,
    "barebones": only(False, "make benchmark measures the speed of a run with its loggers"),
    "plugins": only(None, "use trainer.precision and trainer.strategy"),
    "sync_batchnorm": only(False, "batch norm needs trainer.devices=1"),
    "reload_dataloaders_every_n_epochs": only(0, "each epoch is shuffled; data.fresh=true draws new examples"),
    "default_root_dir": only(None, "hydra.run.dir sets the directory"),
    "enable_autolog_hparams": only(None, "each run already logs its hyperparameters"),
    "model_registry": only(None, "there is no registry; load_run reads a run's directory"),
}

COMPONENTS = (  # sections that have a _target_
    "data", "generator", "discriminator", "objective", "update", "optimizer_d", "optimizer_g",
    "trainer", "callbacks.evaluation", "callbacks.checkpoints", "callbacks.record",
)  # fmt: skip
GIVEN_DATA = "gaussgan.data.files."  # how the _target_ of given examples begins
KNOWN_DATA = "gaussgan.data.datamodule.DataModule"  # the _target_ of data from a known distribution
SINGLE = ("schedule", "latents")  # sections that are one component, or empty
SECTIONS = ("callbacks", "penalty", "augment", *SINGLE, "features", "player_d", "player_g", *COMPONENTS)
RULES: dict[str, Rule] = {
    "replicas": whole(1),  # checked first, because the lengths of lists in other keys depend on it
    "seed": whole(0),
    "threads": or_null(("a whole number from 1 to 1,024", lambda v: type(v) is int and 1 <= v <= 1024)),
    "compile": COMPILE,
    "tags": TAGS,
    "ckpt_path": CHECKPOINT,
    "init_from": ("null, or the path of a run or of a checkpoint", lambda v: v is None or isinstance(v, str)),
    "init_replica": or_null(whole(0)),
    "init_optimizers": ("fresh or keep", lambda v: v in ("fresh", "keep")),
    "ema_half_life": or_null(POSITIVE),
    "evaluate_every": or_null(whole(1)),
    **{f"{name}._target_": CLASS for name in COMPONENTS},
    **prefixed("data", dict.fromkeys(("batch_size", "steps_per_execution", "latent_dim"), whole(1))),
    "data.num_examples": or_null(whole(1)),  # null: all that a file has
    "data.fresh": BOOLEAN,
    "data.seed": whole(0),
    **prefixed("optimizer_d optimizer_g", {"lr": POSITIVE, "_partial_": ("true", lambda v: v is True)}),
    **{f"trainer.{key}": TRAINER[key] for key in ("max_epochs", "max_steps", "accelerator", "enable_progress_bar")},
}
KEYS = {*(key.partition(".")[0] for key in (*SECTIONS, *RULES)), "logger", "run_dir"}  # all keys of the top level
OPTIONAL: dict[str, Rule] = {  # rules for keys that may be missing
    **{f"{name}._partial_": NO_PARTIAL for name in COMPONENTS if not name.startswith("optimizer_")},
    **dict.fromkeys(("callbacks.evaluation.exact", "callbacks.evaluation.all_densities"), BOOLEAN),
    "callbacks.evaluation.quality": or_null(BOOLEAN),
    **dict.fromkeys(("callbacks.checkpoints.best", "callbacks.record.history"), BOOLEAN),
    "callbacks.checkpoints.seconds": number(0),
    "data.distribution._target_": CLASS,
    "data.distribution._partial_": NO_PARTIAL,
    "data.instance_noise": number(0),
    "data.path": ("the path of a file, or of a directory of images", lambda v: isinstance(v, str) and v != ""),
    "data.columns": COLUMNS,
    "data.exclude": COLUMNS,
    "data.key": or_null(("the name of an array in the file", lambda v: isinstance(v, str))),
    "data.standardize": BOOLEAN,
    "data.holdout": ("a number above 0 and below 1", lambda v: is_number(v) and 0 < v < 1),
    "data.split_seed": whole(0),
    "data.shape": or_null(("[C, H, W], three whole numbers of at least 1", _is_shape)),
    "data.size": whole(1),
    "data.channels": ("1 (grey) or 3 (colours)", lambda v: type(v) is int and v in (1, 3)),
    "data.validation_samples": ("a whole number from 1 to 10,000", lambda v: type(v) is int and 1 <= v <= 10_000),
    "data.distribution.seed": whole(0),
    **prefixed(
        "update update.inner",
        {
            "d_steps": whole(1),
            "batches": ("1 or 2", lambda v: type(v) is int and v in (1, 2)),
            **dict.fromkeys(("generator_first", "alternating", "align", "backpropagate"), BOOLEAN),
            **dict.fromkeys(("weight", "damping"), number(0)),
            "iterations": whole(1),
            "steps": whole(0),
            "k": whole(1),
            "alpha": ("a number above 0 and at most 1", lambda v: is_number(v) and 0 < v <= 1),
        },
    ),
    "penalty.weight": number(0),
    "objective.alternative": BOOLEAN,
    "schedule.end": FRACTION,
    "schedule.start": number(1e-9),  # during a run, numbers below 1e-308 are 0
    **prefixed("schedule", dict.fromkeys(("power_d", "power_g"), number(0))),
    "latents.window": whole(2),
    **prefixed("player_d player_g", {"clip_gradient": or_null(POSITIVE), "clip_weights": or_null(POSITIVE)}),
    "discriminator.packing": ("a whole number from 1 to 1,000", lambda v: type(v) is int and 1 <= v <= 1000),
    **prefixed(
        "generator discriminator",
        {
            "std": number(0),
            "mean": FINITE,
            **dict.fromkeys(("bias", "batch_norm", "spectral_norm", "tanh"), BOOLEAN),
            **dict.fromkeys(("in_features", "out_features"), or_null(whole(1))),
        },
    ),
    **prefixed("optimizer_d optimizer_g", {"eps": number(0), "betas": BETAS, "momentum": FINITE, "alpha": FRACTION}),
    **{f"trainer.{key}": rule for key, rule in TRAINER.items()},
}
PENALTY_RULES: dict[str, Rule] = {"weight": number(0), "std": number(0), "decay": FRACTION}
LOGGER_RULES: dict[str, Rule] = {
    "log_model": only(False, "checkpoints stay in the run directory"),
    "log_graph": only(False, "TensorBoard's graph shows one network, but a GAN has two"),
}
