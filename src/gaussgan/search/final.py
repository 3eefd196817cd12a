"""End a search: run the best trials again on unseen seeds, beside the default recipe, and say what was found."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from gaussgan.config.errors import ConfigError
from gaussgan.runs.job_errors import report
from gaussgan.search.options import Options
from gaussgan.search.recipes import DEFAULT, Recipes
from gaussgan.search.runs import Runs
from gaussgan.search.study import ERROR, FINAL, next_job, trials_of

if TYPE_CHECKING:
    from gaussgan.search.outcomes import Outcome

log = logging.getLogger(__name__)

FRONT = 16  # at most this many trials of a Pareto front are run again


@dataclass
class Final:
    """The end of a search. `report` runs the best trials again, and says what was found.

    The best of many trials is flattered: it was chosen because chance was kind to it on the seeds of the search. So the
    few best trials, the finalists, are compared once more on other seeds. The winner and the default recipe are then
    run on seeds that no choice has seen, the same for both. Only these figures may be compared. For given examples,
    they are measured against the rows to report by.

    For several objectives, the trials of the Pareto front are run beside the default recipe; of a front with more than
    16 trials, 16 that are evenly spread along the first objective.

    Args:
        study: the study of the search. The results are saved in its attribute "final".
        recipes: the recipes of the search.
        runs: runs the programs.
        options: the settings of the search.
        seeds: the seeds of the search.
        names: the names of the objectives for people.
    """

    study: Study
    recipes: Recipes
    runs: Runs
    options: Options
    seeds: Sequence[int]
    names: Sequence[str]
    job: int = 0  # the number of the next job

    def report(self) -> None:
        finalists = self.finalists()
        results: dict[int, Outcome] = {}
        if finalists and (count := self.options.final_seeds):
            before = self.study.user_attrs.get(FINAL, {})
            what = {"finalists": [trial.number for trial in finalists], "final_seeds": count}
            same = all(before.get(key) == value for key, value in what.items())
            self.job = before["job"] if same else next_job(self.study, trials_of(self.study))
            final, first = {**what, "job": self.job}, self.seeds[-1] + 1
            if len(self.options.objectives) == 1 and len(finalists) > 1:
                seeds = range(first, first := first + math.ceil(count / 4))
                log.info("The %d best trials on %d unseen seeds", len(finalists), len(seeds))
                again = self.launch({trial.number: trial.params for trial in finalists}, seeds)
                finalists.sort(key=lambda trial: self.rank(again[trial.number].values))
            finalists = finalists[:1] if len(self.options.objectives) == 1 else finalists
            results = self.run_beside_default(finalists, range(first, first + count))
            rows = {str(number): {"values": each.values, "error": each.error} for number, each in results.items()}
            self.study.set_user_attr(FINAL, {**final, "last_job": self.job - 1, "results": rows})
        lines = self.sentences(finalists[:1] if len(self.options.objectives) == 1 else finalists, results)
        self.study.set_user_attr(FINAL, {**self.study.user_attrs.get(FINAL, {}), "sentences": lines})
        for line in lines:
            log.info(line)

    def raise_failures(self) -> None:
        """Log which trials failed, one line for each reason.

        Raises:
            ConfigError: when a trial failed. The error is already in the log.
        """
        trials = trials_of(self.study)
        failed = {t.number: t.user_attrs.get(ERROR) for t in trials if t.state == TrialState.FAIL}
        errors = []
        for reason in dict.fromkeys(failed.values()):
            numbers = [number for number in failed if failed[number] == reason]
            shown = ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")
            errors.append(ConfigError(f"{len(numbers)} of {len(trials)} trials failed ({shown}): {reason}"))
            report(errors[-1])
        if errors:
            raise errors[0]

    def finalists(self) -> list[FrozenTrial]:
        """Return the best trials of the search, from the best on, or the trials of the Pareto front."""
        if len(self.options.objectives) > 1:
            return spread(sorted(self.study.best_trials, key=lambda trial: trial.values), FRONT)
        ended = [trial for trial in trials_of(self.study) if trial.state == TrialState.COMPLETE]
        ended.sort(key=lambda trial: self.rank(trial.values))
        finite = [trial for trial in ended if math.isfinite(trial.values[0])]
        return finite[: self.options.finalists] or ended[:1]

    def rank(self, values: Sequence[float] | None) -> float:
        """Return a number that is smaller for better values of a single objective."""
        sign = 1 if self.options.direction[0] == "minimize" else -1
        return sign * values[0] if values else math.inf

    def launch(self, values: Mapping[int, Mapping[str, Any]], seeds: Sequence[int]) -> dict[int, Outcome]:
        """Run trials with other seeds, as the next jobs. If these runs are complete, the launcher returns at once."""
        plan, _ = self.recipes.programs(values, seeds)
        results: dict[int, Outcome] = {}
        for program, outcomes in self.runs.launch(plan, range(self.job, self.job + len(plan))):
            results |= dict(zip(program.trials, outcomes, strict=True))
        self.job += len(plan)
        return results

    def run_beside_default(self, trials: Sequence[FrozenTrial], seeds: Sequence[int]) -> dict[int, Outcome]:
        """Run trials and the default recipe on the same seeds. The default recipe has the key DEFAULT in the result."""
        from gaussgan.search.outcomes import reported  # imports torch

        log.info("The best of the search and the default recipe on %d unseen seeds", len(seeds))
        default = self.recipes.space.lines(self.recipes.first)
        values = {trial.number: trial.params for trial in trials if self.recipes.lines(trial.params) != default}
        results = self.launch({DEFAULT: self.recipes.first, **values}, seeds)
        results = {number: reported(each, self.options.objectives) for number, each in results.items()}
        return {**{trial.number: results[DEFAULT] for trial in trials}, **results}

    def sentences(self, best: Sequence[FrozenTrial], results: Mapping[int, Outcome]) -> list[str]:
        """Say in words what the search has found.

        Args:
            best: the best trials; one for each point of the Pareto front if there are several objectives.
            results: what became of them and of the default recipe on unseen seeds; empty if they were not run again.
        """
        count, unseen = len(trials_of(self.study)), self.options.final_seeds
        if not best:
            return [f"None of the {count} trials has ended with a value"]
        front = len(self.options.objectives) > 1
        unchosen = any(tag.startswith("test/") for each in results.values() for tag in each.numbers)
        names = [name.replace("val/", "test/", 1) for name in self.names] if unchosen else self.names
        again = {number: each.error or described(names, each.values or []) for number, each in results.items()}
        default = f"the default recipe has {again[DEFAULT]}" if again else ""
        lines = [f"{len(self.study.best_trials)} of {count} trials are on the Pareto front"] if front else []
        lines += [f"On {unseen} unseen seeds, {default}"] if front and again else []
        for trial in best:
            unseen_values = f"has {again[trial.number]} on {unseen} unseen seeds" if again else ""
            recipe = f"trial {trial.number}: {' '.join(self.recipes.lines(trial.params))}"
            if front:
                lines += [f"T{recipe[1:]}", *([f"It {unseen_values}"] if again else [])]
            elif again:
                lines += [f"The best of {count} trials {unseen_values}, and {default}", f"It is {recipe}"]
            else:
                lines.append(f"The best of {count} trials is {recipe}")
            lines.append(f"To train it: {self.recipes.command(trial.params)}")
            seen = f"{described(self.names, trial.values)} on the {len(self.seeds)} seeds of the search"
            lines.append(f"It has {seen}, which flatter the best of many trials")
        return lines


def spread(trials: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """Return at most `count` trials, evenly spread over a list, with its first and its last trial."""
    if len(trials) <= count:
        return [*trials]
    return [trials[round(i * (len(trials) - 1) / (count - 1))] for i in range(count)]


def described(names: Sequence[str], values: Sequence[float]) -> str:
    """Return names and numbers as a text, such as "median val/w2 0.0912"."""
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values, strict=False)) or "no value"
