"""Run tasks in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gaussgan.sweep.executors.protocol import Task


class Inline:
    """Runs tasks in this process, one after the other. A signal ends the task that is under way, and the sweep."""

    workers = 1

    def check(self) -> None:
        """Do nothing: there are no settings."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, str | None]]:
        for i, task in enumerate(tasks):
            task()
            yield i, None
