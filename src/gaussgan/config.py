"""What a configuration may say, checked before torch is imported."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from gaussgan.tree import flatten
from gaussgan.variation import entries


class ConfigError(ValueError):
    """Something a person typed cannot be; the message is one line: where, what it must be, and what was given."""


Rule = tuple[str, Callable[[Any], bool]]


def whole(minimum: int) -> Rule:
    return f"a whole number of at least {minimum}", lambda v: type(v) is int and v >= minimum


def number(low: float, *, strict: bool = False) -> Rule:
    text = f"a finite number {'above' if strict else 'of at least'} {low:g}"
    return text, lambda v: _is_number(v) and (v > low if strict else v >= low)


def or_null(rule: Rule) -> Rule:
    text, holds = rule
    return f"{text}, or null", lambda v: v is None or holds(v)


BOOLEAN: Rule = ("true or false", lambda v: isinstance(v, bool))
FINITE: Rule = ("a finite number", lambda v: _is_number(v))
SHARE: Rule = ("a number from 0 to 1", lambda v: _is_number(v) and 0 <= v <= 1)
EPOCHS: Rule = (
    "a whole number of at least 1, or null beside a trainer.max_steps",
    lambda v: v is None or (type(v) is int and v >= 1),
)
STEPS: Rule = ("-1 (no limit) or a whole number of at least 1", lambda v: type(v) is int and (v == -1 or v >= 1))
WHOLE_EPOCHS: Rule = (
    "1.0: an epoch is num_examples / batch_size iterations; see max_steps",
    lambda v: v in (None, 1.0),
)
BETAS: Rule = (
    "two numbers from 0 up to, but not including, 1",
    lambda v: isinstance(v, list) and len(v) == 2 and all(_is_number(b) and 0 <= b < 1 for b in v),
)
PRECISION: Rule = (
    "a precision without loss scaling, such as 32, 64 or bf16-mixed",
    lambda v: not str(v).startswith("16"),
)

CHECKPOINT: Rule = ("null, or a checkpoint's file that exists", lambda v: v is None or Path(str(v)).is_file())

PARTS = (
    "data", "data.distribution", "generator", "discriminator", "objective", "penalty", "update", "optimizer_d",
    "optimizer_g", "schedule", "player_d", "player_g", "trainer", "callbacks", "callbacks.evaluation",
    "callbacks.record",
)  # fmt: skip
RULES: dict[str, Rule] = {
    "replicas": whole(1),  # first: the others may be lists of as many
    "max_replicas": or_null(whole(3)),  # so that no part is a single run
    "seed": whole(0),
    "threads": or_null(whole(1)),
    "ckpt_path": CHECKPOINT,
    "data.num_examples": whole(1),
    "data.batch_size": whole(1),
    "data.steps_per_execution": whole(1),
    "data.fresh": BOOLEAN,
    "optimizer_d.lr": number(0, strict=True),
    "optimizer_g.lr": number(0, strict=True),
    "trainer.max_epochs": EPOCHS,
    "trainer.max_steps": STEPS,
    "ema_half_life": or_null(number(0, strict=True)),
}
OPTIONAL: dict[str, Rule] = {  # of those parts that have them
    "callbacks.evaluation.exact": BOOLEAN,
    "data.instance_noise": number(0),
    "data.validation_samples": ("a whole number from 1 to 10,000", lambda v: type(v) is int and 1 <= v <= 10_000),
    "update.d_steps": whole(1),
    "update.generator_first": BOOLEAN,
    "update.weight": number(0),
    "update.alternating": BOOLEAN,
    "penalty.weight": number(0),
    "schedule.end": number(0),
    "player_d.clip_gradient": or_null(number(0, strict=True)),
    "player_g.clip_gradient": or_null(number(0, strict=True)),
    "player_d.clip_weights": or_null(number(0, strict=True)),
    "generator.in_features": whole(1),
    "generator.out_features": or_null(whole(1)),
    "discriminator.in_features": or_null(whole(1)),
    "discriminator.out_features": whole(1),
    "generator.std": number(0),
    "discriminator.std": number(0),
    **{
        f"optimizer_{player}.{key}": rule
        for player in "dg"
        for key, rule in {"eps": number(0), "betas": BETAS, "momentum": FINITE, "alpha": SHARE}.items()
    },
    "trainer.limit_train_batches": WHOLE_EPOCHS,
    "trainer.precision": PRECISION,
}


def check(cfg: DictConfig) -> None:
    """See that the parts and core values are there, of their type and in their range.

    Raises:
        ConfigError: naming the first key whose value is not, and what it may be.
    """
    for part in PARTS:
        if not OmegaConf.is_dict(value := OmegaConf.select(cfg, part)):
            group = f"optimizer@{part}" if part.startswith("optimizer") else part.partition(".")[0]
            raise ConfigError(f"{part} must be a part chosen by its group, as {group}=NAME (got {value})")
    weights = {f"penalty.{term}.weight": number(0) for term in cfg.penalty if OmegaConf.is_dict(cfg.penalty[term])}
    for key, (text, holds) in {**RULES, **OPTIONAL, **weights}.items():
        value = OmegaConf.select(cfg, key, default=_MISSING)
        value = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if value is _MISSING and key in RULES:
            raise ConfigError(f"{key} must be {text} (it was taken out)")
        if value is _MISSING:
            continue
        try:
            singles = entries(key, value, cfg.replicas)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        for single in singles:
            if single is None and len(singles) > 1:
                raise ConfigError(f"{key} must be numbers where it is a list for replicas (got null among them)")
            if not holds(single):
                raise ConfigError(f"{key} must be {text} (got {single!r})")
    if cfg.data.batch_size > cfg.data.num_examples:
        raise ConfigError(
            f"data.batch_size must be at most data.num_examples = {cfg.data.num_examples} (got {cfg.data.batch_size})"
        )
    if cfg.trainer.max_epochs is None and cfg.trainer.max_steps == -1:
        raise ConfigError("trainer.max_epochs must be a whole number of at least 1, or trainer.max_steps (got neither)")


_MISSING = object()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's result is a function of, as one level of dotted keys: not where, how fast or beside what it runs."""
    beside = (
        "trainer.",
        "logger.",
        "callbacks.",
        "threads",
        "ckpt_path",
        "run_dir",
        "data.steps_per_execution",
        "max_replicas",
    )
    flat = flatten(config)
    return {key: flat[key] for key in flat if key == "trainer.precision" or not key.startswith(beside)}


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as a dashboard shows it: a class by its name, and nothing that follows from another key."""
    flat = {key: value for key, value in recipe(config).items() if not key.endswith("_partial_")}
    named = {key.removesuffix("._target_"): v.rpartition(".")[2] for key, v in flat.items() if key.endswith("_target_")}
    values = {key: value for key, value in flat.items() if not key.endswith("_target_")}
    return {key: value for key, value in {**values, **named}.items() if key not in ("data.seed", "data.latent_dim")}


def one_line(error: BaseException) -> str:
    """An error as one line for a person; of Hydra's, what went wrong in which key, without its call stack."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = re.search(r"full_key: (\S+)", str(error))
        return f"{key[1]}: {one_line(error.__cause__)}" if key else one_line(error.__cause__)
    text = re.sub(r"\s*\n\s*", " ", str(error).strip())
    return text or type(error).__name__
