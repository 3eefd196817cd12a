"""Check a configuration without importing torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from gaussgan.config.dotted import flatten
from gaussgan.config.errors import ConfigError
from gaussgan.config.init_from import check_init_from
from gaussgan.config.keys import did_you_mean, is_component, unknown_to_hydra, unread_keys
from gaussgan.config.per_replica import entries, may_vary
from gaussgan.config.resolve import resolved
from gaussgan.config.schema import (
    ANY,
    CLASS,
    FINITE,
    FRACTION,
    GIVEN_DATA,
    KEYS,
    KNOWN_DATA,
    LOGGER_RULES,
    NO_PARTIAL,
    OPTIONAL,
    PENALTY_RULES,
    RULES,
    SECTIONS,
    SINGLE,
    prefixed,
)


@contextmanager
def translating_omegaconf_errors() -> Iterator[None]:
    """Convert OmegaConf's errors to ConfigErrors. Use this function as a decorator or in a with statement."""
    try:
        yield
    except OmegaConfBaseException as error:
        raise as_config_error(error, error.full_key) from error


def as_config_error(error: OmegaConfBaseException, key: str | None) -> ConfigError:
    """Convert an error of OmegaConf to a ConfigError.

    The message consists of the key, if it is known, and the first line of OmegaConf's message. If OmegaConf did not
    find the key or a value of it, the message says instead that the key must be set.

    Args:
        key: the dotted key that caused the error, or None if no key is known.
    """
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return ConfigError(f"{key} must be set (it was removed)")
    if isinstance(error, MissingMandatoryValue):
        return ConfigError(f"{key} must be set (it has no default)")
    what = str(error).splitlines()[0]  # the other lines repeat the key and name OmegaConf's types
    return ConfigError(f"{key}: {what}" if key else what)


@translating_omegaconf_errors()
def check(cfg: DictConfig, task: Mapping[str, Any] | None = None) -> None:
    """Check that a configuration has no unknown keys, and that the values for which there are rules are valid.

    The arguments of components are not searched for unknown keys; `check_arguments` does this. An unknown key is
    accepted if an interpolation in a known key refers to it.

    Args:
        cfg: the configuration.
        task: the same configuration as plain dicts and lists with interpolations resolved, if it is known.

    Raises:
        ConfigError: for the first key that is unknown or has a wrong value. For a wrong value, the message says what is
            valid.
    """
    check_sections(cfg)
    for key in unread_keys(cfg):
        raise unknown_key(key, cfg)
    terms = [f"penalty.{term}" for term in cfg.penalty if OmegaConf.is_dict(cfg.penalty[term])]
    augmentations = [f"augment.{name}" for name in cfg.augment if OmegaConf.is_dict(cfg.augment[name])]
    loggers = [f"logger.{name}" for name in cfg.get("logger") or ()]
    callbacks = [f"callbacks.{name}" for name in cfg.callbacks]
    components = [*terms, *augmentations, *loggers, *callbacks, *(section for section in SINGLE if cfg[section])]
    required = RULES | {f"{component}._target_": CLASS for component in components}
    optional = OPTIONAL | prefixed(" ".join(terms), PENALTY_RULES) | prefixed(" ".join(loggers), LOGGER_RULES)
    optional |= prefixed(" ".join(augmentations), {"probability": FRACTION, "angle": FINITE, "log_factor": FINITE})
    optional |= {f"{component}._partial_": NO_PARTIAL for component in components}
    rules = {key: rule for key, rule in (required | optional).items() if rule is not ANY}
    if task is None:
        with suppress(Exception):  # `_value` then raises the error for the first key that cannot be resolved
            task = resolved(cfg)
    for key, (text, holds) in rules.items():
        value = _value(cfg, task or {}, key)
        if value is _MISSING and key in required:
            raise ConfigError(f"{key} must be {text} (it was removed)")
        values = [] if value is _MISSING else entries(key, value, cfg.replicas)
        for single in values:
            if single is None and len(values) > 1:
                raise ConfigError(f"{key} must be a list of numbers, one for each replica (got null in the list)")
            if not holds(single):
                is_list = isinstance(single, list) and len(single) > 1 and may_vary(key) and not key.endswith(".betas")
                hint = f"; a list needs replicas={len(single)}" if is_list else ""
                raise ConfigError(f"{key} must be {text} (got {single!r}){hint}")
    check_init_from(cfg)
    if "distribution" in cfg.data and str(cfg.data._target_).startswith(GIVEN_DATA):
        raise ConfigError(
            "data.distribution cannot be set, because examples are given; ~data.distribution removes that of an"
            " experiment"
        )
    if cfg.data.num_examples is None and "distribution" in cfg.data:
        raise ConfigError("data.num_examples must be a whole number of at least 1 for a known distribution (got null)")
    if cfg.data.num_examples is not None and cfg.data.batch_size > cfg.data.num_examples:
        raise ConfigError(
            f"data.batch_size must be at most data.num_examples = {cfg.data.num_examples} (got {cfg.data.batch_size})"
        )
    if cfg.replicas > 1 and cfg.data.seed != cfg.seed:
        raise ConfigError(
            f"data.seed must be left as ${{seed}} with replicas={cfg.replicas}: each replica draws its own data (got"
            f" {cfg.data.seed})"
        )
    if cfg.trainer.max_epochs is None and cfg.trainer.max_steps == -1:
        raise ConfigError("trainer.max_epochs or trainer.max_steps must be a whole number of at least 1 (got neither)")


_MISSING = object()


def _value(cfg: DictConfig, task: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key, or _MISSING. OmegaConf is asked only if `task` does not have the key."""
    value: Any = task
    for name in key.split("."):
        value = value.get(name, _MISSING) if isinstance(value, Mapping) else _MISSING
    if value is _MISSING or value == "???":
        value = OmegaConf.select(cfg, key, default=_MISSING)
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return value


def check_sections(cfg: DictConfig) -> None:
    """Check that each section and each logger of a configuration is a mapping of keys to values.

    Raises:
        ConfigError: for the first section or logger that is not a mapping. The message says what to type instead.
    """
    known = OmegaConf.select(cfg, "data._target_") == KNOWN_DATA  # other data do not have a distribution
    for section in (*SECTIONS, *["data.distribution"] * known):
        if not OmegaConf.is_dict(value := OmegaConf.select(cfg, section)):
            got = "nothing" if value is None else value
            raise ConfigError(f"{section} must be {_choices_for(section, cfg)} (got {got})")
    loggers = cfg.get("logger") or OmegaConf.create()
    if not OmegaConf.is_dict(loggers):
        raise ConfigError(f"logger must be {_choices_for('logger', cfg)} (got {loggers!r})")
    for name in map(str, loggers):
        if not OmegaConf.is_dict(value := loggers[name]):
            raise ConfigError(
                f"logger.{name} must be a mapping with a _target_ key; ~logger.{name} removes it"
                f" (got {'null' if value is None else value})"
            )


def _choices_for(section: str, cfg: DictConfig) -> str:
    """Return the words that follow "SECTION must be" in an error message, such as "chosen as generator=NAME".

    These words tell the user what to type for the section. If they name a config group and Hydra can list its options,
    they list the options.
    """
    if section.startswith("player_"):
        return f"a mapping of keys to values, such as {section}.clip_gradient=1"
    hydra: Any = cfg.get("hydra") or (HydraConfig.get() if HydraConfig.initialized() else None)
    if section.startswith("callbacks.") and hydra:
        chosen = hydra.runtime.choices.get("callbacks", "…")
        if chosen != "default":
            return f"included, as in callbacks=[default,{chosen}]"
    group = f"optimizer@{section}" if section.startswith("optimizer_") else section.partition(".")[0]
    options = _group_options(group.partition("@")[0])
    return f"chosen as {group}=NAME{', one of ' if options else ''}{', '.join(options)}"


def check_hydra(cfg: DictConfig) -> None:
    """Check the section `hydra` of a configuration.

    Hydra must know all keys of the section, and hydra.launcher and hydra.sweeper must have a `_target_`.

    Raises:
        ConfigError: for the first key that is unknown or has a wrong value.
    """
    for key in unknown_to_hydra(cfg.hydra):
        raise unknown_key(key, cfg)
    for name in ("launcher", "sweeper"):
        if not is_component(value := cfg.hydra[name]):
            options = ", ".join(_group_options(f"hydra/{name}"))
            raise ConfigError(f"hydra.{name} must be chosen as hydra/{name}=NAME, one of {options} (got {value})")


def unknown_key(key: str, cfg: DictConfig) -> ConfigError:
    """Return the error for an unknown key. If possible, the message suggests what to type instead.

    Args:
        key: the unknown key, as a dotted key.
        cfg: the configuration that contains the key.
    """
    group, _, name = key.partition(".")
    option, options = name.partition(".")[0], _group_options(group)
    choice = f"[default,{option}]" if group == "callbacks" else option
    option_hint = f"; {group}={choice} adds it" if option in options else ""
    entry = OmegaConf.select(cfg, key)
    listed = name and group in ("callbacks", "logger", "penalty", "augment") and name in cfg[group]
    if listed and (group != "penalty" or OmegaConf.is_dict(entry)):
        got = "none" if OmegaConf.is_dict(entry) else "null" if entry is None else entry
        hint = option_hint or f"; ~{key} removes it"
        return ConfigError(f"{key} must be a component with a _target_ (got {got}){hint}")
    known = flatten(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    keys = [other for other in known if other.partition(".")[0] in (KEYS if group != "hydra" else ("hydra",))]
    hydra = GlobalHydra.instance()
    groups = hydra.config_loader().list_groups("") if hydra.is_initialized() else []
    all_options = f"; {group}=NAME is one of {', '.join(options)}" if options else ""
    return ConfigError(f"unknown key {key}{option_hint or did_you_mean(key, [*keys, *KEYS, *groups]) or all_options}")


def _group_options(group: str) -> list[str]:
    """Return the options of a config group. Return [] for the group "hydra", or if Hydra is not initialized."""
    hydra = GlobalHydra.instance()
    return hydra.config_loader().get_group_options(group) if hydra.is_initialized() and group != "hydra" else []
