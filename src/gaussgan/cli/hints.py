"""Explain in one line why Hydra refuses an override, and what to type instead."""

from __future__ import annotations

from argparse import Namespace
from bisect import bisect
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gaussgan.config.check import as_config_error, check, check_hydra, check_sections, unknown_key
from gaussgan.config.dotted import flatten
from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.keys import did_you_mean, is_misspelt
from gaussgan.setup.arguments import check_arguments

MAX_JOBS = 20  # the search for a mistake composes at most this many jobs of a sweep; each takes 0.1 s


def explain(error: Exception, typed: Namespace, config_path: str, config_name: str) -> str:
    """Return one line that explains an error of Hydra. It names the wrong override and says what to type instead.

    If no wrong override is found, return the message of the error as one line.

    Args:
        error: the error that Hydra raised.
        typed: the command line, as parsed by Hydra's parser.
        config_path: the directory of the configuration files.
        config_name: the name of the main configuration file.
    """
    if isinstance(error, OmegaConfBaseException):
        return str(as_config_error(error, error.full_key))
    other_paths = typed.config_dir or any(line.startswith("hydra.searchpath") for line in typed.overrides)
    if isinstance(error, ConfigError) or other_paths:  # the code below finds only our own configuration files
        return one_line(error)
    with hydra.initialize_config_dir(config_path, version_base="1.3"):
        try:
            parsed = [_parse_override(line) for line in typed.overrides]
            for each in parsed:
                if each.is_sweep_override() and not typed.multirun:
                    return f"{each.input_line} gives several values: add -m for a sweep, or put a list in brackets"
            chosen = [*hydra.compose(config_name, return_hydra_config=True).hydra.runtime.choices]
            reasons = (_explain_job(job, config_name, chosen) for job in islice(_jobs(parsed), MAX_JOBS))
            return next(filter(None, reasons), one_line(error))
        except ConfigError as reason:
            return str(reason)
        except Exception:  # most likely, composing raised the same error again
            return one_line(error)


def _parse_override(line: str) -> Override:
    try:
        return OverridesParser.create().parse_override(line)
    except HydraException as error:
        raise ConfigError(
            f"{line} must be key=value; a value with = or spaces needs its own quotes, as in"
            f" 'key=\"a=b\"' ({str(error).splitlines()[0]})"
        ) from error


def _jobs(overrides: Sequence[Override]) -> Iterator[list[Override]]:
    """Yield some jobs of a sweep, each as a list of overrides. Each value of the sweep occurs in at least one job.

    In the first job, every override has its first value. Each later job differs from the first job in one override.
    The later jobs are ordered by this override: overrides with few values come before overrides with many values.

    Args:
        overrides: the overrides of the command line.
    """
    values = [
        [_parse_override(f"{each.get_key_element()}={value}") for value in each.sweep_string_iterator()]
        if each.is_discrete_sweep()
        else [each]
        for each in overrides
    ]
    first = [choices[0] for choices in values]
    yield first
    for i, choices in sorted(enumerate(values), key=lambda pair: len(pair[1])):
        yield from ([*first[:i], other, *first[i + 1 :]] for other in choices[1:])


def _explain_job(job: Sequence[Override], config_name: str, chosen: Sequence[str]) -> str | None:
    """Return one line about the first mistake in the overrides of a job, or None if there is no mistake.

    Args:
        job: the overrides of the job.
        config_name: the name of the main configuration file.
        chosen: the config groups, such as "generator" and "optimizer@optimizer_d", that are in the defaults of the main
            configuration file or of Hydra's own configuration.
    """
    loader = GlobalHydra.instance().config_loader()
    choices, values = [], []
    for each in job:
        options = loader.get_group_options(each.key_or_group)
        if not options or isinstance(each.value(), dict):
            values.append(str(each.input_line))
        elif reason := _wrong_choice(each, chosen, options):
            return reason
        else:
            choices.append(str(each.input_line))
    fails = partial(_fails_to_compose, config_name)
    if not fails([*choices, *values]):
        return None
    i = bisect(range(len(values)), False, key=lambda i: fails([*choices, *values[: i + 1]]))
    good, line, later = [*choices, *values[:i]], values[i], values[i + 1 :]
    before, override = hydra.compose(config_name, good, return_hydra_config=True), _parse_override(line)
    try:
        hydra.compose(config_name, [*good, line])
    except ConfigCompositionException as error:
        if reason := _wrong_value(override, error, before, chosen):
            return reason
    added = [*good, f"+{line}"]
    cfg = hydra.compose(config_name, added if fails([*added, *later]) else [*added, *later], return_hydra_config=True)
    check(cfg)
    check_hydra(cfg)
    check_arguments(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    known = flatten(OmegaConf.to_container(before, resolve=False))  # type: ignore[arg-type]
    key = override.key_or_group
    new = next((each for each in flatten({key: override.value()}) if each not in known), key)
    return f"{new} is not in this configuration: +{line} adds it"


def _fails_to_compose(config_name: str, lines: list[str]) -> bool:
    try:
        hydra.compose(config_name, lines, return_hydra_config=True)
    except ConfigCompositionException:
        return True
    return False


def _wrong_choice(choice: Override, chosen: Sequence[str], options: Sequence[str]) -> str | None:
    """Return one line about the mistake in an override of a config group, or None if there is no mistake.

    Args:
        choice: an override that chooses, adds or removes an option of a config group.
        chosen: the argument `chosen` of `_explain_job`.
        options: all options of the config group that `choice` overrides.
    """
    group, value = choice.key_or_group, choice.value()
    name = group if choice.package is None else f"{group}@{choice.package}"
    places = sorted(place for place in chosen if place == group or place.startswith(f"{group}@"))
    if choice.is_delete() and name in places:
        return None
    if name not in places and places and not choice.is_add():
        ways = " or ".join(f"{place}=NAME" for place in places)
        return f"{group} must be chosen as {ways}, one of {', '.join(options)} (got {choice.input_line})"
    if not all(each in options for each in (value if isinstance(value, list) else [value])):
        plugins = "; other names need a plugin package" if group.startswith("hydra/") else ""
        return f"{name} must be one of {', '.join(options)} (got {'null' if value is None else value}){plugins}"
    if name in places and choice.is_add():
        return f"{name} is already chosen: leave out the + (got {choice.input_line})"
    return None


def _wrong_value(override: Override, error: Exception, cfg: DictConfig, chosen: Sequence[str]) -> str | None:
    """Return one line that says why Hydra refuses an override that sets, adds or removes a value.

    If the only reason is that the configuration does not have the key, and no similar key exists, return None. A +
    before the override may then help.

    Args:
        override: the override that Hydra refuses.
        error: the error that Hydra raises for the override.
        cfg: the configuration before the override is applied.
        chosen: the argument `chosen` of `_explain_job`.
    """
    check_sections(cfg)
    key, line = override.key_or_group, override.input_line
    known = flatten(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    if key in known and override.is_delete():
        return f"{key} cannot be removed (it is {'null' if known[key] is None else known[key]})"
    if isinstance(error.__cause__, OmegaConfBaseException) and key in known:
        return str(as_config_error(error.__cause__, key))
    if key in known and override.is_add():
        return f"{key} already exists: leave out the + (got {line})"
    if override.is_add() or key in known or (override.is_delete() and OmegaConf.select(cfg, key) is not None):
        return one_line(error)
    if "/" in key or override.package:
        near = [place for place in chosen if place.partition("@")[0] in key.split("/")]
        return f"unknown group {key}" + (f"; did you mean {' or '.join(near)}?" if near else did_you_mean(key, chosen))
    return str(unknown_key(key, cfg)) if override.is_delete() or is_misspelt(key, known) else None
