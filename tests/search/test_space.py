"""Hydra's override syntax becomes a search space of Optuna, and everything else is refused in one line."""

import pytest

pytest.importorskip("optuna")

from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from gaussgan.config.errors import ConfigError
from gaussgan.search.space import Space, parse_space

pytestmark = pytest.mark.extra


def space(*lines: str, **params: object) -> Space:
    return parse_space(params, lines, OverridesParser.create())


@pytest.mark.parametrize(
    ("line", "distribution"),
    [
        ("lr=tag(log,interval(0.005,0.2))", FloatDistribution(0.005, 0.2, log=True)),
        ("lr=tag(log, interval(0.005, 0.2))", FloatDistribution(0.005, 0.2, log=True)),
        ("lr=interval(0,1)", FloatDistribution(0.0, 1.0)),
        ("n=tag(int, interval(1,8))", IntDistribution(1, 8)),
        ("n=int(interval(1,8))", IntDistribution(1, 8)),
        ("n=tag(int,log,interval(1,64))", IntDistribution(1, 64, log=True)),
        ("n=range(1,8)", IntDistribution(1, 7)),  # as in a plain sweep of Hydra, the end is left out
        ("n=range(1,9,3)", IntDistribution(1, 7, step=3)),
        ("n=range(8,1,-1)", IntDistribution(2, 8)),
        ("n=range(0,10000000000)", IntDistribution(0, 10**10 - 1)),
        ("x=range(0.1,0.3,0.1)", FloatDistribution(0.1, 0.2, step=0.1)),
        ("x=range(0,0.5,0.25)", FloatDistribution(0.0, 0.25, step=0.25)),
        ("u=choice(alternating,simultaneous)", CategoricalDistribution(["alternating", "simultaneous"])),
        ("u=1,2.5,a", CategoricalDistribution([1, 2.5, "a"])),
        ("u=true,null", CategoricalDistribution([True, "null"])),
        ("b=[0,0.9],[0.5,0.9]", CategoricalDistribution(["[0,0.9]", "[0.5,0.9]"])),
        ("s='a b','c=d'", CategoricalDistribution(["'a b'", "'c=d'"])),
        ("+k=choice(1,2)", CategoricalDistribution([1, 2])),
    ],
)
def test_syntax(line: str, distribution: object) -> None:
    found = space(line, "fixed=3")
    assert [*found.distributions.values()] == [distribution]
    assert found.fixed == ["fixed=3"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("lr=interval(2,1)", "the end of an interval must be above its start"),
        ("lr=tag(log,interval(0,1))", "an interval with the tag log must start above 0"),
        ("lr=tag(int,interval(0.5,2))", "an interval of whole numbers must start and end with one"),
        ("lr=tag(normal,interval(0,1))", "a tag must be log or int (got normal)"),
        ("lr=tag(log,choice(1,2))", "a choice must have no tag"),
        ("lr=tag(log,range(1,8,2))", "must have step 1"),
        ("lr=shuffle(range(1,8))", "must be without shuffle"),
        ("lr=range(3,3)", "at least one value"),
        ("lr=range(0,3,0)", "at least one value"),
        ("data.seed=3", "data.seed must not be set in a search: it follows seed"),
        ("lr=choice(null,1)", "write null without choice"),
        ("lr=uniform(0,1)", "lr=uniform(0,1) must be a,b or choice(a,b)"),
        ("seed=1,2", "seed must not be searched"),
        ("data.seed=1,2", "data.seed must not be searched: it follows seed"),
        ("replicas=2", "replicas must not be set in a search"),
        ("tags=[a],[b]", "tags must not be searched: it does not affect the result"),
        ("data.steps_per_execution=1,2", "does not affect the result"),
        ("hydra.job.name=a,b", "must not be a key of Hydra"),
        ("lr=0.1", "there is nothing to search"),
        ("lr=choice(1)", "there is nothing to search"),
    ],
)
def test_refused(line: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        space(line)
    assert reason in str(error.value)


def test_the_command_line_replaces_params() -> None:
    found = space("a=3", "b=choice(1,2)", **{"a": "interval(0,1)", "b": "interval(0,1)", "c": "interval(0,1)", "d": 5})
    assert {*found.distributions} == {"b", "c"}
    assert found.distributions["b"] == CategoricalDistribution([1, 2])
    assert found.fixed == ["d=5", "a=3"]


def test_proposed_numbers_are_short_and_stay_inside() -> None:
    found = space("a=interval(0.12344,1)", "b=range(0,1,0.1)")
    assert found.short({"a": 0.33333333, "b": 0.30000000000000004}) == {"a": 0.3333, "b": 0.3}
    assert found.short({"a": 0.123441, "b": 0.0})["a"] == 0.12344


def test_contains() -> None:
    found = space("a=interval(0,1)", "b=range(1,9,3)", "c=x,y")
    assert found.contains({"a": 0.5, "b": 4, "c": "y"})
    assert found.contains({"a": 1})
    for wrong in ({"a": 1.5}, {"b": 5}, {"c": "z"}, {"a": None}, {"a": True}):
        assert not found.contains(wrong)
