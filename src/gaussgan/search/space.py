"""Turn Hydra's overrides into a search space: `lr=tag(log,interval(0.005,0.2))` becomes a distribution of Optuna."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import ceil
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import LENGTH, NO_EFFECT

SHORT = 4  # significant digits of a number that a sampler proposes, so that people can type it
FORMS = "a,b or choice(a,b), range(1,8), interval(0.1,1), tag(log,interval(0.1,1)) or tag(int,interval(1,8))"
FORBIDDEN = {  # keys that cannot be searched, and why
    "seed": "each trial is trained with the hydra.sweeper.seeds seeds that begin at seed",
    "data.seed": "it follows seed",
    "replicas": "each trial is trained with hydra.sweeper.seeds replicas",
    "run_dir": "it follows hydra.sweep.dir",
}
ALLOWED = ("callbacks.", "trainer.precision", *(f"trainer.{key}" for key in LENGTH))  # they may affect the result


class Space(NamedTuple):
    """A search space.

    Attributes:
        distributions: maps the key of each override that is searched, such as "optimizer_d.lr" or "+key", to the
            distribution of its value. The choices of a categorical distribution are numbers and texts; each text is
            written as in an override.
        fixed: the overrides that are the same in all trials.
    """

    distributions: dict[str, BaseDistribution]
    fixed: list[str]

    def lines(self, values: Mapping[str, Any]) -> list[str]:
        """Return the overrides that set the given values, such as ["optimizer_d.lr=0.01"]."""
        return [f"{key}={text(values[key])}" for key in self.distributions if key in values]

    def short(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a trial with numbers that are short to type. They stay inside the space."""
        return {key: _short(self.distributions[key], value) for key, value in values.items()}

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Return whether each of the values lies inside the space."""
        return all(self.contains_value(key, value) for key, value in values.items())

    def contains_value(self, key: str, value: Any) -> bool:
        return _contains(self.distributions[key], value)


def parse_space(params: Mapping[str, Any], arguments: Iterable[str], parser: OverridesParser) -> Space:
    """Read a search space from hydra.sweeper.params and from the overrides of the command line.

    If a key occurs several times, the last override counts, as in Hydra's own sweeps.

    Args:
        params: maps keys to texts in the syntax of Hydra's overrides.
        arguments: the overrides of the command line, except those of Hydra's own keys.
        parser: Hydra's parser.

    Raises:
        ConfigError: when an override cannot be searched, or when no override has several values.
    """
    lines = [(f"{key}={text(value)}", "hydra.sweeper.params.") for key, value in params.items()]
    distributions: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    for line, where in [*lines, *((line, "") for line in arguments)]:
        override = _parse(line, where, parser)
        name = override.get_key_element()
        distributions.pop(name, None)
        fixed.pop(name, None)
        key = override.key_or_group
        if key.startswith("hydra"):
            raise ConfigError(f"{where}{key} must not be a key of Hydra: only settings of a run can be searched")
        if override.is_sweep_override():
            distributions[name] = _distribution(override, where)
        elif key in ("replicas", "run_dir", "data.seed"):
            raise ConfigError(f"{where}{key} must not be set in a search: {FORBIDDEN[key]}")
        else:
            fixed[name] = line
    if all(each.single() for each in distributions.values()):
        raise ConfigError(
            "hydra.sweeper.params must have a key with several values, as in"
            " 'optimizer_d.lr=tag(log,interval(0.005,0.2))' (there is nothing to search)"
        )
    return Space(distributions, [*fixed.values()])


def text(value: Any) -> str:
    """Return a value as it is written in an override."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value).replace(" ", "") if isinstance(value, list) else str(value)


def override_text(value: Any) -> str:
    """Return a nested value as it is written in an override: {a: [1, 2]} as {a:[1,2]}. Texts get quotes."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{override_text(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(override_text, value)) + "]"
    return "'" + value.replace("'", "\\'") + "'" if isinstance(value, str) else text(value)


def _parse(line: str, where: str, parser: OverridesParser) -> Override:
    try:
        return parser.parse_override(line)
    except HydraException as error:
        hint = "; write null without choice, as in key=null,100" if "null" in line else ""
        raise ConfigError(f"{where}{line} must be {FORMS} ({str(error).splitlines()[0]}){hint}") from error


def _distribution(override: Override, where: str) -> BaseDistribution:
    key, value, line = override.key_or_group, override.value(), f"{where}{override.input_line}"
    if key in FORBIDDEN:
        raise ConfigError(f"{where}{key} must not be searched: {FORBIDDEN[key]}")
    if f"{key}.".startswith(NO_EFFECT) and not key.startswith(ALLOWED):
        raise ConfigError(f"{where}{key} must not be searched: it does not affect the result of a run")
    tags: set[str] = getattr(value, "tags", set())
    if unknown := tags - {"log", "int"}:
        raise ConfigError(f"{line}: a tag must be log or int (got {', '.join(sorted(unknown))})")
    if getattr(value, "shuffle", False):
        raise ConfigError(f"{line} must be without shuffle: a search has no order")
    try:
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep):
            return _range(value, "log" in tags)
    except ValueError as error:
        raise ConfigError(f"{line}: {error}") from error
    if tags:
        raise ConfigError(f"{line}: a choice must have no tag (got {', '.join(sorted(tags))})")
    values = value.list if isinstance(value, ChoiceSweep) else [None] * len([*override.sweep_iterator()])
    choices = [
        each if isinstance(each, int | float) else str(name)
        for each, name in zip(values, override.sweep_string_iterator(), strict=True)
    ]
    return CategoricalDistribution([*dict.fromkeys(choices)])


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high = sweep.start, sweep.end
    if low is None or high is None or not low < high:
        raise ValueError(f"the end of an interval must be above its start (got {low} and {high})")
    log = "log" in sweep.tags
    if log and low <= 0:
        raise ValueError(f"an interval with the tag log must start above 0 (got {low})")
    if "int" in sweep.tags or (type(low) is int and type(high) is int):
        if low != int(low) or high != int(high):
            raise ValueError(f"an interval of whole numbers must start and end with one (got {low} and {high})")
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _range(sweep: RangeSweep, log: bool) -> BaseDistribution:
    # As in Hydra, but without the list of all values, which may not fit in memory.
    whole = all(isinstance(value, int) for value in (sweep.start, sweep.stop, sweep.step))
    start, stop, by = (Decimal(value or 0) for value in (sweep.start, sweep.stop, sweep.step))
    if by == 0 or (count := ceil((stop - start) / by)) < 1:
        raise ValueError("a range must have at least one value")
    ends = [(int if whole else float)(value) for value in (start, start + (count - 1) * by)]
    low, high, step = min(ends), max(ends), abs(sweep.step)
    if log and step != 1:
        raise ValueError(f"a range with the tag log must have step 1 (got {step})")
    if whole:
        return IntDistribution(int(low), int(high), log=log, step=int(step))
    if log:
        raise ValueError("a range with the tag log must consist of whole numbers; use tag(log,interval(…))")
    return FloatDistribution(low, high, step=step)


def _short(distribution: BaseDistribution, value: Any) -> Any:
    if not isinstance(distribution, FloatDistribution):
        return value
    digits = 12 if distribution.step else SHORT  # 0.1 + 0.2 becomes 0.3
    return min(max(float(f"{value:.{digits}g}"), distribution.low), distribution.high)


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if not isinstance(distribution, FloatDistribution | IntDistribution) or isinstance(value, bool):
        return False
    if not isinstance(value, int | float) or not distribution.low <= value <= distribution.high:
        return False
    if isinstance(distribution, IntDistribution):
        return value == int(value) and (value - distribution.low) % distribution.step == 0
    return distribution.step is None or abs((value - distribution.low) / distribution.step % 1) < 1e-9
