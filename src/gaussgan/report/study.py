"""Show the study of a search on the report's page: what the search found, and the plots of Optuna."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go

from gaussgan.report.charts import COLORS, GREY, HEIGHT, SCALE, Chart
from gaussgan.report.page import Section
from gaussgan.runs.study import FINAL, STUDY

MOST_PARAMS = 3  # of the plot that has a panel for each pair of parameters
PANEL, PAIRS = 145, 640  # least width of a panel, and height of the panels of pairs, in pixels


class Plot(NamedTuple):
    """A plot of Optuna, which `draw` draws.

    Args:
        title: its title on the page.
        caption: a sentence that says what it shows.
        draw: draws the plot.
        panels: the number of panels beside each other.
        height: its height in pixels.
        values_on_y: whether the objective is on the y axis, which is logarithmic if all values are positive.
    """

    title: str
    caption: str
    draw: Callable[[], go.Figure]
    panels: int = 1
    height: int = HEIGHT
    values_on_y: bool = True


def study_sections(directories: Sequence[Path]) -> list[Section]:
    """Return a section for each study in some directories of searches; an empty list if there is none.

    A study in a database outside of these directories is not shown, nor are studies that cannot be read.
    """
    paths = dict.fromkeys((directory / STUDY).resolve() for directory in directories)
    return [section_of(study) for path in paths if path.is_file() for study in studies(path)]


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
    final = study.user_attrs.get(FINAL)
    said = [*map(str, final.get("sentences") or [])] if isinstance(final, dict) else []
    first = len(said) if len(study.directions) == 1 else 2  # the points of a Pareto front may be many
    with _quiet():
        charts = [chart for plot in plots(study) if (chart := _chart(plot)) is not None]
    return Section("The search", [f"{len(trials)} trials: {counts}", *said[first:]], charts, said[:first])


def plots(study: Any) -> Iterator[Plot]:
    """Yield the plots of Optuna for a study."""
    from optuna import visualization as draw

    several = len(study.directions) > 1
    names = study.metric_names or [f"objective {i}" for i in range(len(study.directions))]
    if several and len(names) <= 3:
        caption = "No trial is better in all objectives than a trial of the front, which is orange."
        yield Plot("Pareto front", caption, partial(_pareto_front, study), values_on_y=False)
    for i, name in enumerate(names):
        target = {"target": partial(_value, i)} if several else {}
        for plot in _of_objective(study, target, name):
            yield plot._replace(title=f"{plot.title}: {name}") if several else plot
    if not several and any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        yield Plot("While training", "A line is a trial.", partial(draw.plot_intermediate_values, study))


def _of_objective(study: Any, target: Mapping[str, Any], name: str) -> Iterator[Plot]:
    """Yield the plots for one objective. The plot with a panel for each pair shows the most important parameters."""
    from optuna import visualization as draw
    from optuna.importance import get_param_importances

    own = {**target, "target_name": name}
    caption = "A point is a trial." if target else "A point is a trial, and the line is the best one so far."
    yield Plot("History", caption, partial(draw.plot_optimization_history, study, **own))
    try:
        params = [*get_param_importances(study, **target)]
    except Exception:  # too few trials, or all of them have the same value
        return
    caption = "The share of the variance over the whole search space that each parameter explains (fANOVA)."
    yield Plot("Importance", caption, partial(draw.plot_param_importances, study, **own), values_on_y=False)
    caption = "A point is a trial. Later trials are orange: there the search has looked most closely."
    slices = partial(draw.plot_slice, study, params=params, **own)
    yield Plot("Each parameter alone", caption, slices, panels=len(params))
    if len(params) > 1:  # contours would have 30 MB
        few = params[:MOST_PARAMS]
        caption = "A point is a trial; blue is low, red is high. The panels show the most important parameters."
        ranks = partial(draw.plot_rank, study, params=few, **own)
        yield Plot(
            "Pairs of parameters", caption, ranks, len(few), PAIRS if len(few) > 2 else HEIGHT, values_on_y=False
        )


def _pareto_front(study: Any) -> go.Figure:
    from optuna import visualization as draw

    figure = draw.plot_pareto_front(study)
    for trace, color in zip(figure.data, (GREY, COLORS[0]), strict=False):  # first the other trials, then the front
        trace.marker = {"color": color, "size": 8}
    return figure


def _value(i: int, trial: Any) -> float:
    value: float = trial.values[i]
    return value


def _chart(plot: Plot) -> Chart | None:
    try:
        figure = plot.draw()
    except Exception:  # Optuna cannot draw this plot for this study
        return None
    values = [value for trace in figure.data for value in (trace.y or ()) if isinstance(value, int | float)]
    if not figure.data or (values and not any(map(math.isfinite, values))):
        return None
    if plot.values_on_y and min(values) > 0:
        figure.update_yaxes(type="log")
    _restyle(figure, plot)
    return Chart(plot.title, plot.caption, figure)


def _restyle(figure: go.Figure, plot: Plot) -> None:
    """Give a plot of Optuna the size and the colours of the page."""
    layout = {"title": None, "colorway": COLORS, "height": plot.height}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    figure.layout.template = None
    figure.update_layout(
        **layout, legend=legend, width=PANEL * plot.panels if plot.panels > 1 else None,
        margin={"l": 60, "r": 40, "t": 30, "b": 56},
    )  # fmt: skip
    if plot.panels > 2:
        figure.for_each_xaxis(_narrow)
    figure.for_each_trace(_recolor, selector=lambda trace: getattr(trace, "marker", None) is not None)


def _narrow(axis: Any) -> None:
    if axis.title.text:
        axis.title.text = axis.title.text.replace(".", ".<br>", 1)


def _recolor(trace: Any) -> None:
    trace.marker.showscale = False  # the caption says what the colours mean
    if trace.marker.colorscale is not None:
        trace.marker.colorscale = SCALE


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
