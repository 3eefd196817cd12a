"""One table of all runs: a row for each run or, for a run with replicas, for each replica."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import SEEDS, entries, seeds
from gaussgan.report.collect import HALF_WRITTEN, PRUNED, STATUSES, Found, RunDirectory, described
from gaussgan.report.values import Value, comparable
from gaussgan.runs.record import REPLICAS

LOSSES = ("train/loss_d", "train/loss_g")
SPEED, SECONDS = "examples_per_second", "seconds"
INFINITE = {"val/kl": "val/w2", "val/logit_error": "val/js"}  # null beside a number in metrics.json was infinity
COLUMNS = ("run", "replica", "seed", "status", "iterations", SECONDS, SPEED)  # then measures, then settings


def frame_of(found: Found) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of all runs, and a table of those settings that differ. Both have the same rows.

    The columns of the first table are COLUMNS and the measures. `run` is the index of the run in `found.runs`, and
    `replica` is −1 for a run without replicas. The columns of the second table are dotted keys, and its values are the
    results of `comparable`. A setting that a run does not have is "null".

    A run with a damaged metrics.json or replicas.csv is counted in `found.skipped` and removed from `found.runs`.
    """
    kept: list[RunDirectory] = []
    single, several, values = [], [], []
    for run in found.runs:
        try:
            json.dumps(run.record, ensure_ascii=False).encode()  # an error if a text has half of a character
            own = {key: of_run(run, key) for key in run.settings}
            if run.replicas == 1:
                single.append({"run": len(kept), **_row(run)})
            else:
                several.append(_rows(run).assign(run=len(kept)))
        except (OSError, ValueError, KeyError, TypeError, OverflowError):  # a ConfigError is a ValueError
            found.skipped[HALF_WRITTEN] += 1
        else:
            kept.append(run)
            values.append(own)
    found.runs[:] = kept
    if not kept:
        raise ConfigError(f"there is no readable run{described(found.skipped)}")
    tables = [*([pd.DataFrame(single)] if single else []), *several]
    frame = pd.concat(tables, ignore_index=True) if several else tables[0]
    frame = frame.sort_values(["run", "replica"], kind="stable", ignore_index=True)
    counts = frame["run"].value_counts(sort=False).reindex(range(len(kept))).to_numpy()
    return frame, _settings(values, counts)


def _row(run: RunDirectory) -> dict[str, Any]:
    record = run.record
    known = run.settings.get("seed") if record.get("seed") is None else record["seed"]
    (seed,) = known if isinstance(known, list) else [known]
    _number(seed)
    infinite = [tag for tag, other in INFINITE.items() if tag in record and record[tag] is None and record.get(other)]
    return {
        **{"replica": -1, "seed": seed, "status": run.status},
        **{key: _number(record.get(key)) for key in ("iterations", SECONDS, SPEED)},
        **{key: _number(value) for key, value in record.items() if _is_measure(key)},
        **dict.fromkeys(infinite, math.inf),
    }


def _rows(run: RunDirectory) -> pd.DataFrame:
    """Return one row for each replica. Before a run with replicas has ended, only seeds and status are known."""
    record, n = run.record, run.replicas
    if (path := run.path / REPLICAS).exists():
        table = pd.read_csv(path)
        table = table[["replica", "seed", "status", *filter(_is_measure, table)]]
        numbers = table.drop(columns="status").dtypes.map(pd.api.types.is_numeric_dtype)
        known = table["status"].isin([*STATUSES, PRUNED])
        if [*table["replica"]] != [*range(n)] or not numbers.all() or not known.all():
            raise ValueError("replicas.csv does not belong to the run")
        if run.status not in ("completed", "diverged"):
            table.loc[table["status"] != "diverged", "status"] = run.status
    elif run.status in ("completed", "diverged"):
        raise ValueError("replicas.csv is missing")
    else:
        known = seeds({**run.settings, "replicas": n}) if "seed" in run.settings else [math.nan] * n
        table = pd.DataFrame({"replica": range(n), "seed": known, "status": run.status})
    iterations, seconds, speed = (_number(record.get(key)) for key in ("iterations", SECONDS, SPEED))
    shared = {key: _number(value) for key, value in record.items() if key.startswith("baseline/") and key not in table}
    return table.assign(**shared, iterations=iterations, seconds=seconds / n, examples_per_second=speed)


def _settings(runs: Sequence[Mapping[str, list[Value]]], counts: np.ndarray) -> pd.DataFrame:
    """Return the settings that differ between rows, but not seeds: `data.seed` is listed only if it is not `seed`.

    A run whose settings are unknown, because its configuration was wrong, has None in every column.
    """
    keys = dict.fromkeys(key for run in runs for key in run if key not in ("seed", "replicas"))
    columns = {}
    for key in keys:
        values: list[list[Value | None]] = [[*run.get(key, ["null"])] if run else [None] for run in runs]
        if len({value for own in values for value in own if value is not None}) > 1:
            arrays = [own * (n // len(own)) for own, n in zip(values, counts.tolist(), strict=True)]
            columns[key] = pd.Series([value for own in arrays for value in own], dtype=object)
    return pd.DataFrame(columns, index=range(int(counts.sum())))


def of_run(run: RunDirectory, key: str) -> list[Value]:
    """Return the values of a setting in the replicas of a run, or a list with the one value that they share."""
    value = run.settings.get(key)
    if key in SEEDS and value == run.settings.get("seed"):
        return ["follows seed"]
    if isinstance(value, list):
        return [comparable(each) for each in entries(key, value, run.replicas)]
    return [comparable(value)]


def _is_measure(key: str) -> bool:
    return key.startswith(("val/", "train/", "test/", "baseline/")) or key == "mle/w2"


def _number(value: Any) -> float:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{value!r} is not a number")
    return math.nan if value is None else float(value)
