"""An override that Hydra refuses, and why, in one sentence: what Hydra raises tells neither by an attribute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from itertools import islice

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gaussgan.config.check import check, check_hydra, check_parts, no_key, unreadable
from gaussgan.config.dotted import flatten
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.keys import is_misspelt, nearest
from gaussgan.setup.arguments import check_arguments

MOST_JOBS = 20  # of a sweep, that are composed again; each takes an eighth of a second


def explain(
    error: Exception,
    overrides: Sequence[str],
    config_path: str,
    config_name: str,
    elsewhere: str | None = None,
    sweeping: bool = False,
) -> str:
    """What was wrong in one line: the override, and what it may be; of any other error what it says itself.

    Args:
        elsewhere: another directory in which Hydra looked for configurations.
    """
    if isinstance(error, OmegaConfBaseException):
        return str(unreadable(error, error.full_key))
    if isinstance(error, ConfigError):
        return str(error)
    if elsewhere or any(line.startswith("hydra.searchpath") for line in overrides):
        return one_line(error)  # for what is found there, it would not be found again
    with hydra.initialize_config_dir(config_path, version_base="1.3"):
        try:
            parsed = [_parsed(line) for line in overrides]
            if (several := [each for each in parsed if each.is_sweep_override()]) and not sweeping:
                line = several[0].input_line
                return f"{line} names several values: -m runs one after another, and a list is in brackets"
            chosen = [*hydra.compose(config_name, return_hydra_config=True).hydra.runtime.choices]
            reasons = (_reason(job, config_name, chosen) for job in islice(_jobs(parsed), MOST_JOBS))
            return next(filter(None, reasons), one_line(error))
        except ConfigError as reason:
            return str(reason)
        except Exception:  # most likely the same once more, as of what cannot be parsed
            return one_line(error)


def _parsed(line: str) -> Override:
    """
    Raises:
        ConfigError: where it is no override.
    """
    try:
        return OverridesParser.create().parse_override(line)
    except HydraException as error:
        raise ConfigError(
            f"{line} must be key=value; a value with = or spaces stands in quotes of its own, as in"
            f" 'key=\"a=b\"' ({str(error).splitlines()[0]})"
        ) from error


def _jobs(overrides: Sequence[Override]) -> Iterator[list[Override]]:
    """The overrides of single jobs, in which each value of a sweep occurs; of short lists, as of options, first."""
    parse = OverridesParser.create().parse_override
    values = [
        [parse(f"{each.get_key_element()}={value}") for value in each.sweep_string_iterator()]
        if each.is_discrete_sweep()
        else [each]
        for each in overrides
    ]
    first = [choices[0] for choices in values]
    yield first
    for i, choices in sorted(enumerate(values), key=lambda pair: len(pair[1])):
        yield from ([*first[:i], other, *first[i + 1 :]] for other in choices[1:])


def _reason(overrides: Sequence[Override], config_name: str, chosen: Sequence[str]) -> str | None:
    """What is wrong with a job.

    Args:
        chosen: for what a group is chosen by default.
    """
    loader = GlobalHydra.instance().config_loader()
    choices = [
        each for each in overrides if loader.get_group_options(each.key_or_group) and not isinstance(each.value(), dict)
    ]
    for choice in choices:
        if reason := _misplaced(choice, chosen, loader.get_group_options(choice.key_or_group)):
            return reason
    cfg = hydra.compose(config_name, [str(each.input_line) for each in choices], return_hydra_config=True)
    values = [each for each in overrides if each not in choices]
    for i, override in enumerate(values):
        before = deepcopy(cfg)
        try:
            ConfigLoaderImpl._apply_overrides_to_config([override], cfg)
        except ConfigCompositionException as error:
            return _unfit(override, error, before, chosen, values[i + 1 :])
    return None


def _misplaced(choice: Override, chosen: Sequence[str], options: Sequence[str]) -> str | None:
    """Of a choice that its group does not have, or for what the group is not chosen for."""
    group, value = choice.key_or_group, choice.value()
    name = group if choice.package is None else f"{group}@{choice.package}"
    places = sorted(place for place in chosen if place == group or place.startswith(f"{group}@"))
    if choice.is_delete() and name in places:
        return None
    if name not in places and places and not choice.is_add():
        ways = " or ".join(f"{place}=NAME" for place in places)
        return f"{group} must be chosen as {ways}, of {', '.join(options)} (got {choice.input_line})"
    if not all(each in options for each in (value if isinstance(value, list) else [value])):
        plugins = "; others are plugins, each with a package of its own" if group.startswith("hydra/") else ""
        return f"{name} must be one of {', '.join(options)} (got {'null' if value is None else value}){plugins}"
    if name in places and choice.is_add():
        return f"{name} is chosen already: leave out the + (got {choice.input_line})"
    return None


def _unfit(
    override: Override, error: Exception, cfg: DictConfig, chosen: Sequence[str], later: Sequence[Override]
) -> str:
    """Of a value that cannot be set in a configuration."""
    check_parts(cfg)
    key, line = override.key_or_group, override.input_line
    known = flatten(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    if key in known and override.is_delete():
        return f"{key} cannot be taken out (it is {'null' if known[key] is None else known[key]})"
    if isinstance(error.__cause__, OmegaConfBaseException) and key in known:
        return str(unreadable(error.__cause__, key))
    if key in known and override.is_add():
        return f"{key} is there already: leave out the + (got {line})"
    if override.is_add() or key in known or (override.is_delete() and OmegaConf.select(cfg, key) is not None):
        return one_line(error)
    if "/" in key or override.package:
        near = [place for place in chosen if place.partition("@")[0] in key.split("/")]
        return f"{key} is no group" + (f"; did you mean {' or '.join(near)}?" if near else nearest(key, chosen))
    if override.is_delete() or is_misspelt(key, known):
        return str(no_key(key, cfg))
    for each in later:
        with suppress(ConfigCompositionException):
            ConfigLoaderImpl._apply_overrides_to_config([each], cfg)
    ConfigLoaderImpl._apply_overrides_to_config([_parsed(f"+{line}")], cfg)
    check(cfg)
    check_hydra(cfg)
    check_arguments(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    new = next((each for each in flatten({key: override.value()}) if each not in known), key)
    return f"{new} is not in this configuration: +{line} adds it"
