"""What a person sees in the terminal: progress while a run goes on, and one table at its end."""

from __future__ import annotations

import logging
from datetime import timedelta
from time import perf_counter
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.evaluation.evaluator import score
from gaussgan.evaluation.summary import middle
from gaussgan.gan.module import GAN
from gaussgan.gan.state import TAGS

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.2
LINE_SECONDS, LINES = 10, 100  # the least time between two lines, and about the most lines of a run


class IterationsBar(ProgressBar):
    """How far a run is: iterations, time left, losses (means over the epoch so far), w2 and examples per second.

    On a terminal it is one bar, which leaves out what does not fit; elsewhere, as for a batch job, the log gets a line
    now and then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.progress: Progress | None = None
        self.bar = BarColumn()
        self.enabled = True

    def enable(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not self.enabled:
            return
        self.total = planned_iterations(trainer)
        self.started, self.start = perf_counter(), trainer.global_step
        self.next = self.started + LINE_SECONDS
        if (console := Console(stderr=True)).is_terminal:
            state = TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True))
            self.progress = Progress(self.bar, state, console=console, auto_refresh=False)
            self.task = self.progress.add_task("", total=self.total, state="")
            self.next = self.started
            self.progress.start()

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if self.enabled and perf_counter() > self.next:
            self._show(trainer, gan)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if self.progress is not None:
            self._show(trainer, gan)
        self._stop()

    def on_exception(self, *_: Any) -> None:
        self._stop()

    def _show(self, trainer: Trainer, gan: GAN) -> None:
        now, step = perf_counter(), trainer.global_step
        seconds = now - self.started
        left = seconds * (self.total - step) / max(step - self.start, 1)
        numbers = [
            f"{step}/{self.total}",
            f"{_clock(left)} left" if left else f"{_clock(seconds)} in all",
            *self._numbers(trainer, gan, step, seconds),
        ]
        if self.progress is None:
            log.info("  ".join(numbers))
            self.next = now + max(LINE_SECONDS, (seconds + left) / LINES)
            return
        self.next = now + REFRESH_SECONDS
        while (room := self.progress.console.width - len("  ".join(numbers)) - 1) < 1 and len(numbers) > 2:
            numbers.pop()
        self.bar.bar_width = max(1, min(room, 10))
        self.progress.update(self.task, completed=step, state="  ".join(numbers))
        self.progress.refresh()

    def _numbers(self, trainer: Trainer, gan: GAN, step: int, seconds: float) -> list[str]:
        """The losses, the score and the speed; of this rank, which waits for no others."""
        data = data_of(trainer)
        speed = gan.replicas * (data.examples_seen(step) - data.examples_seen(self.start)) / seconds
        means = dict(zip(TAGS, gan.state.epoch.means().unbind(-1), strict=True))
        numbers = []
        for name in ("loss_d", "loss_g"):
            loss = middle(means, f"train/{name}", gan.diverged)
            numbers.append(f"{name} {loss:.3f}" if abs(loss) < 1e4 else f"{name} {loss:.3g}")
        if gan.history:
            tag = score(gan.history[-1])
            numbers += [f"{tag.removeprefix('val/')} {middle(gan.history[-1], tag, gan.diverged):.3g}"]
        return [*numbers, f"{speed:,.0f} ex/s"]

    def _stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


def _clock(seconds: float) -> str:
    """Minutes and seconds, with hours and days where there are: 0:12, 2:13:20."""
    clock = str(timedelta(seconds=round(seconds)))
    return clock.removeprefix("0:").removeprefix("0") if seconds < 3599.5 else clock
