"""The logger behind `logger=csv`."""

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
    """`metrics.csv`, with a row for each iteration at which something is logged.

    Each row is written at once. All that is logged at one iteration shares a row. Lightning's own `CSVLogger` deletes
    the file when a run is resumed in its directory; this one keeps the rows before `purge_step`.

    Args:
        save_dir: the directory of the file.
        purge_step: the rows of this iteration and of later ones are dropped.
    """

    name, version = "", ""

    def __init__(self, save_dir: str, purge_step: int = 0) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.purge_step: float = purge_step
        self.columns: list[str] = []
        self.step, self.start = -1, 0  # the last row's iteration, and its place in the file
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
            if step == self.step:  # in the place of the last row
                row = {**self.row, **row}
                file.seek(self.start)
                file.truncate()
            else:
                self.start = file.seek(0, SEEK_END)
            csv.DictWriter(file, self.columns).writerow(row)
        self.step, self.row = step, row

    def _rewrite(self, step: int, row: dict[str, Any]) -> None:
        """Write the whole file again, with a row that has new columns or belongs between others."""
        text = self.path.read_text() if self.path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # without a row that a kill cut short
        rows = {
            int(old["step"]): old for old in csv.DictReader(whole.splitlines()) if int(old["step"]) < self.purge_step
        }
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
