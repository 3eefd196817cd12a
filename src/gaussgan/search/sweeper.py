"""The loop of a search: ask for a generation of trials, train it, tell the results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.runs.directory import SWEEP
from gaussgan.search.checks import check_objectives, check_space
from gaussgan.search.final import Final
from gaussgan.search.grid import Grid
from gaussgan.search.mode import with_one_mode
from gaussgan.search.options import INSTALL, Options
from gaussgan.search.recipes import Recipes
from gaussgan.search.runs import Runs
from gaussgan.search.space import override_text, parse_space
from gaussgan.search.study import (
    ERROR,
    GENERATION,
    JOB,
    NUMBERS,
    SIZE,
    begin_generation,
    generation_of,
    next_job,
    open_study,
    place_of,
    propose,
    purpose_of,
    running_trial,
    trials_of,
)
from gaussgan.search.trials import Program

if TYPE_CHECKING:
    from gaussgan.search.outcomes import Outcome

log = logging.getLogger(__name__)


class Search:
    """A search for good settings with Optuna. `sweep` runs it.

    A generation of trials is proposed at once. Each trial is trained with the same S seeds. Trials that differ only in
    numbers form one program: a job with replicas, which the launcher runs. Everything that the search must remember is
    in the study, so the same command goes on with a search that was killed.

    Args:
        context: Hydra's context.
        launcher: runs the jobs.
        config: the configuration of the sweep, including Hydra's own configuration.
        options: the settings of the search.
    """

    def __init__(self, context: HydraContext, launcher: Launcher, config: DictConfig, options: Options) -> None:
        self.context, self.config, self.options = context, config, options
        self.directory = Path(str(config.hydra.sweep.dir))
        self.runs = Runs(launcher, self.directory, options)

    def sweep(self, arguments: Sequence[str]) -> list[Sequence[JobReturn]]:
        """Run the search, or go on with it. Return what the launcher returned.

        Args:
            arguments: the overrides of the command line, except those of Hydra's own keys.

        Raises:
            ConfigError: before the first run, when the search is configured wrongly; at the end, when trials failed.
        """
        options = self.options
        self._check(arguments)
        if self.config.hydra.launcher.get("dry_run"):
            proposed = self._propose([], min(options.batch, self.n_trials))
            plan, _ = self.recipes.programs({i: each["params"] for i, each in enumerate(proposed)}, self.seeds)
            return [self.runs.launcher.launch([program.overrides for program in plan], initial_job_idx=0)]
        self.directory.mkdir(parents=True, exist_ok=True)
        name = options.study_name or self.directory.resolve().name
        rules = options.objectives, options.direction, self.seeds
        purpose = purpose_of(self.space.distributions, *rules, self.recipes.default.settings)
        self.study = open_study(options.storage, name, self.directory, purpose)
        OmegaConf.save(self.config, self.directory / SWEEP)
        while trials := self._next_generation():
            self._train(trials)
        final = Final(self.study, self.recipes, self.runs, options, self.seeds, self.names)
        final.report()
        final.raise_failures()
        return self.runs.returned

    def _check(self, arguments: Sequence[str]) -> None:
        options = self.options
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        self.space = parse_space(options.params, arguments, parser)
        self.recipes = Recipes(self.context, self.config, self.space)
        first_seed = self.recipes.default.config["seed"]
        self.seeds = [*range(first_seed, first_seed + options.seeds)]
        check_space(self.space, self.recipes.jobs, self.recipes.default)
        self.names = check_objectives(options.objectives, self.space, self.recipes.default)
        self.n_trials = options.n_trials
        self.first: dict[str, Any] | None = self.recipes.first
        self.make_sampler = instantiate(options.sampler)
        if getattr(self.make_sampler, "func", None) is Grid:  # it decides itself where the default recipe comes
            self.make_sampler, self.first = partial(self.make_sampler, self.space.distributions), None
            self.n_trials = min(options.n_trials, self.make_sampler().size)
        elif not self.space.contains(self.recipes.first):
            outside = {key: value for key, value in self.first.items() if not self.space.contains({key: value})}
            shown = ", ".join(f"{key}={value}" for key, value in outside.items())
            log.info("The default recipe lies outside of the search space (%s), and is no trial", shown)
            self.first = None
        self._propose([], 1)  # raises an error if the sampler does not suit the space
        self.space = with_one_mode(self.space, self.recipes, self.n_trials * len(self.seeds), self.directory)
        self.recipes = Recipes(self.context, self.config, self.space)

    def _propose(self, earlier: Sequence[FrozenTrial], count: int) -> list[dict[str, Any]]:
        seed, directions = self.options.sampler["seed"], self.options.direction
        try:
            return propose(earlier, self.space, self.make_sampler, seed, directions, count, self.first)
        except ConfigError:
            raise
        except ImportError as error:  # CMA-ES is a package of its own
            raise ConfigError(f"hydra/sweeper/sampler: {one_line(error)}; {INSTALL}") from error
        except (TypeError, ValueError) as error:
            raise ConfigError(f"hydra.sweeper.sampler: {one_line(error)}") from error

    def _next_generation(self) -> list[FrozenTrial]:
        """Return the trials of the generation that is to be trained; an empty list at the end of the search.

        If the last generation is not complete, because an earlier process was killed, return this generation.
        """
        trials = trials_of(self.study)
        last = generation_of(trials, max((trial.user_attrs[GENERATION] for trial in trials), default=0))
        size = last[0].user_attrs[SIZE] if last else 0
        if len(last) < size or not all(trial.state.is_finished() for trial in last):
            earlier, count = trials[: -len(last)], size
        else:
            earlier, count = trials, min(self.options.batch, self.n_trials - len(trials))
        if count <= 0:
            return []
        proposed = self._propose(earlier, count)
        plan, refused = self.recipes.programs({i: each["params"] for i, each in enumerate(proposed)}, self.seeds)
        jobs = {i: job for job, each in enumerate(plan, next_job(self.study, earlier)) for i in each.trials}
        for i, each in enumerate(proposed):
            own = {JOB: jobs[i]} if i in jobs else {ERROR: refused[i]}
            each |= {
                "user_attrs": {**each["user_attrs"], **own},
                "state": TrialState.RUNNING if i in jobs else TrialState.FAIL,
            }
        return begin_generation(self.study, proposed)

    def _train(self, trials: Sequence[FrozenTrial]) -> None:
        """Train a generation, and tell the study what became of each trial."""
        by_number = {trial.number: trial for trial in trials}
        values = {trial.number: trial.params for trial in trials if JOB in trial.user_attrs}
        plan, _ = self.recipes.programs(values, self.seeds)
        pending = [each for each in plan if any(not by_number[i].state.is_finished() for i in each.trials)]
        if pending:
            sizes = ", ".join(f"{len(each.trials)} × {len(self.seeds)}" for each in pending)
            log.info(
                "Trials %d to %d of %d; runs of trials × seeds: %s",
                *(trials[0].number, trials[-1].number, self.n_trials, sizes),
            )
            jobs = [by_number[each.trials[0]].user_attrs[JOB] for each in pending]
            launched = self.runs.launch([self._with_pruner(each) for each in pending], jobs)
            told = {i: each for plan, results in launched for i, each in zip(plan.trials, results, strict=True)}
            self._check_first(told)
            for number, result in told.items():
                self._tell(number, result)
        self._log_progress()

    def _check_first(self, results: Mapping[int, Outcome]) -> None:
        """Check that not all trials of the first generation failed, because then the others would fail, too.

        The study is not told, so the same command trains these trials again.

        Raises:
            ConfigError: when all failed.
        """
        finished = any(trial.state.is_finished() and JOB in trial.user_attrs for trial in trials_of(self.study))
        errors = [result.error for result in results.values() if result.error]
        if not finished and len(errors) == len(results):
            raise ConfigError(f"the first {len(errors)} trials failed, so the search ends here: {errors[0]}")

    def _with_pruner(self, program: Program) -> Program:
        if not self.options.pruner:
            return program
        place = place_of(self.options.storage, self.directory)
        own = {"storage": place, "study_name": self.study.study_name, "trials": program.trials}
        line = f"+callbacks.prune={override_text({**self.options.pruner, **own})}"
        return program._replace(overrides=[*program.overrides, line])

    def _tell(self, number: int, result: Outcome) -> None:
        trial = running_trial(self.study, number)
        if trial is None:
            return
        notes: Mapping[str, Any] = {
            NUMBERS: {key: value for key, value in result.numbers.items() if value == value},
            ERROR: result.error,
        }
        for key, note in notes.items():
            if note:
                trial.set_user_attr(key, note)
        if result.values is not None:
            self.study.tell(number, result.values)
        else:
            self.study.tell(number, state=TrialState.PRUNED if result.pruned else TrialState.FAIL)

    def _log_progress(self) -> None:
        done, best = len(trials_of(self.study)), self.study.best_trials
        if len(self.options.objectives) > 1:
            log.info("%d of %d trials; %d are on the Pareto front", done, self.n_trials, len(best))
        elif best:
            recipe = " ".join(self.recipes.lines(best[0].params))
            log.info(
                "%d of %d trials; best so far: %.4g (trial %d: %s)",
                *(done, self.n_trials, best[0].values[0], best[0].number, recipe),
            )
