"""What a sweep prints before its jobs begin and after they have ended."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobStatus, filter_overrides
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gaussgan.config.errors import ConfigError
from gaussgan.sweep.jobs import DONE, Job

log = logging.getLogger(__name__)


def print_plan(jobs: Sequence[Job], sweep: Path) -> None:
    """Print what a sweep would do with each job: skip it, go on with it, or run it."""
    table = Table("job", "directory", "what", "what differs between the jobs", box=None, header_style="bold")
    lists = [filter_overrides(job.overrides) for job in jobs]
    common = set.intersection(*map(set, lists)) if len(jobs) > 1 else set()
    counts: Counter[str] = Counter()
    for job, overrides in zip(jobs, lists, strict=True):
        status = job.record["status"]
        what = "skip" if status in DONE else "go on" if job.goes_on else "run"
        counts[what] += 1
        was = f" ({status})" if status else ""
        own = " ".join(override for override in overrides if override not in common)
        table.add_row(f"#{job.number}", escape(os.path.relpath(job.run_dir, sweep)), f"{what}{was}", escape(own))
    console = Console()
    console.print(table)
    console.print(f"{len(jobs)} jobs: {', '.join(f'{n} to {what}' for what, n in counts.items())}; nothing was done")


def end_sweep(jobs: Sequence[Job], sweep: Path, stopped: bool) -> bool:
    """Print and write the report of a sweep, and print how a sweep that was stopped goes on.

    Return whether a job failed.

    Args:
        jobs: the jobs of the sweep.
        sweep: the directory of the sweep.
        stopped: whether the sweep was stopped before its end.
    """
    console = Console(stderr=True, soft_wrap=True)
    # While the disk is full, the record of a job cannot say that the job failed.
    counts = Counter(
        "failed" if job.returned.status == JobStatus.FAILED else job.record["status"] or "not begun" for job in jobs
    )
    failed = counts["failed"] > 0
    try:
        from gaussgan.report.write import write_report  # imports pandas and plotly

        write_report([sweep], sweep)
    except ConfigError as error:
        console.print(f"There is no report: {error}", markup=False)
    except Exception:
        log.exception("The report could not be written; python scripts/report.py %s tries again", _shown(sweep))
    console.print(f"{len(jobs):,} jobs: {', '.join(f'{n:,} {status}' for status, n in counts.most_common())}")
    if stopped and {*counts} - {*DONE, "failed"}:
        console.print(f"The sweep was stopped. The same command with hydra.sweep.dir={_shown(sweep)} goes on.")
    elif failed:
        console.print(f"The same command with hydra.sweep.dir={_shown(sweep)} runs the failed jobs again.")
    return failed


def _shown(path: Path) -> str:
    """Return a path relative to the working directory if it lies inside, else the absolute path."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
