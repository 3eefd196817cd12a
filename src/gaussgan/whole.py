"""What a run in parts leaves of all its replicas, made from what its parts left."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from hydra.utils import instantiate
from torch import Tensor

from gaussgan.aggregate import aggregate, replica_rows, summary
from gaussgan.callbacks.record import record_of
from gaussgan.checkpoint import read_checkpoint
from gaussgan.directory import LAST, RECORD, parts_of, read_record, read_replicas, write_record, write_replicas
from gaussgan.figures import render, save
from gaussgan.history import Row, unpack
from gaussgan.loggers import closing, log_configuration, log_numbers, log_picture, make_loggers, typed
from gaussgan.metrics import has_closed_form
from gaussgan.parts import Parts
from gaussgan.pictures import picture_replicas
from gaussgan.runs import trained_networks
from gaussgan.variation import some_replicas, varying

NO_MEASURES = ("replica", "seed", "status")  # columns of replicas.csv


class Whole:
    """The run of all replicas.

    Where parts are left, what is measured of many is measured of the others alone: these have been trained for less.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts, self.config, self.directory = parts, parts.config, parts.directory
        begun = parts_of(parts.directory)
        self.done = [rows for rows in parts.slices if rows not in parts.left and rows.start in begun]
        self.law = instantiate(self.config["data"]["distribution"])

    @cached_property
    def exact(self) -> bool:
        """Whether the generators' laws are known."""
        return bool(parts_of(self.directory)) and has_closed_form(self._some_generators)

    def conclude(self) -> dict[str, Any]:
        """Write what a run of all at a time leaves: metrics.json, replicas.csv, the figure and TensorBoard's events."""
        of_each = {rows.start: self._replicas(rows) for rows in self.parts.slices}
        write_replicas(self.directory, [row for rows in of_each.values() for row in rows])
        finished = [row for rows in self.done for row in of_each[rows.start]]
        diverged = [i for i, row in enumerate(finished) if row["status"] == "diverged"]
        measures = self._measures(finished)
        numbers = summary(measures, diverged)
        records = [read_record(part) for part in map(self.parts.path, self.parts.slices) if (part / RECORD).exists()]
        if self.parts.left:
            end = read_record(self.parts.path(self.parts.left[0]))
            status, error = end["status"], end["error"]
            numbers["replicas_done"] = len(finished)
        else:
            end = max(records, key=lambda record: record["iterations"])
            status, error = (
                ("diverged", end["error"]) if finished and len(diverged) == len(finished) else ("completed", None)
            )
        examples, seconds = (sum(record[key] or 0 for record in records) for key in ("examples", "seconds"))
        done = sum(record["examples_per_second"] * record["seconds"] for record in records if record["seconds"])
        record = record_of(self.config, numbers, status, error, end["iterations"], examples, seconds, done)
        write_record(self.directory, record)
        if self.done:
            iterations = max(read_record(self.parts.path(rows))["iterations"] for rows in self.done)
            history = self._history()
            image = self._draw(history, len(finished), iterations, measures.get("mle/w2"))
            self._show(history, image, iterations)
        return read_record(self.directory)

    def _replicas(self, rows: slice) -> list[dict[str, Any]]:
        """The rows of a part in replicas.csv."""
        status = "interrupted" if rows.start in parts_of(self.directory) else "not begun"
        known = read_replicas(self.parts.path(rows))
        table = [{**row, "replica": i} for i, row in enumerate(known, rows.start)]
        if not table:
            unknown = replica_rows({}, status, (), some_replicas(self.config, rows))
            return [{**row, "replica": i} for i, row in enumerate(unknown, rows.start)]
        if rows in self.parts.left:
            for row in table:
                if row["status"] == "completed":  # when less was planned
                    row["status"] = status
        return table

    def _measures(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        own = (*NO_MEASURES, *varying(self.config))
        columns = {tag: [row[tag] for row in rows] for tag in (rows[0] if rows else ()) if tag not in own}
        return {
            tag: torch.tensor([float(value or "nan") for value in values], dtype=torch.float64)
            for tag, values in columns.items()
            if any(values)
        }

    @cached_property
    def _first(self) -> dict[str, Any]:
        """The checkpoint of the first part that has begun."""
        return read_checkpoint(next(iter(parts_of(self.directory).values())) / LAST)

    @cached_property
    def _some_generators(self) -> Any:
        return trained_networks(self._first, self.law.dim)["generator"]

    @cached_property
    def _checkpoints(self) -> list[dict[str, Any]]:
        """Of the parts that are done, all but what is large."""
        kept = ("history", "callbacks")
        checkpoints = (read_checkpoint(self.parts.path(rows) / LAST) for rows in self.done)
        return [{key: checkpoint[key] for key in kept} for checkpoint in checkpoints]

    def _history(self) -> list[Row]:
        """The rows of all replicas together; NaN after the end of a part that diverged as a whole."""
        histories = [unpack(checkpoint["history"]) for checkpoint in self._checkpoints]
        longest, sizes = max(histories, key=len), [rows.stop - rows.start for rows in self.done]
        return [
            _joined([history[epoch] if epoch < len(history) else {} for history in histories], sizes, row)
            for epoch, row in enumerate(longest)
        ]

    def _draw(self, history: list[Row], replicas: int, iterations: int, floors: Tensor | None) -> Any:
        learned = None
        if self.exact:
            means, covs = (moment.detach() for moment in self._some_generators.moments())
            alive = [i for i in range(len(means)) if i not in self._first["diverged"]]
            learned = (means[alive], covs[alive])
        image = render(picture_replicas(history, replicas, iterations, self.law, learned, floors))
        save(image, self.directory / "figures" / "final.png")
        return image

    def _show(self, history: list[Row], image: Any, iterations: int) -> None:
        """To the run's logger what it would have been told of these replicas as they went on together."""
        starts = [checkpoint["callbacks"]["Evaluation"]["start"] for checkpoint in self._checkpoints]
        start = {tag: torch.cat([start[tag] for start in starts]) for tag in starts[0]}
        with closing(loggers := make_loggers(self.config)):  # which forget what they were told of fewer parts
            log_configuration(loggers, self.config, start, 0, typed())
            for row in history:
                diverged = row["train/loss_d"].isnan().nonzero().flatten().tolist()  # which is finite of all others
                numbers = {tag: value for tag, value in row.items() if tag not in ("iteration", "epoch")}
                log_numbers(loggers, aggregate(numbers, diverged), int(row["iteration"]))
            for logger in loggers:
                log_picture(logger, "game", image, iterations)
                logger.finalize("success")


def _joined(rows: list[Row], sizes: list[int], longest: Row) -> Row:
    """The row of an epoch of all replicas, from those of parts of these sizes; a part that has none is NaN."""
    joined = {
        tag: torch.cat(
            [row.get(tag, value.new_full((size,), torch.nan)) for row, size in zip(rows, sizes, strict=True)]
        )
        if isinstance(value, Tensor)
        else value
        for tag, value in longest.items()
    }
    # One after another, each takes its time.
    speeds = [(size, row["perf/examples_per_second"]) for size, row in zip(sizes, rows, strict=True) if row]
    joined["perf/examples_per_second"] = sum(size for size, _ in speeds) / sum(size / speed for size, speed in speeds)
    return joined
