"""Show the progress of a run in the terminal, or in the log of a batch job."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.config.units import clock
from gaussgan.data.iterations import data_of, planned_iterations
from gaussgan.evaluation.scores import score
from gaussgan.evaluation.summary import middle
from gaussgan.gan.module import GAN
from gaussgan.gan.state import TAGS

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.2
LINE_SECONDS, LINES = 10, 100  # in a log: at least 10 seconds between two lines, at most about 100 lines


class IterationsBar(ProgressBar):
    """Show the number of iterations, the time left, both losses, the score, and the number of examples per second.

    Each loss is a mean over the current epoch so far. The score is the distance of the generator's distribution from
    the true distribution after the last epoch. For replicas, medians of the losses and of the score are shown. In a
    terminal, a bar and these entries are one line. If the line is too short, the last entries are left out. Without a
    terminal, the entries are logged as a new line from time to time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enabled, self.bar = True, BarColumn()
        self.progress: Progress | None = None

    def enable(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def on_train_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if not self.enabled:
            return
        self.total, self.start, self.started = planned_iterations(trainer), trainer.global_step, perf_counter()
        self.next_time = self.started + LINE_SECONDS
        if (console := Console(stderr=True)).is_terminal:
            text = TextColumn("{task.description}", table_column=Column(no_wrap=True))
            self.progress = Progress(self.bar, text, console=console, auto_refresh=False)
            self.task = self.progress.add_task("", total=self.total)
            self.next_time = self.started
            self.progress.start()

    def on_train_batch_end(self, trainer: Trainer, gan: GAN, *_: Any) -> None:  # type: ignore[override]
        if self.enabled and perf_counter() > self.next_time:
            self._show(trainer, gan)

    def on_train_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        if self.progress is not None:
            self._show(trainer, gan)
        self.on_exception()

    def on_exception(self, *_: Any) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def _show(self, trainer: Trainer, gan: GAN) -> None:
        step, seconds = trainer.global_step, perf_counter() - self.started
        left = seconds * (self.total - step) / max(step - self.start, 1)
        time = f"{clock(left)} left" if left else f"{clock(seconds)} in all"
        texts = [f"{step}/{self.total}", time, *self._numbers(trainer, gan, seconds)]
        if self.progress is None:
            log.info("  ".join(texts))
            self.next_time = self.started + seconds + max(LINE_SECONDS, (seconds + left) / LINES)
            return
        while (room := self.progress.console.width - len("  ".join(texts)) - 1) < 1 and len(texts) > 2:
            texts.pop()
        self.bar.bar_width = max(1, min(room, 10))
        self.progress.update(self.task, completed=step, description="  ".join(texts), refresh=True)
        self.next_time = self.started + seconds + REFRESH_SECONDS

    def _numbers(self, trainer: Trainer, gan: GAN, seconds: float) -> list[str]:
        """Return the losses, the score and the speed as texts. The losses are means over this rank's examples only.

        Args:
            seconds: the seconds since training started in this process.
        """
        data, row = data_of(trainer), dict(zip(TAGS, gan.state.epoch.means().unbind(-1), strict=True))
        losses = {name: middle(row, f"train/{name}", gan.diverged) for name in ("loss_d", "loss_g")}
        texts = [f"{name} {loss:.3f}" if abs(loss) < 1e4 else f"{name} {loss:.3g}" for name, loss in losses.items()]
        for last in evaluation_of(trainer).history[-1:]:
            texts.append(f"{score(last).removeprefix('val/')} {middle(last, score(last), gan.diverged):.3g}")
        seen = data.examples_seen(trainer.global_step) - data.examples_seen(self.start)
        return [*texts, f"{gan.replicas * seen / seconds:,.0f} ex/s"]
