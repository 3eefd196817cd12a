"""A run of more replicas than are to be trained at a time: runs of some of them, one after another, as one."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gaussgan.aggregate import summary
from gaussgan.callbacks.record import record_of
from gaussgan.config import ConfigError, recipe
from gaussgan.directory import LAST, RECORD, parts_of, read_record, read_replicas, write_record, write_replicas
from gaussgan.figures import render, save
from gaussgan.history import Row, unpack
from gaussgan.metrics import has_closed_form
from gaussgan.pictures import picture_replicas
from gaussgan.runs import read_checkpoint, trained_networks
from gaussgan.validation import score
from gaussgan.variation import some_replicas, varying

DONE = ("completed", "diverged")
NO_MEASURES = ("replica", "seed", "status")  # columns of replicas.csv


def in_parts(cfg: DictConfig) -> bool:
    """Whether a run has more replicas than are to be trained at a time."""
    return cfg.max_replicas is not None and cfg.replicas > cfg.max_replicas


class Parts:
    """The parts of a run, each a whole run of as many replicas in RUN/parts/FIRST, the number of its first one.

    Raises:
        ConfigError: when the run is to go on from a checkpoint of another directory.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg, self.directory = cfg, Path(cfg.run_dir)
        if cfg.ckpt_path is not None and self.directory.resolve() not in Path(cfg.ckpt_path).resolve().parents:
            raise ConfigError(
                f"ckpt_path must be of {self.directory}/parts, as a run in parts goes on in its own directory (got"
                f" {cfg.ckpt_path})"
            )
        self.config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        number = -(-cfg.replicas // cfg.max_replicas)
        self.slices = [
            slice(int(part[0]), int(part[-1]) + 1) for part in torch.arange(cfg.replicas).tensor_split(number)
        ]

    def unfinished(self) -> Iterator[DictConfig]:
        """The configurations of the parts that are not done; one that has begun goes on from where it was.

        Raises:
            ConfigError: when one has another recipe.
        """
        for rows in self.slices:
            directory = self.directory / "parts" / str(rows.start)
            cfg = deepcopy(self.cfg)
            cfg.run_dir = str(directory)
            cfg.ckpt_path = str(directory / LAST) if (directory / LAST).exists() else None
            part = some_replicas(OmegaConf.to_container(cfg, resolve=True), rows)  # type: ignore[arg-type]
            if cfg.ckpt_path is not None and recipe(read_checkpoint(cfg.ckpt_path)["config"]) != recipe(part):
                raise ConfigError(f"hydra.run.dir: {directory} holds a part of a run with another recipe")
            if (directory / RECORD).exists() and read_record(directory)["status"] in DONE:
                continue
            yield OmegaConf.create(part)

    def conclude(self) -> dict[str, Any]:
        """Write of all replicas what a run of them leaves: metrics.json, replicas.csv and the figure."""
        done = parts_of(self.directory)
        records = [read_record(part) for part in done.values()]
        rows = [
            {**row, "replica": first + i} for first, part in done.items() for i, row in enumerate(read_replicas(part))
        ]
        write_replicas(self.directory, rows)
        diverged = [i for i, row in enumerate(rows) if row["status"] == "diverged"]
        row = self._measures(rows)
        stopped = [record for record in records if record["status"] not in DONE]
        if stopped or len(done) < len(self.slices):
            status, error = "interrupted", stopped[0]["error"] if stopped else "stopped between two parts"
        elif len(diverged) == len(rows):
            status, error = "diverged", records[-1]["error"]
        else:
            status, error = "completed", None
        iterations = max(record["iterations"] for record in records)
        examples, seconds = (sum(record[key] for record in records) for key in ("examples", "seconds"))
        record = record_of(self.config, summary(row, diverged), status, error, iterations, examples, seconds)
        write_record(self.directory, record)
        if status in DONE:
            self._draw(row, iterations)
        return read_record(self.directory)

    @cached_property
    def law(self) -> Any:
        return instantiate(self.config["data"]["distribution"])

    @cached_property
    def exact(self) -> bool:
        """Whether the generators' laws are known."""
        return has_closed_form(self._generators)

    @cached_property
    def _generators(self) -> Any:
        """Those of the first part."""
        return trained_networks(self._first, self.law.dim)["generator"]

    @cached_property
    def _first(self) -> dict[str, Any]:
        """The checkpoint of the first part."""
        return read_checkpoint(self.directory / "parts" / "0" / LAST)

    def _measures(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        own = (*NO_MEASURES, *varying(self.config))
        columns = {tag: [row[tag] for row in rows] for tag in rows[0] if tag not in own}
        return {
            tag: torch.tensor([float(value or "nan") for value in values], dtype=torch.float64)
            for tag, values in columns.items()
            if any(values)
        }

    def _draw(self, row: dict[str, Tensor], iterations: int) -> None:
        learned = None
        if self.exact:
            means, covs = (moment.detach() for moment in self._generators.moments())
            alive = [i for i in range(len(means)) if i not in self._first["diverged"]]
            learned = (means[alive], covs[alive])
        floors = row.get("mle/w2")
        picture = picture_replicas(self._history(), self.config["replicas"], iterations, self.law, learned, floors)
        save(render(picture), self.directory / "figures" / "final.png")

    def _history(self) -> list[Row]:
        """The scores of all replicas after each epoch; NaN after the end of a part that diverged as a whole."""
        histories = [unpack(read_checkpoint(part / LAST)["history"]) for part in parts_of(self.directory).values()]
        longest = max(histories, key=len)
        if not longest:
            return []
        tag, sizes = score(longest[0]), [rows.stop - rows.start for rows in self.slices]

        def values(history: list[Row], size: int, epoch: int) -> Tensor:
            return history[epoch][tag] if epoch < len(history) else torch.full((size,), torch.nan, dtype=torch.float64)

        return [
            {
                "iteration": row["iteration"],
                tag: torch.cat([values(each, size, epoch) for each, size in zip(histories, sizes, strict=True)]),
            }
            for epoch, row in enumerate(longest)
        ]
