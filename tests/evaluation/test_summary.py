"""Summaries over replicas, some of which diverged."""

import math
import time

import pytest
import torch

from gaussgan.evaluation.summary import aggregate, group_rows, group_summaries, quantiles, summary
from gaussgan.gan.divergence import Diverged
from gaussgan.rng import stream, uniform
from gaussgan.runs.history import of_replica, pack, unpack


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_quantiles_agree_with_torch(n: int) -> None:
    values = uniform(n, 3, generator=stream(0, "test")).double()
    levels = [0.0, 0.1, 0.5, 0.77, 1.0]
    torch.testing.assert_close(quantiles(values, levels), torch.quantile(values, values.new_tensor(levels), dim=0))


def test_quantiles_of_infinite_values() -> None:
    values = torch.tensor([3.0, 1, 2, torch.inf, torch.inf])
    assert quantiles(values, [0, 0.25, 0.5, 0.6, 1]).tolist() == [1, 2, 3, torch.inf, torch.inf]
    assert quantiles(torch.tensor([torch.nan, 3.0, 1]), [0, 0.5, 1]).tolist() == [1, 3, torch.inf]
    assert quantiles(torch.empty(0)).isnan().all()


def test_diverged_replicas_are_infinitely_far_and_have_no_losses() -> None:
    row = {
        "iteration": 5,
        "val/w2": torch.tensor([1.0, torch.nan, 3.0, 2.0]),
        "val/js": torch.tensor([0.1, torch.nan, torch.nan, 0.3]),
        "train/loss_d": torch.tensor([1.0, torch.nan, 3.0, 2.0]),
    }
    numbers = aggregate(row, diverged=[1])
    assert numbers["iteration"] == 5
    assert (numbers["val/w2"], numbers["val/w2_median"], numbers["val/w2_p90"]) == (2, 2.5, math.inf)
    assert (numbers["train/loss_d"], numbers["train/loss_d_median"]) == (2, 2)
    assert (numbers["val/js"], numbers["val/js_median"]) == pytest.approx((0.2, 0.2))


def test_a_distance_that_is_nan_is_infinite() -> None:
    numbers = aggregate({"val/w2": torch.tensor([1.0, torch.nan, 3.0]), "val/js": torch.tensor([1.0, torch.nan, 3.0])})
    assert (numbers["val/w2"], numbers["val/w2_median"], numbers["val/w2_p90"]) == (math.inf, 3, math.inf)
    assert (numbers["val/js"], numbers["val/js_median"]) == (2, 2)


def test_summary() -> None:
    log2 = math.log(2)
    row = {
        "val/w2": torch.tensor([1.0, 3.0, torch.nan]),
        "mle/w2": torch.tensor([0.1, 0.2, 100.0]),
        "train/loss_d": torch.tensor([log2, 0.6935, log2]),
        "train/loss_g": torch.tensor([log2 + 4e-4, log2 + 6e-4, log2]),
    }
    numbers = summary(row, diverged=[2])
    assert numbers["share_diverged"] == numbers["share_log2"] == pytest.approx(1 / 3)
    assert summary({"val/w2": 1.0}, []) == {"val/w2": 1.0}


def test_a_diverged_replica_makes_the_efficiency_0_and_a_pruned_one_is_left_out() -> None:
    row = {
        "val/w2": torch.tensor([1.0, 3.0, torch.nan]),
        "val/w2_ema": torch.tensor([0.5, 0.5, 7.0]),
        "mle/w2": torch.tensor([0.1, 0.2, 100.0]),
    }

    def both(diverged: list[int], pruned: list[int]) -> list[float]:
        numbers = summary(row, diverged, pruned)
        return [numbers["efficiency"], numbers["efficiency_ema"]]

    assert both([2], []) == [0, 0]
    assert both([2], [2]) == pytest.approx([0.05 / 10, 0.05 / 0.5])
    assert both([], []) == pytest.approx([0, 10_000.05 / 49.5])  # a distance that is NaN is infinite
    assert both([0, 2], [2])[0] == 0
    assert math.isnan(both([0, 1, 2], [0, 1, 2])[0])
    assert "efficiency_ema" not in summary({key: row[key] for key in ("val/w2", "mle/w2")}, [])


def test_history_packs_and_unpacks() -> None:
    single = [{"iteration": 1, "val/w2": 0.5}, {"iteration": 2, "val/w2": math.nan}]
    many = [{"iteration": i, "val/w2": torch.tensor([0.5, 0.25 * i]).double()} for i in (1, 2)]
    for history in ([], single, many):
        for ours, theirs in zip(unpack(pack(history)), history, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True, check_dtype=False)
    assert unpack(of_replica(pack(many), 1)) == [{"iteration": 1, "val/w2": 0.25}, {"iteration": 2, "val/w2": 0.5}]


def test_groups_of_any_sizes_have_the_summaries_of_their_replicas() -> None:
    tags = ("val/w2", "val/js", "mle/w2", "train/loss_d", "train/loss_g")
    row = {tag: uniform(9, generator=stream(0, tag)).double() for tag in tags}
    row["val/w2"][4], row["val/js"][2] = torch.nan, torch.nan
    groups, diverged = [[3], [0, 1, 2], [4], [5, 7], [6, 8]], {1, 3, 8}
    for members, numbers in zip(groups, group_summaries({**row, "iteration": 5}, diverged, groups), strict=True):
        own = {tag: value[members] for tag, value in row.items()}
        expected = summary(own, {i for i, member in enumerate(members) if member in diverged})
        assert numbers == pytest.approx(expected, nan_ok=True)


def test_a_thousand_groups_of_one_take_no_time() -> None:
    row = {tag: uniform(1024, generator=stream(0, tag)) for tag in ("val/w2", "mle/w2", "train/loss_d", "train/loss_g")}
    config = {"replicas": 1024, "seed": 0, "optimizer_d": {"lr": [*range(1024)]}}
    start = time.perf_counter()
    rows = group_rows(row, {3: Diverged(1, "a loss")}, config)
    assert time.perf_counter() - start < 1  # measured: 0.05 s
    assert [each["val/w2_median"] for each in rows[:3]] == row["val/w2"][:3].tolist()
    assert rows[3]["val/w2_median"] == math.inf
    assert [(each["optimizer_d.lr"], each["n"], each["share_diverged"]) for each in rows[2:4]] == [(2, 1, 0), (3, 1, 1)]
