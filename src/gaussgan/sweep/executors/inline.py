"""Run tasks in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gaussgan.sweep.executors.protocol import Task
from gaussgan.sweep.executors.settings import check_settings


class Inline:
    """Runs tasks in this process, one after the other. A signal ends the task that is under way, and the sweep."""

    workers = 1

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def check(self) -> None:
        check_settings(self.settings, {})

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, str | None]]:
        for i, task in enumerate(tasks):
            task()
            yield i, None
