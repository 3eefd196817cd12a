"""Show the study of a search on the report's page: what the search found, and the plots of Optuna."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from gaussgan.report.page import Section
from gaussgan.runs.study import FINAL, STUDY

MOST_PARAMS = 3  # of the plots that have a panel for each pair of parameters


def study_sections(directories: Sequence[Path]) -> list[Section]:
    """Return a section for each study in some directories of searches; an empty list if there is none.

    A study in a database outside of these directories is not shown, nor are studies that cannot be read.
    """
    paths = [path for directory in directories if (path := directory / STUDY).is_file()]
    return [section_of(study) for path in paths for study in studies(path)]


def studies(path: Path) -> list[Any]:
    """Return the studies in a journal file that have a trial with a value. Return [] if Optuna cannot read the file."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(path)))
        found = [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]
        return [study for study in found if study.best_trials]
    except Exception:  # the report shows what can be read
        return []


def section_of(study: Any) -> Section:
    """Return the section of the page about one study."""
    trials = study.get_trials(deepcopy=False)
    states = {state: sum(trial.state == state for trial in trials) for state in {trial.state for trial in trials}}
    counts = ", ".join(f"{count} {state.name.lower()}" for state, count in sorted(states.items()))
    said = study.user_attrs.get(FINAL, {}).get("sentences", [])
    with _quiet():
        figures = [figure for plot in plots(study) if (figure := _figure(plot)) is not None]
    return Section("The search", [f"{len(trials)} trials: {counts}", *said], figures)


def plots(study: Any) -> Iterator[Callable[[], go.Figure]]:
    """Yield functions that draw the plots of Optuna for a study.

    The plots with one panel for each pair of parameters show only the most important parameters.
    """
    from optuna import visualization
    from optuna.importance import get_param_importances

    several = len(study.directions) > 1
    names = study.metric_names or [f"objective {i}" for i in range(len(study.directions))]
    if several and len(names) <= 3:
        yield partial(visualization.plot_pareto_front, study)
    for i, name in enumerate(names):
        target = {"target": partial(_value, i), "target_name": name} if several else {"target_name": name}
        yield partial(visualization.plot_optimization_history, study, **target)
        yield partial(visualization.plot_param_importances, study, **target)
        try:
            importances = get_param_importances(study, target=target.get("target"))
        except Exception:  # too few trials, or all of them have the same value
            continue
        params = [*importances]
        yield partial(visualization.plot_slice, study, params=params, **target)
        yield partial(visualization.plot_parallel_coordinate, study, params=params, **target)
        if len(params) > 1:
            yield partial(visualization.plot_rank, study, params=params[:MOST_PARAMS], **target)  # contours: 30 MB
    if not several and any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        yield partial(visualization.plot_intermediate_values, study)


def _value(i: int, trial: Any) -> float:
    value: float = trial.values[i]
    return value


def _figure(plot: Callable[[], go.Figure]) -> go.Figure | None:
    try:
        figure = plot()
    except Exception:  # Optuna cannot draw this plot for this study
        return None
    values = [value for trace in figure.data for value in (getattr(trace, "y", None) or ()) if _is_number(value)]
    if not figure.data or (values and not any(map(math.isfinite, values))):
        return None
    figure.layout.template = None  # the page has its own colours
    return figure


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
