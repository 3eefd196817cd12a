"""The state of a run, from which pictures are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from gaussgan.data.datamodule import DataModule
from gaussgan.data.examples import layout_of
from gaussgan.data.loader import Batch
from gaussgan.evaluation.baseline import baselines_of
from gaussgan.evaluation.chunked import ChunkedEvaluator
from gaussgan.evaluation.evaluator import Evaluator
from gaussgan.evaluation.scores import baseline_tag, score
from gaussgan.figures.style import Unit
from gaussgan.gan.module import GAN
from gaussgan.runs.history import Row

BATCH = 1_000  # largest number of examples in the batch on which a game is linearised


@dataclass(frozen=True)
class Snapshot:
    """The state of a run after `iterations` iterations, from which pictures are drawn."""

    gan: GAN
    data: DataModule
    evaluator: Evaluator | ChunkedEvaluator
    iterations: int
    history: Sequence[Row] = ()  # one row of measures for each evaluated epoch
    trajectory: Sequence[Tensor] = ()  # parameter vectors over time, if the run has the callback `Trajectory`
    frames: Mapping[str, Tensor] = field(default_factory=dict)  # if the run has the callback `Frames`

    @property
    def title(self) -> str:
        return f"iteration {self.iterations:,}"

    @property
    def is_images(self) -> bool:
        """True if the examples are images that can be drawn."""
        layout = layout_of(self.data.distribution)
        return layout is not None and layout.drawable

    @property
    def score(self) -> tuple[str, str]:
        """The tag of the distance by which the run is judged, and a title with its last value."""
        known, row = self.data.distribution.gaussian, self.history[-1] if self.history else {}
        tag = score(row) if row else "val/w2" if known else "val/frechet" if self.is_images else "val/sliced_w2"
        value = row.get(tag)
        return tag, self.title + (f": {readable(tag)} = {value:.4g}" if isinstance(value, float) else "")

    @property
    def units(self) -> list[Unit]:
        """The units of the coordinates in a picture of examples from a file; [] for other examples."""
        layout = layout_of(self.data.distribution)
        if layout is None:
            return []
        if layout.dim > 2:
            return [Unit(f"{which} principal axis of {layout.dim} columns") for which in ("first", "second")]
        return [*map(Unit, layout.names, layout.shift.tolist(), layout.scale.tolist())]

    def baseline(self, tag: str) -> Tensor | None:
        """Return the baseline of a distance: a number, or one for each replica; None without a baseline."""
        return baselines_of(self.data, self.iterations, self.evaluator).get(baseline_tag(tag))

    def floor(self, tag: str) -> float | None:
        """Return the baseline of a distance of a single run; None without a baseline."""
        return None if (value := self.baseline(tag)) is None else value.item()

    def batch(self) -> Batch:
        """Return at most 1,000 examples of the first epoch, the first after shuffling, as one batch in float64."""
        return self.data.first_batch(BATCH).map(Tensor.double)


def readable(tag: str) -> str:
    """Return the name of a measure as it is written in a title."""
    name = tag.removeprefix("val/").replace("_", " ").replace("w2", "W₂")
    return "Fréchet distance" if name == "frechet" else name
