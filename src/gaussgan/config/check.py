"""Check a configuration before torch is imported."""

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
from gaussgan.config.schema import CLASS, KEYS, NOT_PARTIAL, OF_LOGGERS, OPTIONAL, RULES, SECTIONS, each, number


@contextmanager
def reading() -> Iterator[None]:
    """Turn the errors of OmegaConf into a ConfigError."""
    try:
        yield
    except OmegaConfBaseException as error:
        raise unreadable(error, error.full_key) from error


def unreadable(error: OmegaConfBaseException, key: str | None) -> ConfigError:
    """Return the ConfigError for an error of OmegaConf."""
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return ConfigError(f"{key} must be there (it was removed)")
    what = str(error).splitlines()[0]  # the next lines repeat the key and name OmegaConf's types
    return ConfigError(f"{key}: {what}" if key else what)


@reading()
def check(cfg: DictConfig) -> None:
    """Check that all keys are known, and that the values are there, with the right type and in their range.

    Raises:
        ConfigError: for the first key that is not; the message names what it must be.
    """
    check_sections(cfg)
    for key in unread(cfg):
        raise unknown_key(key, cfg)
    terms = [f"penalty.{term}" for term in cfg.penalty if OmegaConf.is_dict(cfg.penalty[term])]
    loggers = [f"logger.{name}" for name in cfg.get("logger") or ()]
    made = [*terms, *loggers, *(f"callbacks.{name}" for name in cfg.callbacks), *(["schedule"] if cfg.schedule else [])]
    required = RULES | {f"{component}._target_": CLASS for component in made}
    optional = OPTIONAL | {f"{term}.weight": number(0) for term in terms} | each(" ".join(loggers), OF_LOGGERS)
    optional |= {f"{component}._partial_": NOT_PARTIAL for component in made}
    for key, (text, holds) in (required | optional).items():
        value = OmegaConf.select(cfg, key, default=_MISSING)
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        if value is _MISSING and key in required:
            raise ConfigError(f"{key} must be {text} (it was removed)")
        singles = [] if value is _MISSING else entries(key, value, cfg.replicas)
        for single in singles:
            if single is None and len(singles) > 1:
                raise ConfigError(f"{key} must be a list of numbers, one for each replica (got null among them)")
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


def check_sections(cfg: DictConfig) -> None:
    """Check that the sections of a configuration, and each of its loggers, have keys.

    Raises:
        ConfigError: for the first one without; the message says how to choose it.
    """
    for section in SECTIONS:
        if not OmegaConf.is_dict(value := OmegaConf.select(cfg, section)):
            got = "nothing" if value is None else value
            raise ConfigError(f"{section} must be {_how_to_choose(section, cfg)} (got {got})")
    loggers = cfg.get("logger") or OmegaConf.create()
    if not OmegaConf.is_dict(loggers):
        raise ConfigError(f"logger must be {_how_to_choose('logger', cfg)} (got {loggers!r})")
    for name in map(str, loggers):
        if not OmegaConf.is_dict(value := loggers[name]):
            raise ConfigError(
                f"logger.{name} must be the keys of a logger, such as logger.NAME._target_; ~logger.{name} removes it"
                f" (got {'null' if value is None else value})"
            )


def _how_to_choose(section: str, cfg: DictConfig) -> str:
    """Return what a section must be, with the options of its group if Hydra can list them."""
    if section.startswith("player_"):
        return f"keys and values, such as {section}.clip_gradient=1"
    hydra: Any = cfg.get("hydra") or (HydraConfig.get() if HydraConfig.initialized() else None)
    if section.startswith("callbacks.") and hydra:
        chosen = hydra.runtime.choices.get("callbacks", "…")
        if chosen != "default":
            return f"there, as in callbacks=[default,{chosen}]"
    group = f"optimizer@{section}" if section.startswith("optimizer_") else section.partition(".")[0]
    options = _options(group.partition("@")[0])
    return f"chosen as {group}=NAME{', one of ' if options else ''}{', '.join(options)}"


def check_hydra(cfg: DictConfig) -> None:
    """Check that Hydra knows the keys below `hydra`, and that its launcher and sweeper are components.

    Raises:
        ConfigError: for the first key that is not.
    """
    for key in unknown_to_hydra(cfg.hydra):
        raise unknown_key(key, cfg)
    for name in ("launcher", "sweeper"):
        if not is_component(value := cfg.hydra[name]):
            options = ", ".join(_options(f"hydra/{name}"))
            raise ConfigError(f"hydra.{name} must be chosen as hydra/{name}=NAME, one of {options} (got {value})")


def unknown_key(key: str, cfg: DictConfig) -> ConfigError:
    """Return the error for a key that nothing reads, with the keys or options that may have been meant."""
    group, _, name = key.partition(".")
    choice, is_option = _choice_of(key), name.partition(".")[0] in _options(group)
    entry = OmegaConf.select(cfg, key)
    listed = name and group in ("callbacks", "logger", "penalty") and name in cfg[group]
    if listed and (group != "penalty" or OmegaConf.is_dict(entry)):
        got = "none" if OmegaConf.is_dict(entry) else "null" if entry is None else entry
        hint = choice if is_option else f"; ~{key} removes it"
        return ConfigError(f"{key} must be a component with its _target_ (got {got}){hint}")
    known = flatten(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    keys = [other for other in known if other.partition(".")[0] in (KEYS if group != "hydra" else ("hydra",))]
    hydra = GlobalHydra.instance()
    groups = hydra.config_loader().list_groups("") if hydra.is_initialized() else []
    near = nearest(key, [*keys, *KEYS, *groups])
    return ConfigError(f"unknown key {key}{choice if is_option or not near else near}")


def _choice_of(key: str) -> str:
    """Return a hint that names the group option with a dotted key, or all options of the group."""
    group, _, name = key.partition(".")
    name = name.partition(".")[0]
    options = _options(group)
    if name in options:
        return f"; {group}=[default,{name}] has it" if group == "callbacks" else f"; {group}={name} has it"
    return f"; {group}=NAME is one of {', '.join(options)}" if options else ""


def _options(group: str) -> list[str]:
    """Return the options of a group if Hydra can list them. The keys of `hydra` itself are not a group."""
    hydra = GlobalHydra.instance()
    return hydra.config_loader().get_group_options(group) if hydra.is_initialized() and group != "hydra" else []
