"""The logger behind `logger=csv`."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from gaussgan.tree import to_yaml


class CSVLogger(Logger):
    """`metrics.csv`, with a row for each iteration at which something is logged.

    Each row is written at once, and what is logged at the same iteration shares a row. Lightning's own `CSVLogger`
    deletes the file when a run is resumed in its directory; this one keeps the rows before `purge_step`.

    Args:
        save_dir: the directory of the file.
        purge_step: rows of this iteration and later ones are dropped.
    """

    name, version = "", ""

    def __init__(self, save_dir: str, purge_step: int = 0) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.purge_step: float = purge_step
        self.columns: list[str] = []
        self.step = -1  # of the last row

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
        if step > self.step and row.keys() <= {*self.columns}:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(row)
        else:
            self._insert(step, row)
        self.step = max(step, self.step)

    def _insert(self, step: int, row: dict[str, Any]) -> None:
        """Write the whole file again, with a row that is new, has new columns, or adds to one that is there."""
        text = self.path.read_text() if self.path.exists() else ""
        rows = {
            int(old["step"]): old for old in csv.DictReader(text.splitlines()) if int(old["step"]) < self.purge_step
        }
        rows[step] = {**rows.get(step, {}), **row}
        self.purge_step, self.step = math.inf, max(rows)
        self.columns = [*dict.fromkeys(column for old in rows.values() for column in old)]
        temporary = self.path.with_name(".metrics.csv.tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows[i] for i in sorted(rows))
        temporary.replace(self.path)
