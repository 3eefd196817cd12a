"""The numbers of a setting from the table of all runs."""

import math

import pandas as pd

from gaussgan.report.pool import add_scores, pool


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
