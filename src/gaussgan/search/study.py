"""Open a study of Optuna, and propose the trials of its next generation."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.runs.study import FINAL, STUDY
from gaussgan.search.space import Space

GENERATION, SIZE, JOB, DIRECTORY, ERROR, NUMBERS = "generation", "size", "job", "directory", "error", "numbers"
PURPOSE = "gaussgan"  # the attribute of a study with what it searches
LOCK_SECONDS = 5  # a lock that a killed process left is ignored after this time

Direction = Literal["minimize", "maximize"]
MakeSampler = Callable[..., BaseSampler]


def propose(
    trials: Sequence[FrozenTrial],
    space: Space,
    make_sampler: MakeSampler,
    seed: int,
    directions: Sequence[Direction],
    count: int,
    first: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the trials of the next generation, each as the arguments of Optuna's function `create_trial`.

    The result is a function of the arguments: the sampler starts anew for each generation, with a seed that follows
    from `seed` and the number of earlier trials. So a search that was killed proposes the same trials again.

    Args:
        trials: the trials of all earlier generations. All of them have ended.
        space: the search space.
        make_sampler: makes a sampler of Optuna from the argument `seed`.
        seed: the seed of the search.
        directions: "minimize" or "maximize" for each objective.
        count: the number of trials to propose.
        first: the values of the very first trial of the search; None to let the sampler choose.
    """
    number = int(np.random.SeedSequence([seed, len(trials)]).generate_state(1)[0])
    memory = optuna.create_study(directions=directions, sampler=make_sampler(seed=number))
    memory.add_trials(trials)
    exact = dict(first) if first is not None and not trials else {}
    if exact:
        memory.enqueue_trial(exact)
    for _ in range(count):
        memory.ask(space.distributions)
    asked = memory.get_trials(deepcopy=False)[len(trials) :]
    attributes = {GENERATION: 1 + max((each.user_attrs[GENERATION] for each in trials), default=-1), SIZE: count}
    return [
        {
            "state": TrialState.RUNNING,
            "params": {**space.short(each.params), **({} if i else exact)},
            "distributions": space.distributions,
            "user_attrs": attributes,
            "system_attrs": each.system_attrs,
        }
        for i, each in enumerate(asked)
    ]


def begin_generation(study: optuna.Study, proposed: Sequence[Mapping[str, Any]]) -> list[FrozenTrial]:
    """Add those trials of a generation to a study that are not there yet. Return all trials of the generation.

    Each trial is added with all its values in one step, so a killed process leaves no half of a trial.
    """
    generation = proposed[0]["user_attrs"][GENERATION]
    present = generation_of(trials_of(study), generation)
    for each in proposed[len(present) :]:
        study.add_trial(create_trial(**each))
    return generation_of(trials_of(study), generation)


def trials_of(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials of a study, except those that somebody else has added, such as in optuna-dashboard."""
    return [trial for trial in study.get_trials() if GENERATION in trial.user_attrs]


def generation_of(trials: Sequence[FrozenTrial], generation: int) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.user_attrs[GENERATION] == generation]


def next_job(study: optuna.Study, trials: Sequence[FrozenTrial]) -> int:
    """Return the number of the first job after those of the given trials, and after the final jobs."""
    used = [trial.user_attrs.get(JOB, -1) for trial in trials]
    return 1 + max([*used, study.user_attrs.get(FINAL, {}).get("last_job", -1)])


def open_study(storage: str | None, name: str, directory: Path, purpose: Mapping[str, Any]) -> optuna.Study:
    """Create a study, or load it if it exists.

    Args:
        storage: the URL of a database, such as sqlite:///study.db, or the path of a journal file; None for the file
            study.log in `directory`.
        name: the name of the study. A database may hold several studies.
        directory: the directory of the sweep.
        purpose: what the study searches; see `purpose_of`.

    Raises:
        ConfigError: when the storage cannot be opened, or when the study exists and has another purpose, or belongs to
            another directory that still exists.
    """
    try:
        study = optuna.create_study(
            storage=_storage(place_of(storage, directory)),
            study_name=name,
            directions=purpose["direction"],
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(),  # it is never asked
        )
        if PURPOSE not in study.user_attrs and not study.get_trials(deepcopy=False):
            study.set_metric_names(purpose["objectives"])
            study.set_user_attr(PURPOSE, dict(purpose))
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"hydra.sweeper.storage: {storage or directory / STUDY}: {_reason(error)}") from error
    theirs = study.user_attrs.get(PURPOSE)
    if theirs is None:
        raise ConfigError(f"hydra.sweeper.study_name: the study {name} was not made by this program; choose another")
    for key in {**theirs, **purpose}:
        if theirs.get(key) != (ours := purpose.get(key)):
            raise ConfigError(
                f"hydra.sweeper.storage: the study {name} has {key}={_shown(theirs.get(key))}, and this search has"
                f" {_shown(ours)}; choose another hydra.sweep.dir or hydra.sweeper.study_name"
            )
    if storage is not None:  # directories of the same name would share a study, but not its runs
        ours, other = directory.resolve(), Path(study.user_attrs.get(DIRECTORY, directory)).resolve()
        if ours != other and other.exists():
            raise ConfigError(
                f"hydra.sweeper.storage: the study {name} belongs to the search in {other}; choose another"
                " hydra.sweeper.study_name"
            )
        study.set_user_attr(DIRECTORY, str(ours))
    return study


def place_of(storage: str | None, directory: Path) -> str:
    """Return the storage of a study: the given one, or the journal file in the directory of the sweep."""
    return storage or str(directory.resolve() / STUDY)


def purpose_of(
    distributions: Mapping[str, BaseDistribution],
    objectives: Sequence[str],
    directions: Sequence[Direction],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what a study searches, as a flat dict of plain values. A study is resumed only if it is equal.

    Args:
        seeds: the seeds of each trial.
        settings: the settings of the default recipe.
    """
    space = {f"params.{key}": distribution_to_json(each) for key, each in distributions.items()}
    rules = {"objectives": [*objectives], "direction": [*directions], "seeds": len(seeds), "seed": seeds[0]}
    return {**space, **rules, **settings}


@contextmanager
def quiet() -> Iterator[None]:
    """Inside a with block, Optuna logs only warnings, through Python's root logger."""
    optuna.logging.set_verbosity(logging.WARNING)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def load_study(storage: str, name: str, **arguments: Any) -> optuna.Study:
    """Load an existing study; see `open_study`. Further arguments are those of Optuna's `load_study`."""
    return optuna.load_study(study_name=name, storage=_storage(storage), **arguments)


def running_trial(study: optuna.Study, number: int) -> Trial | None:
    """Return the trial of a study with this number, so that it can be changed; None if it has already ended."""
    trial = next(trial for trial in study.get_trials(deepcopy=False) if trial.number == number)
    # Optuna has no public way to a trial that another process has begun.
    return None if trial.state.is_finished() else Trial(study, trial._trial_id)


def _storage(place: str) -> BaseStorage | str:
    if "://" in place:
        return place
    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    _repair(path)
    return JournalStorage(JournalFileBackend(place, JournalFileOpenLock(place, grace_period=LOCK_SECONDS)))


def _repair(path: Path) -> None:
    """Remove the last line of a journal if it is not complete: the process was killed, or the disk was full."""
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _reason(error: Exception) -> str:
    return f"it cannot be opened ({type(error).__name__}: {one_line(error):.150})"


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{value!s:.200}"
