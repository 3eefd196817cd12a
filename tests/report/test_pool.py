"""The numbers of a setting from the table of all runs."""

import math

import pandas as pd

from gaussgan.report.compare import compare
from gaussgan.report.pool import add_scores, pool
from gaussgan.report.verdict import sentences


def test_a_diverged_run_counts_as_infinite_also_against_the_rows_to_report_by() -> None:
    status = ["completed", "diverged", "diverged", "interrupted"]
    distances = [1.0, math.nan, math.nan, 9.0]
    frame = pd.DataFrame({"status": status, "val/sliced_w2": distances, "test/sliced_w2": distances})
    frame = frame.assign(**{"train/loss_d": 0.7, "train/loss_g": 0.7, "examples_per_second": 1.0})
    assert add_scores(frame) == ("val/sliced_w2", 0)
    ((setting,), unknown) = pool(frame, [])
    assert unknown == 0
    assert setting.quantiles[1] == setting.reported == math.inf
    ((setting,), _) = pool(frame[:2], [])
    assert math.isinf(setting.reported)
    ((setting,), _) = pool(frame[:1], [])
    assert setting.reported == 1


def test_the_answer_names_the_baseline_and_the_distance_to_rows_to_report_by() -> None:
    columns = {"val/sliced_w2": 0.3, "test/sliced_w2": 0.5, "baseline/val/sliced_w2": 0.1}
    frame = pd.DataFrame({"status": ["completed"], "seed": [0], "run": [0], "replica": [-1], **columns})
    frame = frame.assign(**{"train/loss_d": 0.7, "train/loss_g": 0.7, "examples_per_second": 1.0})
    text = " ".join(sentences(compare(frame, [])))
    assert "val/sliced_w2 is 0.3, 3 times the 0.1 of the baseline, which is that of training rows." in text
    assert "Against the rows to report by, which nothing was chosen by, it is 0.5." in text


def test_a_diverged_run_makes_the_efficiency_0() -> None:
    frame = pd.DataFrame({"status": ["completed", "completed", "diverged"], "val/w2": [1.0, 3.0, math.nan]})
    frame = frame.assign(**{"mle/w2": 0.5, "train/loss_d": 0.7, "train/loss_g": 0.7, "examples_per_second": 1.0})
    add_scores(frame)
    assert pool(frame, [])[0][0].efficiency == 0
    assert pool(frame[:2], [])[0][0].efficiency == 0.25 / 5
    frame = frame.assign(**{"val/w2": math.nan, "val/sliced_w2": 1.0, "baseline/val/sliced_w2": 0.5})
    add_scores(frame)
    assert math.isnan(pool(frame, [])[0][0].efficiency)
