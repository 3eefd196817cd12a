"""End a search: run the best trials again on unseen seeds, beside the default recipe, and say what was found."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from gaussgan.search.study import ERROR, FINAL, trials_of

if TYPE_CHECKING:
    from gaussgan.search.outcomes import Outcome
    from gaussgan.search.sweeper import Search

log = logging.getLogger(__name__)

DEFAULT = -1  # stands for the default recipe, where others have the number of a trial
FRONT = 16  # at most this many trials of a Pareto front are run again


def finish(search: Search) -> None:
    """Run the best trials and the default recipe on seeds that the search has not seen. Log what was found.

    The best of many trials is flattered: it was chosen because chance was kind to it on the seeds of the search. On
    other seeds it is worse, and only its figure there may be compared with the default recipe. The default recipe gets
    the same seeds. For several objectives, the trials of the Pareto front are run again; of a front with more than 16
    trials, 16 that are evenly spread along the first objective.

    The results are saved in the study, as its attribute "final".
    """
    trials = trials_of(search.study)
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    best = spread(sorted(search.study.best_trials, key=lambda trial: trial.values), FRONT)
    best = best[:1] if len(search.options.objectives) == 1 else best
    results = run_again(search, best) if best and search.options.final_seeds else {}
    lines = sentences(search, best, results)
    if results:
        search.study.set_user_attr(FINAL, {**search.study.user_attrs[FINAL], "sentences": lines})
    for line in lines:
        log.info(line)
    for reason in dict.fromkeys(trial.user_attrs.get(ERROR) for trial in failed):
        numbers = [trial.number for trial in failed if trial.user_attrs.get(ERROR) == reason]
        shown = ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")
        log.error("%d of %d trials failed (%s): %s", len(numbers), len(trials), shown, reason)


def spread(trials: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """Return at most `count` trials, evenly spread over a list, with its first and its last trial."""
    if len(trials) <= count:
        return [*trials]
    return [trials[round(i * (len(trials) - 1) / (count - 1))] for i in range(count)]


def run_again(search: Search, best: Sequence[FrozenTrial]) -> dict[int, Outcome]:
    """Run trials and the default recipe on unseen seeds. Return what became of each; the default has the key DEFAULT.

    If the study already holds these results, because the search was resumed, the launcher finds the runs complete.
    """
    first = search.seeds[-1] + 1
    seeds = range(first, first + search.options.final_seeds)
    values = {
        trial.number: trial.params for trial in best if search.lines(trial.params) != search.space.lines(search.first)
    }
    plan = search.programs({DEFAULT: search.first, **values}, seeds)
    before = search.study.user_attrs.get(FINAL, {})
    same = before.get("trials") == [trial.number for trial in best] and before.get("seeds") == [seeds[0], seeds[-1]]
    job = before["job"] if same else search.next_job(trials_of(search.study))
    log.info("The best of the search and the default recipe on %d unseen seeds", len(seeds))
    results: dict[int, Outcome] = {}
    for program, outcomes in search.launch(plan, range(job, job + len(plan))):
        results |= dict(zip(program.trials, outcomes, strict=True))
    rows = {
        str(number): {"values": each.values, "error": each.error, "numbers": finite(each.numbers)}
        for number, each in results.items()
    }
    search.study.set_user_attr(
        FINAL,
        {
            "job": job,
            "last_job": job + len(plan) - 1,
            "trials": [trial.number for trial in best],
            "seeds": [seeds[0], seeds[-1]],
            "results": rows,
        },
    )
    return {**{trial.number: results[DEFAULT] for trial in best}, **results}


def sentences(search: Search, best: Sequence[FrozenTrial], results: Mapping[int, Outcome]) -> list[str]:
    """Say in words what a search has found.

    Args:
        best: the best trials; one for each point of the Pareto front if there are several objectives.
        results: what became of them and of the default recipe on unseen seeds; empty if they were not run again.
    """
    options, count = search.options, len(trials_of(search.study))
    if not best:
        return [f"None of the {count} trials has ended with a value"]
    names = search.names
    lines = []
    if len(best) > 1:
        lines.append(f"{len(search.study.best_trials)} of {count} trials are on the Pareto front")
    for trial in best:
        recipe = " ".join(search.lines(trial.params))
        seen = numbers_text(names, trial.values)
        lines.append(f"{'Best' if len(best) == 1 else 'Trial'} of {count} trials: trial {trial.number}: {recipe}")
        lines[-1] = lines[-1] if len(best) == 1 else f"Trial {trial.number}: {recipe}"
        if not results:
            lines.append(f"{seen} on the {len(search.seeds)} seeds of the search; the best of many is flattered")
        else:
            unseen = results[trial.number]
            text = unseen.error or numbers_text(names, unseen.values or [])
            lines.append(
                f"{text} on {options.final_seeds} unseen seeds ({seen} on the {len(search.seeds)} seeds of the search,"
                " which flatter the best of many trials)"
            )
        lines.append(f"To train it: {command(search, trial.params)}")
    if results:
        default = results[DEFAULT]
        text = default.error or numbers_text(names, default.values or [])
        lines.append(f"The default recipe: {text} on the same {options.final_seeds} unseen seeds")
    return lines


def numbers_text(names: Sequence[str], values: Sequence[float]) -> str:
    """Return names and numbers as a text, such as "median val/w2 0.0912"."""
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values, strict=False)) or "no value"


def command(search: Search, values: Mapping[str, Any]) -> str:
    """Return the command line that trains a trial's recipe once."""
    single = [] if "hydra.mode=MULTIRUN" in search.config.hydra.overrides.hydra else ["hydra.mode=RUN"]
    lines = [*single, *search.space.fixed, *search.lines(values)]
    return f"python scripts/train.py {' '.join(map(shlex.quote, lines))}"


def finite(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers without NaN, which JSON does not have."""
    return {key: value for key, value in numbers.items() if value == value}
