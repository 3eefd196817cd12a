"""A run of more replicas than are to be trained at a time: runs of some of them, one after another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gaussgan.checkpoint import read_checkpoint
from gaussgan.config import ConfigError, differences, one_line
from gaussgan.data import iteration_limits
from gaussgan.directory import LAST, PARTS, RECORD, read_record, write_record
from gaussgan.variation import some_replicas


def in_parts(cfg: DictConfig) -> bool:
    """Whether a run has more replicas than are to be trained at a time."""
    return cfg.max_replicas is not None and cfg.replicas > cfg.max_replicas


class Parts:
    """The parts of a run, each a whole run of as many replicas in RUN/parts/FIRST, the number of its first one.

    What a part's configuration says of `whole` is that of all: the parts of two runs are none of one.

    Attributes:
        slices: the replicas of each part.
        left: those of the parts that are yet to be trained, or to go on.

    Raises:
        ConfigError: when ckpt_path is of no part, or of a run with another recipe.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg
        self.directory = self.source = Path(cfg.run_dir)
        if cfg.ckpt_path is not None:
            self.source = self._run_of(cfg.ckpt_path)
        self.config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        data = instantiate(cfg.data, seed=0, instance_noise=0.0)
        self.planned = min(iteration_limits(cfg.trainer, data).values())
        number = -(-cfg.replicas // cfg.max_replicas)
        self.slices = [
            slice(int(part[0]), int(part[-1]) + 1) for part in torch.arange(cfg.replicas).tensor_split(number)
        ]
        self.left = [rows for rows in self.slices if not self._is_done(rows)]

    def take_along(self) -> None:
        """Of a run that this one goes on from in a new directory, all parts as they are."""
        if self.source.resolve() != self.directory.resolve():
            temporary, parts = self.directory / f".{PARTS}", self.directory / PARTS
            shutil.copytree(self.source / PARTS, temporary, dirs_exist_ok=True)
            if parts.exists():  # of an attempt that left no checkpoint
                shutil.rmtree(parts)
            temporary.rename(parts)
        self.source = self.directory

    def unfinished(self) -> Iterator[DictConfig]:
        """The configurations of the parts that are left, of which each is until the next one is asked for; one that has
        begun goes on from where it was."""
        for rows in [*self.left]:
            yield OmegaConf.create(self._config(rows))
            self.left.remove(rows)

    def record_end(self, error: BaseException) -> None:
        """Write the record of the part under way, where it came to its end before it could."""
        path = self.path(self.left[0])
        if not (path / RECORD).exists():
            status = "failed" if isinstance(error, Exception) else "interrupted"
            path.mkdir(parents=True, exist_ok=True)
            write_record(path, {"status": status, "error": one_line(error), "iterations": 0})

    def path(self, rows: slice) -> Path:
        """The directory of a part."""
        return self.directory / PARTS / str(rows.start)

    def _run_of(self, checkpoint: str) -> Path:
        """The directory of the run in parts that a checkpoint is of."""
        parts = Path(checkpoint).resolve().parent.parent.parent
        if parts.name != PARTS:
            raise ConfigError(
                f"ckpt_path must be of a part, RUN/{PARTS}/0/{LAST}, with max_replicas={self.cfg.max_replicas} below"
                f" replicas={self.cfg.replicas} (got {checkpoint})"
            )
        return parts.parent

    def _config(self, rows: slice) -> dict[str, Any]:
        cfg = deepcopy(self.cfg)
        cfg.run_dir = str(self.path(rows))
        checkpoint = self.source / PARTS / str(rows.start) / LAST
        cfg.ckpt_path = str(checkpoint) if checkpoint.exists() else None
        part = some_replicas(OmegaConf.to_container(cfg, resolve=True), rows)  # type: ignore[arg-type]
        return {"whole": {key: self.cfg[key] for key in ("replicas", "max_replicas")}, **part}

    def _is_done(self, rows: slice) -> bool:
        """Whether a part came to its end, and to that of this configuration: diverged, or at the last iteration."""
        part = self._config(rows)
        if part["ckpt_path"] is None:
            return False
        config = read_checkpoint(part["ckpt_path"])["config"]
        for key in differences(config, part):
            if key != "data.seed":  # which follows from seed
                raise ConfigError(
                    f"ckpt_path: {part['ckpt_path']} comes from a run with another {key}, and a resumed run keeps its"
                    " recipe"
                )
        directory = self.source / PARTS / str(rows.start)
        record = read_record(directory) if (directory / RECORD).exists() else {"status": None}
        # What another limit ended goes on, as a run does that is resumed.
        ended = record["status"] == "completed" and record["iterations"] == self.planned
        return record["status"] == "diverged" or ended
