# ruff: noqa: E402
"""A study resumes: the trials of a generation follow from the earlier ones, and another purpose is refused."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import CmaEsSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from gaussgan.config.errors import ConfigError
from gaussgan.runs.study import STUDY
from gaussgan.search.final import DEFAULT, Final
from gaussgan.search.grid import Grid
from gaussgan.search.outcomes import Outcome
from gaussgan.search.space import Space
from gaussgan.search.study import begin_generation, open_study, propose, purpose_of, quiet, trials_of

pytestmark = pytest.mark.extra

SPACE = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(1e-3, 1, log=True)}, [])
SAMPLERS = {
    "tpe": partial(TPESampler, n_startup_trials=4, multivariate=True, constant_liar=True),
    "cmaes": partial(CmaEsSampler),
    "random": partial(RandomSampler),
}


def opened(path: Path, **purpose: Any) -> Any:
    return open_study(None, "s", path, {"objectives": ["score"], "direction": ["minimize"], **purpose})


def grow(study: Any, sampler: Any, generations: int, first: dict[str, Any] | None = None) -> None:
    for _ in range(generations):
        begin_generation(study, propose(trials_of(study), SPACE, sampler, 7, ["minimize"], 6, first))
        for trial in study.get_trials(states=[TrialState.RUNNING]):
            study.tell(trial.number, (trial.params["x"] - 0.3) ** 2 + trial.params["y"])


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_a_killed_search_proposes_what_the_undisturbed_one_does(tmp_path: Path, sampler: Any) -> None:
    with quiet():
        grow(whole := opened(tmp_path / "a"), sampler, 4)
        for _ in range(2):
            grow(opened(tmp_path / "b"), sampler, 1)
        killed = opened(tmp_path / "b")
        proposed = propose(trials_of(killed), SPACE, sampler, 7, ["minimize"], 6)
        begin_generation(killed, proposed[:2])  # the process was killed before it could add the others
        with (tmp_path / "b" / STUDY).open("a") as file:
            file.write('{"op_code": 4, "half a li')
        again = opened(tmp_path / "b")
        earlier = trials_of(again)[:12]
        begin_generation(again, propose(earlier, SPACE, sampler, 7, ["minimize"], 6))
        for trial in again.get_trials(states=[TrialState.RUNNING]):
            again.tell(trial.number, (trial.params["x"] - 0.3) ** 2 + trial.params["y"])
        grow(again, sampler, 1)
    assert [t.params for t in whole.get_trials()] == [t.params for t in again.get_trials()]
    assert len({t.params["x"] for t in whole.get_trials()}) == 24


def test_the_first_trial_is_the_default_recipe(tmp_path: Path) -> None:
    with quiet():
        grow(study := opened(tmp_path), SAMPLERS["tpe"], 1, {"x": 0.123456789, "y": 0.5})  # to the last digit
    assert study.get_trials()[0].params == {"x": 0.123456789, "y": 0.5}


def test_grid_goes_through_all_combinations() -> None:
    space = Space({"a": CategoricalDistribution([1, 2]), "b": FloatDistribution(0, 0.5, step=0.25)}, [])
    with quiet():
        proposed = propose([], space, partial(Grid, space.distributions), 0, ["minimize"], 6)
    assert [tuple(each["params"].values()) for each in proposed] == [(a, b) for a in (1, 2) for b in (0, 0.25, 0.5)]
    large = Grid({key: FloatDistribution(0, 1, step=1e-3) for key in "abc"})
    assert large.size == 1001**3
    with pytest.raises(ConfigError, match="grid needs a list of values for x"):
        Grid({"x": FloatDistribution(0, 1)})


def test_a_study_of_another_search_is_refused(tmp_path: Path) -> None:
    first = purpose_of(SPACE.distributions, ["score"], ["minimize"], range(16), {"data.batch_size": 8})
    with quiet():
        opened(tmp_path, **first)
        opened(tmp_path, **first)
        for change, words in {
            "params.x": "has params.x=",
            "seeds": "has seeds=16, and this search has other",
            "seed": "has seed=0, and this search has other",
            "data.batch_size": "has data.batch_size=8",
            "new": "has new=nothing",
        }.items():
            with pytest.raises(ConfigError) as error:
                opened(tmp_path, **{**first, change: "other"})
            assert words in str(error.value)
        with pytest.raises(ConfigError, match="direction"):
            opened(tmp_path, **{**first, "direction": ["maximize"]})


def test_a_storage_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a journal\n")
    for storage in ("nosuch://db", "sqlite:////nosuch/dir/x.db", str(tmp_path / "file"), str(tmp_path)):
        with quiet(), pytest.raises(ConfigError, match=r"hydra\.sweeper\.storage: .* cannot be opened"):
            open_study(storage, "s", tmp_path, {"objectives": ["score"], "direction": ["minimize"]})


def test_a_study_belongs_to_one_directory(tmp_path: Path) -> None:
    purpose, storage = {"objectives": ["score"], "direction": ["minimize"]}, str(tmp_path / "shared.log")
    for name in ("a", "b"):
        (tmp_path / name / "s").mkdir(parents=True)
    with quiet():
        for _ in range(2):
            open_study(storage, "s", tmp_path / "a" / "s", purpose)
        with pytest.raises(ConfigError, match=r"the study s belongs to the search in .*/a/s; choose another"):
            open_study(storage, "s", tmp_path / "b" / "s", purpose)
        (tmp_path / "a" / "s").rmdir()  # it was moved
        open_study(storage, "s", tmp_path / "b" / "s", purpose)


def test_foreign_trials_are_left_alone(tmp_path: Path) -> None:
    with quiet():
        grow(study := opened(tmp_path), SAMPLERS["random"], 1)
        study.add_trial(create_trial(value=1.0, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}))
        assert len(trials_of(study)) == 6


def test_the_end_of_a_search_is_measured_against_the_rows_to_report_by() -> None:
    numbers = {"val/sliced_w2": 0.2, "val/sliced_w2_median": 0.2, "test/sliced_w2_median": 0.4}
    found = Outcome([0.2], numbers=numbers)
    recipes = SimpleNamespace(space=SimpleNamespace(lines=lambda _: []), first={}, lines=lambda _: ["a=1"])
    options: Any = SimpleNamespace(objectives=["score"])
    final: Any = Final(None, recipes, None, options, [0], ["median val/sliced_w2"])  # type: ignore[arg-type]
    final.launch = lambda values, seeds: dict.fromkeys(values, found._replace(values=[0.2]))
    trial = SimpleNamespace(number=7, params={})
    results = final.run_beside_default([trial], range(3))
    assert results[7].values == results[DEFAULT].values == pytest.approx([0.4])
