"""The value of a trial follows from its rows of replicas.csv as metrics.json follows from all rows."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from gaussgan.runs.record import REPLICAS, write_record, write_table
from gaussgan.search.outcomes import known_objectives, outcomes, reported, trial_numbers


def row(w2: float, status: str = "completed", mle: float = 0.1) -> dict[str, object]:
    return {"status": status, "val/w2": w2, "mle/w2": mle, "train/loss_d": 0.693, "train/loss_g": 0.693}


def written(directory: Path, *rows: dict[str, object], status: str = "completed") -> Path:
    write_table(directory / REPLICAS, [{"replica": i, "seed": i, **each} for i, each in enumerate(rows)])
    write_record(directory, {"status": status, "error": None if status == "completed" else "why"})
    return directory


def test_the_score_is_the_median_and_a_diverged_replica_is_infinite(tmp_path: Path) -> None:
    rows = [row(0.3), row(0.1), row(0.2), row(0.4), row(math.nan, "diverged"), row(math.nan, "diverged")]
    first, second = outcomes(written(tmp_path, *rows), 2, ["score", "efficiency"], ["minimize", "maximize"])
    assert first.values == pytest.approx([0.2, 0.01 / np.mean(np.square([0.3, 0.1, 0.2]))])
    assert second.values is not None
    assert second.values[0] == math.inf
    assert second.numbers["share_diverged"] == pytest.approx(2 / 3)


def test_a_trial_without_any_survivor_has_the_worst_values(tmp_path: Path) -> None:
    rows = [row(math.nan, "diverged")] * 2
    (found,) = outcomes(written(tmp_path, *rows), 1, ["val/w2_p90", "efficiency"], ["minimize", "maximize"])
    assert found.values == [math.inf, -math.inf]


def test_pruned_missing_and_failed(tmp_path: Path) -> None:
    rows = [row(0.1), row(0.2), row(0.1, "pruned"), row(0.2, "pruned")]
    first, second = outcomes(written(tmp_path, *rows), 2, ["val/sliced_w2_median"], ["minimize"])
    assert first.error == "the trial has no value for val/sliced_w2_median"
    assert second.pruned
    assert second.error is None
    assert [each.error for each in outcomes(written(tmp_path, *rows, status="failed"), 2, ["score"], ["minimize"])] == [
        "why",
        "why",
    ]
    assert "3 trials" in str(outcomes(written(tmp_path, *rows), 3, ["score"], ["minimize"])[0].error)
    (tmp_path / "metrics.json").write_text("{")
    assert "is damaged" in str(outcomes(tmp_path, 1, ["score"], ["minimize"])[0].error)


def test_a_single_run_has_no_table_of_replicas(tmp_path: Path) -> None:
    write_record(tmp_path, {"status": "completed", "val/sliced_w2": 0.25})
    assert outcomes(tmp_path, 1, ["score"], ["minimize"])[0].values == [0.25]


def test_the_numbers_of_all_rows_are_those_of_metrics_json(tmp_path: Path) -> None:
    written(tmp_path, row(0.3), row(0.1), row(math.nan, "diverged"))
    numbers = trial_numbers([*csv.DictReader((tmp_path / "replicas.csv").open())])
    assert numbers["share_log2"] == pytest.approx(2 / 3)
    assert numbers["val/w2"] == pytest.approx(0.2)
    assert {*numbers} <= {*known_objectives([*numbers])}


def test_the_values_to_report_by_are_those_of_the_other_part_of_the_rows(tmp_path: Path) -> None:
    rows = [{"status": "completed", "val/sliced_w2": 0.1 * i, "test/sliced_w2": 0.2 * i} for i in (1, 2, 3)]
    (found,) = outcomes(written(tmp_path, *rows), 1, ["score", "val/sliced_w2_p10"], ["minimize"] * 2)
    assert found.values == pytest.approx([0.2, 0.12])
    assert reported(found, ["score", "val/sliced_w2_p10"]).values == pytest.approx([0.4, 0.24])
    known = outcomes(written(tmp_path, row(0.3)), 1, ["score"], ["minimize"])[0]
    assert reported(known, ["score"]).values == [0.3]
