"""The final figures of the best, the median and the worst run, as saved by the run or drawn from its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gaussgan.config.errors import one_line
from gaussgan.report.collect import RunDirectory
from gaussgan.runs.directory import LAST

FINAL = "figures/final.png"


class Final(NamedTuple):
    """A run and its final figure as the bytes of a PNG file. Without a figure, `problem` says why."""

    name: str
    row: int
    png: bytes | None
    problem: str | None = None


def final_figures(frame: pd.DataFrame, runs: Sequence[RunDirectory]) -> Iterator[Final]:
    """Yield the final figures of the runs or replicas with the best, the median and the worst finite score.

    Args:
        frame: the table of all runs, with the column "score"; see `add_scores`.
        runs: the run directories.
    """
    score = frame["score"].to_numpy()
    ranked = np.argsort(score, kind="stable")[: np.isfinite(score).sum()]  # NaN comes last
    if not len(ranked):
        return
    places = {"best": 0, "median": (len(ranked) - 1) // 2, "worst": len(ranked) - 1}
    checkpoints: dict[RunDirectory, dict[str, Any]] = {}
    for name, place in places.items():
        if place in [other for each, other in places.items() if [*places].index(each) < [*places].index(name)]:
            continue
        row = int(ranked[place])
        run, replica = runs[frame["run"].iloc[row]], int(frame["replica"].iloc[row])
        try:
            yield Final(name, row, figure_of(run, replica, checkpoints))
        except Exception as error:  # a run's files may be damaged, and its networks may be of any class
            yield Final(name, row, None, one_line(error))


def figure_of(run: RunDirectory, replica: int, checkpoints: dict[Any, dict[str, Any]]) -> bytes:
    """Return the final figure of a run, or of one of its replicas, as the bytes of a PNG file.

    The figure is the one that the run saved. Without such a file, it is drawn from the last checkpoint.

    Args:
        run: the run.
        replica: the index of the replica; -1 for the whole run.
        checkpoints: keeps the last checkpoint that was read, for the next call.
    """
    if replica < 0 and (path := run.path / FINAL).is_file():
        return path.read_bytes()
    from gaussgan.runs.checkpoint import read_checkpoint
    from gaussgan.runs.replica_checkpoint import single_checkpoint

    if run.path not in checkpoints:
        checkpoints.clear()  # checkpoints of many replicas are large
        checkpoints[run.path] = read_checkpoint(run.path / LAST)
    checkpoint = checkpoints[run.path]
    return _draw(run, checkpoint if replica < 0 else single_checkpoint(checkpoint, replica))


def _draw(run: RunDirectory, checkpoint: Mapping[str, Any]) -> bytes:
    """Draw the overview of a single run from its checkpoint. The run may name only trusted classes."""
    import torch
    from hydra.utils import instantiate
    from PIL import Image

    from gaussgan.callbacks.drawing import Snapshot
    from gaussgan.callbacks.drawing import game as draw_game
    from gaussgan.evaluation.chunked import evaluator_of
    from gaussgan.figures import render
    from gaussgan.gan.game import Game
    from gaussgan.gan.objectives import NonSaturating
    from gaussgan.report.run_game import is_logistic
    from gaussgan.runs.history import unpack
    from gaussgan.runs.load import trained_networks
    from gaussgan.runs.trust import check_trusted

    @dataclass(frozen=True)
    class Trained:
        """The attributes of a GAN that the drawing reads."""

        generator: Any
        discriminator: Any
        game: Game
        logistic: bool
        generator_ema: Any = None
        replicas: int = 1

        @property
        def placed(self) -> torch.Tensor:
            return next(self.generator.parameters())

    config = checkpoint["config"]
    check_trusted(config, run.path)
    data = instantiate(config["data"])
    networks: dict[str, Any] = {**trained_networks(checkpoint, data.distribution.dim, on_meta=True)}
    packing = config["discriminator"].get("packing", 1)
    # Only the game's verdict is drawn. The run's own objective may be of any class, so it is not made.
    game = Game(networks["generator"], networks["discriminator"], NonSaturating(), packing=packing)
    gan: Any = Trained(**networks, game=game, logistic=is_logistic(config))
    with torch.no_grad():
        picture = draw_game(
            Snapshot(gan, data, evaluator_of(data), checkpoint["global_step"], unpack(checkpoint["history"]))
        )
    assert picture is not None
    file = BytesIO()
    Image.fromarray(render(picture.figure)).save(file, "png")
    return file.getvalue()
