"""What a configuration may say, checked before torch is imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from gaussgan.config.dotted import flatten
from gaussgan.config.errors import ConfigError
from gaussgan.config.keys import is_component, nearest, unknown_to_hydra, unread
from gaussgan.config.per_replica import entries, may_vary
from gaussgan.config.schema import CLASS, KEYS, NOW, OF_LOGGERS, OPTIONAL, PARTS, RULES, each, number


@contextmanager
def reading() -> Iterator[None]:
    """What OmegaConf raises while a configuration is read, as a ConfigError."""
    try:
        yield
    except OmegaConfBaseException as error:
        raise unreadable(error, error.full_key) from error


def unreadable(error: OmegaConfBaseException, key: str | None) -> ConfigError:
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return ConfigError(f"{key} must be there (it was taken out)")
    what = str(error).splitlines()[0]  # below it are the key again and OmegaConf's types
    return ConfigError(f"{key}: {what}" if key else what)


@reading()
def check(cfg: DictConfig) -> None:
    """See that the parts and core values are there, of their type and in their range.

    Raises:
        ConfigError: naming the first key whose value is not, and what it may be.
    """
    check_parts(cfg)
    for key in unread(cfg):
        raise no_key(key, cfg)
    terms = [f"penalty.{term}" for term in cfg.penalty if OmegaConf.is_dict(cfg.penalty[term])]
    loggers = [f"logger.{name}" for name in cfg.get("logger") or ()]
    made = [*terms, *loggers, *(f"callbacks.{name}" for name in cfg.callbacks), *(["schedule"] if cfg.schedule else [])]
    required = RULES | {f"{part}._target_": CLASS for part in made}
    optional = OPTIONAL | {f"{term}.weight": number(0) for term in terms} | each(" ".join(loggers), OF_LOGGERS)
    optional |= {f"{part}._partial_": NOW for part in made}
    for key, (text, holds) in (required | optional).items():
        value = OmegaConf.select(cfg, key, default=_MISSING)
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        if value is _MISSING and key not in required:
            continue
        if value is _MISSING:
            raise ConfigError(f"{key} must be {text} (it was taken out)")
        try:
            singles = entries(key, value, cfg.replicas)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        for single in singles:
            if single is None and len(singles) > 1:
                raise ConfigError(f"{key} must be numbers where it is a list for replicas (got null among them)")
            if not holds(single):
                many = isinstance(single, list) and len(single) > 1 and may_vary(key) and not key.endswith(".betas")
                hint = f"; a list needs replicas={len(single)}" if many else ""
                raise ConfigError(f"{key} must be {text} (got {single!r}){hint}")
    if cfg.data.batch_size > cfg.data.num_examples:
        raise ConfigError(
            f"data.batch_size must be at most data.num_examples = {cfg.data.num_examples} (got {cfg.data.batch_size})"
        )
    if cfg.trainer.max_epochs is None and cfg.trainer.max_steps == -1:
        raise ConfigError("trainer.max_epochs must be a whole number of at least 1, or trainer.max_steps (got neither)")


_MISSING = object()


def check_parts(cfg: DictConfig) -> None:
    """
    Raises:
        ConfigError: naming the first part that is none.
    """
    for part in PARTS:
        if not OmegaConf.is_dict(value := OmegaConf.select(cfg, part)):
            got = "nothing" if value is None else value
            raise ConfigError(f"{part} must be {_how_to_choose(part, cfg)} (got {got})")
    loggers = cfg.get("logger") or OmegaConf.create()
    if not OmegaConf.is_dict(loggers):
        raise ConfigError(f"logger must be {_how_to_choose('logger', cfg)} (got {loggers!r})")
    for name in map(str, loggers):
        if not OmegaConf.is_dict(value := loggers[name]):
            raise ConfigError(
                f"logger.{name} must be the keys of a logger, such as logger.NAME._target_; ~logger.{name} takes it out"
                f" (got {'null' if value is None else value})"
            )


def _how_to_choose(part: str, cfg: DictConfig) -> str:
    """What a part must be, in words, with the options of its group where Hydra is there to tell them."""
    if part.startswith("player_"):
        return f"keys and values, such as {part}.clip_gradient=1"
    hydra: Any = cfg.get("hydra") or (HydraConfig.get() if HydraConfig.initialized() else None)
    if part.startswith("callbacks.") and hydra and (chosen := hydra.runtime.choices.get("callbacks", "…")) != "default":
        return f"there, as in callbacks=[default,{chosen}]"
    group = f"optimizer@{part}" if part.startswith("optimizer_") else part.partition(".")[0]
    options = _options(group.partition("@")[0])
    return f"a part chosen by its group, as {group}=NAME{' of ' if options else ''}{', '.join(options)}"


def check_hydra(cfg: DictConfig) -> None:
    """
    Raises:
        ConfigError: naming the first key that was added to Hydra's own, and that Hydra does not read.
    """
    for key in unknown_to_hydra(cfg.hydra):
        raise no_key(key, cfg)
    for name in ("launcher", "sweeper"):
        if not is_component(value := cfg.hydra[name]):
            options = ", ".join(_options(f"hydra/{name}"))
            raise ConfigError(f"hydra.{name} must be chosen as hydra/{name}=NAME, of {options} (got {value})")


def no_key(key: str, cfg: DictConfig) -> ConfigError:
    """Return the error for a key that nothing reads, with those that it may have been meant to be."""
    group, _, name = key.partition(".")
    entry = OmegaConf.select(cfg, key)
    choice, is_option = _choice_of(key), name.partition(".")[0] in _options(group)
    listed = name and group in ("callbacks", "logger", "penalty") and name in cfg[group]
    if listed and (group != "penalty" or OmegaConf.is_dict(entry)):
        got = "none" if OmegaConf.is_dict(entry) else "null" if entry is None else entry
        hint = choice if is_option else f"; ~{key} takes it out"
        return ConfigError(f"{key} must be a component with its _target_ (got {got}){hint}")
    known = flatten(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    keys = [other for other in known if other.partition(".")[0] in (KEYS if group != "hydra" else ("hydra",))]
    hydra = GlobalHydra.instance()
    groups = hydra.config_loader().list_groups("") if hydra.is_initialized() else []
    near = nearest(key, [*keys, *KEYS, *groups])
    return ConfigError(f"{key} is no key that anything reads{choice if is_option or not near else near}")


def _choice_of(key: str) -> str:
    """Name the option of a group that has a dotted key, or all of them."""
    group, _, name = key.partition(".")
    name = name.partition(".")[0]
    options = _options(group)
    if name in options:
        return f"; {group}=[default,{name}] has it" if group == "callbacks" else f"; {group}={name} has it"
    return f"; {group}=NAME is one of {', '.join(options)}" if options else ""


def _options(group: str) -> list[str]:
    """The options of a group where Hydra is there to tell them."""
    hydra = GlobalHydra.instance()
    here = hydra.is_initialized() and group != "hydra"  # whose options are of its own groups
    return hydra.config_loader().get_group_options(group) if here else []
