"""Stop the hopeless trials of a search within a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import Callback, Trainer

from gaussgan.callbacks.epochs import passes
from gaussgan.callbacks.evaluation import current_row, evaluation_of
from gaussgan.data.iterations import planned_iterations
from gaussgan.evaluation.scores import score
from gaussgan.evaluation.summary import middle
from gaussgan.gan.divergence import PRUNED, Diverged
from gaussgan.gan.module import GAN
from gaussgan.search.study import load_study, quiet, running_trial


class Prune(Callback):
    """Stop trials that a pruner of Optuna finds hopeless. Their replicas are frozen.

    After every `every` epochs, or after the first evaluated epoch that follows, the median score of each trial is
    reported to the study, and the pruner decides. A frozen replica is still computed, because all replicas share one
    program; so pruning saves time only when all replicas of a run are frozen, and the run then ends. The study shows
    the scores during training in any case.

    Args:
        storage: the storage of the study; see `open_study`.
        study_name: the name of the study.
        trials: the number of each trial in the run, in the order of the replicas.
        pruner: a pruner of Optuna, such as `optuna.pruners.MedianPruner`. A step of the pruner is an epoch.
        every: the smallest number of epochs between two decisions.
    """

    def __init__(self, storage: str, study_name: str, trials: Sequence[int], pruner: Any, every: int = 1) -> None:
        self.place, self.numbers, self.pruner, self.every = (storage, study_name), trials, pruner, every

    def on_fit_start(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        self.study = load_study(*self.place, pruner=self.pruner)
        self.trials = [running_trial(self.study, number) for number in self.numbers]

    def on_train_epoch_end(self, trainer: Trainer, gan: GAN) -> None:  # type: ignore[override]
        row = current_row(trainer)
        if row is None or trainer.global_step >= planned_iterations(trainer):
            return
        if not passes(evaluation_of(trainer).history, lambda epoch: epoch // self.every):
            return
        seeds, tag, step = gan.replicas // len(self.trials), score(row), trainer.global_step
        with quiet():
            for i, trial in enumerate(self.trials):
                lanes = range(i * seeds, (i + 1) * seeds)
                if trial is None or all(lane in gan.diverged for lane in lanes):
                    continue
                values = row[tag] if gan.replicas == 1 else row[tag][lanes.start : lanes.stop]
                frozen = [lane - lanes.start for lane in lanes if lane in gan.diverged]
                trial.report(middle({tag: values}, tag, frozen), row["epoch"])
                if trial.should_prune() and gan.replicas > 1:  # a single run has no row that says so
                    new = {lane: Diverged(step, PRUNED) for lane in lanes if lane not in gan.diverged}
                    gan.state = gan.state._replace(diverged={**gan.diverged, **new})
        if len(gan.diverged) == gan.replicas:
            trainer.should_stop = True
