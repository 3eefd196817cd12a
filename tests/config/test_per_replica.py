"""R configurations of single runs become one configuration of R replicas, and back."""

import pytest
from omegaconf import OmegaConf

from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import Group, grouped, of_replica, replica_groups, structure, together, varying


def single(compose, *overrides: str) -> dict:
    return OmegaConf.to_container(compose(*overrides), resolve=True)


def test_together_and_back(compose) -> None:
    overrides = [
        ("seed=5", "optimizer_d.lr=0.1", "penalty=r1", "penalty.weight=2", "optimizer_g.betas=[0.5,0.9]"),
        ("seed=9", "optimizer_d.lr=0.2", "penalty=r1", "penalty.weight=3", "optimizer_g.betas=[0.5,0.99]"),
    ]
    singles = [single(compose, *each) for each in overrides]
    joint = together(singles)
    assert (joint["replicas"], joint["seed"], joint["data"]["seed"]) == (2, [5, 9], [5, 9])
    assert varying(joint) == {
        "optimizer_d.lr": [0.1, 0.2],
        "optimizer_g.betas": [[0.5, 0.5], [0.9, 0.99]],
        "penalty.weight": [2, 3],
        "penalty.r1.weight": [2, 3],
    }
    assert [of_replica(joint, i) for i in range(2)] == singles


def test_one_seed_counts_up(compose) -> None:
    assert [of_replica(single(compose, "replicas=3", "seed=4"), i) for i in range(3)] == [
        single(compose, f"seed={seed}") for seed in (4, 5, 6)
    ]


def test_replicas_with_equal_settings_are_one_group(compose) -> None:
    plain = single(compose, "replicas=3")
    assert replica_groups(plain) == [Group({}, [0, 1, 2])]
    constant = single(compose, "replicas=3", "optimizer_d.lr=[1,1.0,1]", "seed=[0,0,7]")
    assert replica_groups(constant) == [Group({}, [0, 1, 2])]
    lists = ("optimizer_d.lr=[1,2,1.0,2]", "optimizer_g.betas=[[0.5,0.5,0.5,0],0.9]", "optimizer_g.lr=[3,3,3,3]")
    assert replica_groups(single(compose, "replicas=4", *lists)) == [
        Group({"optimizer_d.lr": 1, "optimizer_g.betas": [0.5, 0.9]}, [0, 2]),
        Group({"optimizer_d.lr": 2, "optimizer_g.betas": [0.5, 0.9]}, [1]),
        Group({"optimizer_d.lr": 2, "optimizer_g.betas": [0, 0.9]}, [3]),
    ]


def test_the_weight_of_all_penalties_is_one_setting(compose) -> None:
    both = ("replicas=2", "penalty=[r1,wgan_gp]")
    shared = single(compose, *both, "penalty.weight=[1,2]")
    assert [group.settings for group in replica_groups(shared)] == [{"penalty.weight": 1}, {"penalty.weight": 2}]
    own = single(compose, *both, "penalty.r1.weight=[1,2]")
    assert [group.settings for group in replica_groups(own)] == [{"penalty.r1.weight": 1}, {"penalty.r1.weight": 2}]


def test_runs_with_other_keys_are_other_groups() -> None:
    runs = [{"a": 1, "b": "x"}, {"a": 1.0, "c": [1]}, {"b": "x", "a": 1}, {"a": 1, "b": None, "c": [1.0]}]
    assert grouped(runs) == [Group({"b": "x", "c": None}, [0, 2]), Group({"b": None, "c": [1]}, [1, 3])]
    assert grouped([{"a": 1}]) == [Group({}, [0])]


@pytest.mark.parametrize("override", ["optimizer_d.lr=0.3", "seed=8", "optimizer_g.betas=[0.1,0.2]"])
def test_numbers_are_not_structure(compose, override: str) -> None:
    assert structure(single(compose, override)) == structure(single(compose))


@pytest.mark.parametrize(
    "override",
    ["data.batch_size=4", "trainer.max_epochs=3", "objective=hinge", "player_d.clip_gradient=1", "penalty=r1"],
)
def test_structure(compose, override: str) -> None:
    assert structure(single(compose, override)) != structure(single(compose))


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["replicas=0"], "replicas must be a whole number of at least 1 (got 0)"),
        (
            ["replicas=2", "optimizer_d.lr=[0.1,0.2,0.3]"],
            "optimizer_d.lr must have one entry for each of replicas=2 (got ",
        ),
        (["replicas=2", "optimizer_d.lr=[0.1,-1]"], "optimizer_d.lr must be a finite number above 0 (got -1)"),
        (
            ["replicas=2", "optimizer_g.betas=[[0.5],0.9]"],
            "optimizer_g.betas must have one entry for each of repl",
        ),
        (["replicas=2", "seed=[1,x]"], "seed must be a whole number of at least 0 (got 'x')"),
        (["replicas=2", "data.batch_size=[8,4]"], "data.batch_size must be a whole number of at least 1 (got [8"),
        (
            ["replicas=2", "player_d.clip_weights=[null,0.1]"],
            "player_d.clip_weights must be a list of numbers, one for each replica",
        ),
        (["replicas=2", "ema_half_life=[5,0]"], "ema_half_life must be a finite number above 0, or null (got 0)"),
        (["optimizer_d.lr=[0.1]"], "optimizer_d.lr must be a finite number above 0 (got [0.1])"),
    ],
)
def test_bad_lists(compose, overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(compose(*overrides))
    assert str(error.value).startswith(words)
