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
from optuna.trial import FrozenTrial, TrialState, create_trial

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.runs.directory import SWEEP
from gaussgan.search.checks import check_objectives, check_space
from gaussgan.search.final import DEFAULT, finish
from gaussgan.search.grid import Grid
from gaussgan.search.jobs import Jobs
from gaussgan.search.options import Options
from gaussgan.search.space import override_text, parse_space
from gaussgan.search.study import (
    ERROR,
    FINAL,
    GENERATION,
    JOB,
    NUMBERS,
    SIZE,
    begin_generation,
    generation_of,
    open_study,
    place_of,
    propose,
    purpose_of,
    running_trial,
    trials_of,
)
from gaussgan.search.trials import Program, programs

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
        self.launcher, self.config, self.options = launcher, config, options
        self.directory = Path(str(config.hydra.sweep.dir))
        self.parser = OverridesParser.create(config_loader=context.config_loader)
        self.jobs = Jobs(context, config)
        self.configs: dict[tuple[str, ...], dict[str, Any]] = {}  # configurations of the current generation

    def sweep(self, arguments: Sequence[str]) -> list[Sequence[JobReturn]]:
        """Run the search, or go on with it. Return what the launcher returned.

        Args:
            arguments: the overrides of the command line, except those of Hydra's own keys.

        Raises:
            ConfigError: before the first run, when the search is configured wrongly.
        """
        self._check(arguments)
        options = self.options
        if self.config.hydra.launcher.get("dry_run"):
            trials = [create_trial(**each) for each in self._propose([], min(options.batch, self.n_trials))]
            plan, _ = self._programs({i: trial.params for i, trial in enumerate(trials)}, self.seeds)
            return [self.launcher.launch([program.overrides for program in plan], initial_job_idx=0)]
        self.directory.mkdir(parents=True, exist_ok=True)
        name = options.study_name or self.directory.resolve().name
        purpose = purpose_of(
            self.space.distributions, options.objectives, options.direction, options.seeds, self.default.settings
        )
        self.study = open_study(options.storage, name, self.directory, options.direction, options.objectives, purpose)
        OmegaConf.save(self.config, self.directory / SWEEP)
        self.returned: list[Sequence[JobReturn]] = []
        while trials := self._next_generation():
            self._train(trials)
        finish(self)
        return self.returned

    def _check(self, arguments: Sequence[str]) -> None:
        options = self.options
        self.space = parse_space(options.params, arguments, self.parser)
        self.default = self.jobs.compose(self.space.fixed)
        first = self.default.config["seed"]
        self.seeds = [*range(first, first + options.seeds)]
        check_space(self.space, self.jobs, self.default)
        self.names = check_objectives(options.objectives, self.space, self.default)
        self.first = self.jobs.values(self.default, self.space.distributions)
        self.n_trials = options.n_trials
        self.make_sampler = instantiate(options.sampler)
        if isinstance(self.make_sampler, partial) and self.make_sampler.func is Grid:
            self.make_sampler = partial(self.make_sampler, self.space.distributions)
            self.n_trials = min(options.n_trials, len(self.make_sampler()))
        elif not self.space.contains(self.first):
            outside = {key: value for key, value in self.first.items() if not self.space.contains_value(key, value)}
            log.info(
                "The default recipe lies outside of the search space (%s)",
                ", ".join(f"{key}={value}" for key, value in outside.items()),
            )
        self._propose([], 1)  # raises an error if the sampler does not suit the space

    def _propose(self, earlier: Sequence[FrozenTrial], count: int) -> list[dict[str, Any]]:
        options = self.options
        grid = isinstance(self.make_sampler, partial) and self.make_sampler.func is Grid
        first = self.first if self.space.contains(self.first) and not grid else None
        try:
            return propose(
                earlier, self.space, self.make_sampler, options.sampler["seed"], options.direction, count, first
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(f"hydra.sweeper.sampler: {one_line(error)}") from error

    def _next_generation(self) -> list[FrozenTrial]:
        """Return the trials of the generation that is to be trained; an empty list at the end of the search.

        If the last generation is not complete, because an earlier process was killed, return this generation.
        """
        trials = trials_of(self.study)
        last = max((trial.user_attrs[GENERATION] for trial in trials), default=0)
        present = generation_of(trials, last)
        if any(not trial.state.is_finished() for trial in present) or (
            present and len(present) < present[0].user_attrs[SIZE]
        ):
            earlier, count = trials[: -len(present)], present[0].user_attrs[SIZE]
        elif (count := min(self.options.batch, self.n_trials - len(trials))) > 0:
            earlier = trials
        else:
            return []
        proposed = self._propose(earlier, count)
        self.configs.clear()
        plan, refused = self._programs({i: each["params"] for i, each in enumerate(proposed)}, self.seeds)
        jobs = {i: job for job, program in enumerate(plan, self.next_job(earlier)) for i in program.trials}
        for i, each in enumerate(proposed):
            attributes = {JOB: jobs[i]} if i in jobs else {ERROR: refused[i]}
            each["user_attrs"] = {**each["user_attrs"], **attributes}
            each["state"] = TrialState.RUNNING if i in jobs else TrialState.FAIL
        return begin_generation(self.study, proposed)

    def next_job(self, trials: Sequence[FrozenTrial]) -> int:
        """Return the number of the first job after those of the given trials, and after the final jobs."""
        used = [trial.user_attrs.get(JOB, -1) for trial in trials]
        return 1 + max([*used, self.study.user_attrs.get(FINAL, {}).get("last_job", -1)])

    def programs(self, values: Mapping[int, Mapping[str, Any]], seeds: Sequence[int]) -> list[Program]:
        """Return the programs that train some trials. A trial whose configuration is refused is in no program."""
        return self._programs(values, seeds)[0]

    def _programs(
        self, values: Mapping[int, Mapping[str, Any]], seeds: Sequence[int]
    ) -> tuple[list[Program], dict[int, str]]:
        """Return the programs of some trials, and for each trial whose configuration is refused, one line of why."""
        overrides = {
            i: [*self.space.fixed] if i == DEFAULT else [*self.space.fixed, *self.lines(each)]
            for i, each in values.items()
        }
        configs, refused = {}, {}
        for i, lines in overrides.items():
            try:
                if tuple(lines) not in self.configs:
                    self.configs[tuple(lines)] = self.jobs.compose(lines).config
                configs[i] = self.configs[tuple(lines)]
            except ConfigError as error:
                refused[i] = str(error)
        return programs(configs, overrides, seeds), refused

    def lines(self, values: Mapping[str, Any]) -> list[str]:
        """Return the overrides of a trial.

        A value is left out if the trial has no such key: penalty=none has no penalty.weight.
        """
        groups = {key: value for key, value in values.items() if key in self.default.composed.hydra.runtime.choices}
        chosen = self.jobs.choose((*self.space.fixed, *self.space.lines(groups)))
        present = {key: value for key, value in values.items() if key in groups or key[0] == "+" or chosen.has(key)}
        return self.space.lines(present)

    def _train(self, trials: Sequence[FrozenTrial]) -> None:
        """Train a generation, and tell the study what became of each trial."""
        running = {trial.number: trial for trial in trials if trial.state == TrialState.RUNNING}
        plan, _ = self._programs({t.number: t.params for t in trials if JOB in t.user_attrs}, self.seeds)
        by_number = {trial.number: trial for trial in trials}
        pending = [program for program in plan if {*program.trials} & running.keys()]
        numbers = [by_number[program.trials[0]].user_attrs[JOB] for program in pending]
        if pending:
            log.info(
                "Trials %d to %d of %d: %d programs of %d seeds each",
                *(trials[0].number, trials[-1].number, self.n_trials, len(pending), len(self.seeds)),
            )
        for program, results in self.launch([self._pruned(program) for program in pending], numbers):
            for number, result in zip(program.trials, results, strict=True):
                if number in running:
                    self._tell(running[number], result)
        self._log_progress(trials)

    def _pruned(self, program: Program) -> Program:
        """Add the pruner to a program, if there is one."""
        if not self.options.pruner:
            return program
        place = place_of(self.options.storage, self.directory)
        own = {"storage": place, "study_name": self.study.study_name, "trials": program.trials}
        line = f"+callbacks.prune={override_text({**self.options.pruner, **own})}"
        return program._replace(overrides=[*program.overrides, line])

    def launch(self, plan: Sequence[Program], numbers: Sequence[int]) -> list[tuple[Program, list[Outcome]]]:
        """Run programs. Return each with what became of its trials.

        Args:
            plan: the programs.
            numbers: the number of the job of each program.
        """
        jobs = [program.overrides for program in plan]
        if [*numbers] == [*range(numbers[0], numbers[0] + len(jobs))] if jobs else True:
            returned = [self.launcher.launch(jobs, initial_job_idx=numbers[0])] if jobs else []
        else:
            returned = [self.launcher.launch([job], initial_job_idx=n) for job, n in zip(jobs, numbers, strict=True)]
        self.returned += returned
        flat = [each for several in returned for each in several]
        return [
            (program, self._outcomes(each, number, len(program.trials)))
            for program, each, number in zip(plan, flat, numbers, strict=True)
        ]

    def _outcomes(self, returned: JobReturn, number: int, trials: int) -> list[Outcome]:
        from gaussgan.search.outcomes import Outcome, outcomes  # imports torch, so after the checks

        try:
            _ = returned.return_value  # raises the error that ended the job
        except Exception as error:
            return [Outcome(error=one_line(error))] * trials
        directory = self.jobs.directory(returned, number)
        return outcomes(directory, trials, self.options.objectives, self.options.direction)

    def _tell(self, trial: FrozenTrial, result: Outcome) -> None:
        handle = running_trial(self.study, trial.number)
        if handle is None:
            return
        if result.numbers:
            handle.set_user_attr(NUMBERS, {key: value for key, value in result.numbers.items() if value == value})
        if result.error:
            handle.set_user_attr(ERROR, result.error)
        if result.values is not None:
            self.study.tell(trial.number, result.values)
        else:
            self.study.tell(trial.number, state=TrialState.PRUNED if result.pruned else TrialState.FAIL)

    def _log_progress(self, trials: Sequence[FrozenTrial]) -> None:
        done = len(trials_of(self.study))
        best = self.study.best_trials
        if len(self.options.objectives) > 1:
            log.info("%d of %d trials; %d are on the Pareto front", done, self.n_trials, len(best))
        elif best:
            log.info(
                "%d of %d trials; best so far: %.4g (trial %d: %s)",
                *(done, self.n_trials, best[0].values[0], best[0].number, " ".join(self.lines(best[0].params))),
            )
