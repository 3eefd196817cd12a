"""Launch the programs of a search, and read what became of their trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher

from gaussgan.config.errors import one_line
from gaussgan.search.options import Options
from gaussgan.search.trials import Program

if TYPE_CHECKING:
    from gaussgan.search.outcomes import Outcome


class Runs:
    """Launches programs with a launcher of Hydra.

    Args:
        launcher: the launcher.
        directory: the directory of the sweep.
        options: the settings of the search.
    """

    def __init__(self, launcher: Launcher, directory: Path, options: Options) -> None:
        self.launcher, self.directory, self.options = launcher, directory, options
        self.returned: list[Sequence[JobReturn]] = []

    def launch(self, plan: Sequence[Program], numbers: Sequence[int]) -> list[tuple[Program, list[Outcome]]]:
        """Run programs. Return each with what became of its trials.

        Args:
            plan: the programs.
            numbers: the number of the job of each program.
        """
        jobs = [program.overrides for program in plan]
        if [*numbers] == [*range(numbers[0], numbers[0] + len(jobs))]:
            returned = [self.launcher.launch(jobs, initial_job_idx=numbers[0])]
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
        known = returned.hydra_cfg
        directory = self.directory / str(number) if known is None else Path(known.hydra.runtime.output_dir)
        return outcomes(directory, trials, self.options.objectives, self.options.direction)
