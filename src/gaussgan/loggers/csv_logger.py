"""The logger that the option `logger=csv` chooses. It writes the files metrics.csv and hparams.yaml."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from os import SEEK_END
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from gaussgan.config.dotted import to_yaml


class CSVLogger(Logger):
    """A logger that writes the file `metrics.csv`, with one row for each iteration at which numbers are logged.

    The hyperparameters go to `hparams.yaml`. Each row is written immediately. If the file exists already, because a run
    is resumed, the rows of iterations before `purge_step` are kept. Lightning's own `CSVLogger` would delete these
    rows.

    Args:
        save_dir: the directory of both files.
        purge_step: an iteration. If the file exists, the rows of this iteration and of all later ones are deleted.
    """

    name, version = "", ""

    def __init__(self, save_dir: str, purge_step: int = 0) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.purge_step: float = purge_step
        self.columns: list[str] = []
        self.step, self.start = -1, 0  # the iteration of the last row, and its position in the file
        self.row: dict[str, Any] = {}

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any], *_: Any, **__: Any) -> None:  # type: ignore[override]
        self.path.with_name("hparams.yaml").write_text(to_yaml(params))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        step = max(self.step, 0) if step is None else step
        row = {"step": step, **{tag: v.item() if isinstance(v, Tensor) else v for tag, v in metrics.items()}}
        if step < self.step or not row.keys() <= {*self.columns}:
            self._rewrite(step, row)
            return
        with self.path.open("r+", newline="") as file:
            if step == self.step:  # replace the last row
                row = {**self.row, **row}
                file.seek(self.start)
                file.truncate()
            else:
                self.start = file.seek(0, SEEK_END)
            csv.DictWriter(file, self.columns).writerow(row)
        self.step, self.row = step, row

    def _rewrite(self, step: int, row: dict[str, Any]) -> None:
        """Write the whole file again, with one more row.

        This is necessary if the new row has new columns, or if `step` is smaller than the iteration of the last row.

        Args:
            step: the iteration of the new row.
            row: the new row, which maps columns to values.
        """
        text = self.path.read_text() if self.path.exists() else ""
        complete = text[: text.rfind("\n") + 1].splitlines()  # a killed process may leave half a row
        rows = {int(old["step"]): old for old in csv.DictReader(complete) if int(old["step"]) < self.purge_step}
        rows[step] = {**rows.get(step, {}), **row}
        self.purge_step, self.step = math.inf, max(rows)
        self.row = rows[self.step]
        self.columns = [*dict.fromkeys(column for old in rows.values() for column in old)]
        temporary = self.path.with_name(".metrics.csv.tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            for i in sorted(rows):
                self.start = file.tell()
                writer.writerow(rows[i])
        temporary.replace(self.path)
