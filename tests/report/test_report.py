"""The report says what the tests say by hand, of whatever directories it is given."""

import csv
import fcntl
import io
import json
import math
import os
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from scipy import stats

from conftest import ROOT
from gaussgan.config.errors import ConfigError
from gaussgan.report.answer import Answer
from gaussgan.report.charts import Chart
from gaussgan.report.collect import Found, find_runs
from gaussgan.report.compare import compare
from gaussgan.report.factors import Factor, find_factors
from gaussgan.report.frame import frame_of
from gaussgan.report.intervals import median_interval
from gaussgan.report.page import Section
from gaussgan.report.tables import columns
from gaussgan.report.values import names
from gaussgan.report.verdict import sentences
from gaussgan.report.write import Report, write_report
from gaussgan.runs.record import REPLICAS, write_record, write_table

Write = Callable[..., Path]
RATES = (0.02, 0.05, 0.1, 0.2)
SETTINGS = {
    "data.seed": 0,
    "data.latent_dim": 2,
    "data.batches_per_iteration": 1,
    "generator.in_features": 2,
    "objective._target_": "gaussgan.gan.objectives.NonSaturating",
    "update._target_": "gaussgan.gan.updates.Alternating",
    "update.d_steps": 1,
    "optimizer_d.lr": 0.05,
    "optimizer_d.betas": [0.9, 0.999],
    "seed": 0,
    "replicas": 1,
    "trainer.max_epochs": 20,
}


@pytest.fixture
def write_run(tmp_path: Path) -> Write:
    """Write the directory of a run that was never trained."""

    def write_run(
        name: str,
        w2: float | None = None,
        seed: int = 0,
        status: str = "completed",
        overrides: Sequence[str] | None = None,
        settings: dict[str, Any] | None = None,
        **record: Any,
    ) -> Path:
        directory = tmp_path / name
        (directory / ".hydra").mkdir(parents=True)
        known = {**SETTINGS, "seed": seed, "data.seed": seed, **(settings or {})}
        measures = {"val/w2": w2, "mle/w2": 0.1, "train/loss_d": 0.69, "train/loss_g": 0.7}
        values = {"status": status, "seed": seed, "replicas": 1, "examples_per_second": 1000.0, **measures, **record}
        write_record(directory, {"settings": known, **values})
        if overrides is not None:
            lines = [f"- {override}\n" for override in overrides]
            (directory / ".hydra" / "overrides.yaml").write_text("".join(lines))
        return directory

    return write_run


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    """The report of all runs in the temporary directory. No figures are drawn from checkpoints."""
    monkeypatch.setattr("gaussgan.report.finals._draw", lambda *_: b"")

    def report(**options: Any) -> Report:
        return write_report([tmp_path], tmp_path, **options)

    return report


def answered(found: Found) -> Answer:
    frame, settings = frame_of(found)
    return compare(frame, find_factors(frame, settings, found.runs))


def sweep(write_run: Write, scores: np.ndarray, seeds: Sequence[int]) -> None:
    """Write a run for each rate and seed; `scores` is [rates, seeds], infinite for a run that diverged."""
    for i, rate in enumerate(RATES[: len(scores)]):
        for j, seed in enumerate(seeds):
            lost = math.isinf(scores[i, j])
            overrides = [f"seed={seed}", f"optimizer_d.lr={rate}"]
            outcome = {"w2": None if lost else scores[i, j], "status": "diverged" if lost else "completed"}
            write_run(f"{i}_{j}", seed=seed, settings={"optimizer_d.lr": rate}, overrides=overrides, **outcome)


def test_64_seeds_of_4_rates_say_what_scipy_says(write_run: Write, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    scores = draws.normal(size=64) * 0.2 + np.array([[1.02], [1.0], [1.2], [1.6]]) + draws.normal(size=(4, 64)) * 0.3
    scores[3, :5] = math.inf
    sweep(write_run, scores, range(64))
    answer = answered(find_runs([tmp_path]))
    best = min(range(4), key=lambda i: np.median(scores[i]))
    others = [i for i in range(4) if i != best]
    pairs = {i: np.where(np.isinf(scores[i]), 1e6, scores[i]) - scores[best] for i in others}
    p = {i: stats.wilcoxon(pairs[i]).pvalue for i in others}
    ranked = sorted(p, key=lambda i: p[i])
    corrected = {i: max(min(1, (3 - k) * p[j]) for k, j in enumerate(ranked[: ranked.index(i) + 1])) for i in ranked}
    assert [setting.values[0] for setting in answer.settings] == sorted(
        RATES, key=lambda r: np.median(scores[RATES.index(r)])
    )
    for setting in answer.settings[1:]:
        i = RATES.index(setting.values[0])
        against = setting.comparison
        assert against is not None
        assert against.p == pytest.approx(corrected[i], rel=1e-9)
        assert against.difference == pytest.approx(np.median(pairs[i]))
        assert (against.runs, against.paired) == (64, True)
    said = sentences(answer)
    assert said[0].startswith(f"optimizer_d.lr={RATES[best]} has the smallest median; ")
    equal = [str(RATES[i]) for i in others if corrected[i] > 0.05]
    assert equal == ["0.02"] or equal == ["0.05"]
    assert f"{equal[0]} cannot be told apart from it" in said[0]
    assert re.search(
        r"0\.2 is worse by 0\.[\d]+ \[0\.[\d]+, 0\.[\d]+\] \(5 of 64 runs diverged\) \(64 seeds\)\.", said[0]
    )
    assert any("more seeds for" in sentence for sentence in said)


def test_replicas_lists_and_jobs_are_treated_alike(write_run: Write, tmp_path: Path) -> None:
    scores = np.random.default_rng(1).normal(1, 0.2, size=(2, 20)) + np.array([[0], [0.5]])
    scores[1, 3] = math.inf
    sweep(write_run, scores, range(20))
    jobs = answered(find_runs([tmp_path]))
    lists = tmp_path.with_name("lists")
    rates, seeds = [rate for rate in RATES[:2] for _ in range(20)], [*range(20)] * 2
    settings = {**json.loads((tmp_path / "0_0" / "metrics.json").read_text())["settings"], "replicas": 40}
    settings |= {"optimizer_d.lr": rates, "seed": seeds, "data.seed": seeds}
    lists.mkdir()
    record = {"status": "completed", "replicas": 40, "seed": seeds, "settings": settings, "examples_per_second": 1000.0}
    write_record(lists, record)
    rows = [
        {"replica": i, "seed": seed, "status": "diverged" if math.isinf(w2) else "completed",
         "val/w2": math.nan if math.isinf(w2) else w2, "mle/w2": 0.1, "train/loss_d": 0.69, "train/loss_g": 0.7}
        for i, (seed, w2) in enumerate(zip(seeds, scores.ravel().tolist(), strict=True))
    ]  # fmt: skip
    write_table(lists / REPLICAS, rows)
    replicas = answered(find_runs([lists]))
    assert sentences(replicas) == sentences(jobs)
    for ours, theirs in zip(replicas.settings, jobs.settings, strict=True):
        assert sorted(ours.scores) == sorted(theirs.scores)
        assert ours.comparison == theirs.comparison


def test_what_varied_is_named_once(write_run: Write, tmp_path: Path) -> None:
    objectives = {"hinge": "gaussgan.gan.objectives.Hinge", "minimax": "gaussgan.gan.objectives.Minimax"}
    for i, (name, target) in enumerate(objectives.items()):
        for d in (1, 2):
            follows = {"data.latent_dim": d, "generator.in_features": d, "trainer.max_epochs": 20 * (i + 1)}
            overrides = [f"objective={name}", f"generator.in_features={d}", "trainer=cpu"]
            settings = {"objective._target_": target, **follows, **({"objective.label": 0.9} if i else {})}
            write_run(f"{name}{d}", 1.0, overrides=overrides, settings=settings)
    answer = answered(find_runs([tmp_path]))
    assert [factor.name for factor in answer.factors] == ["objective", "generator.in_features"]
    assert {setting.texts for setting in answer.settings} == {
        ("Hinge", "1"),
        ("Hinge", "2"),
        ("Minimax", "1"),
        ("Minimax", "2"),
    }


def test_without_overrides_components_stand_for_what_follows_from_them(write_run: Write, tmp_path: Path) -> None:
    for i, rate in enumerate((0.011, 0.023, 0.051)):  # each rate is used once, so everything else follows from it
        target = {"update._target_": "gaussgan.gan.updates.Consensus", "update.weight": 1.0} if i else {}
        write_run(str(i), 1.0, settings={"optimizer_d.lr": rate, **target})
    assert {factor.name for factor in answered(find_runs([tmp_path])).factors} == {"optimizer_d.lr", "update"}


def test_a_pair_of_betas_is_two_numbers(write_run: Write, report: Callable[..., Report], tmp_path: Path) -> None:
    for i, (rate, beta) in enumerate(((0.012345678, 0.5), (0.023456789, 0.512345678), (0.034567891, 0.9))):
        overrides = [f"optimizer_d.lr={rate}", f"optimizer_d.betas=[{beta},0.999]"]
        write_run(
            str(i), 1.0, settings={"optimizer_d.lr": rate, "optimizer_d.betas": [beta, 0.999]}, overrides=overrides
        )
    answer = answered(find_runs([tmp_path]))
    assert [factor.name for factor in answer.factors] == ["optimizer_d.lr", "optimizer_d.betas.0"]
    assert {setting.values[1] for setting in answer.settings} == {0.5, 0.512345678, 0.9}
    assert {setting.texts for setting in answer.settings} == {
        ("0.01235", "0.5"),
        ("0.02346", "0.5123"),
        ("0.03457", "0.9"),
    }
    for condition in ("optimizer_d.betas=[0.50, 0.999]", "optimizer_d.betas.0=0.5"):
        assert report(where=[condition]).statuses == {"completed": 1}


def test_names_are_short_and_differ() -> None:
    assert names([0.123456, 0.2, 3.0, "text"]) == ["0.1235", "0.2", "3", "text"]
    assert names([0.123456, 0.123457, 0.98765]) == ["0.123456", "0.123457", "0.9877"]
    assert names(["[0.123456, 0.5]", "[1.5, 0.5]"]) == ["[0.1235, 0.5]", "[1.5, 0.5]"]
    long, other = names(["x" * 5_000, "x" * 5_000 + "y"])
    assert long != other
    assert len(names(["x" * 5_000])[0]) < 70


def test_a_long_name_is_not_in_the_first_sentence(write_run: Write, tmp_path: Path) -> None:
    for seed in range(2):
        for i in range(5):
            settings = {
                key: float(i)
                for key in (
                    "optimizer_d.lr",
                    "data.instance_noise",
                    "update.weight",
                    "penalty.weight",
                    "penalty.r1.weight",
                )
            }
            w2 = 1.0 + i + 0.1 * seed
            write_run(f"{seed}_{i}", w2, seed, settings=settings, overrides=[f"{key}={i}" for key in settings])
    first, level, recipe, *_ = sentences(answered(find_runs([tmp_path])))
    assert first.startswith(
        "The first setting has the smallest median of 5 settings, but 4 others cannot be told apart"
    )
    assert level.startswith("Its median val/w2 is 1.05 ")
    assert recipe.startswith("The first setting has optimizer_d.lr=0, data.instance_noise=0, update.weight=0, penalty")
    assert recipe.endswith(" and penalty.r1.weight=0.")


def test_an_experiment_stands_for_all_that_it_sets(write_run: Write, tmp_path: Path) -> None:
    for name, rate, epochs in (("d2l", 0.05, 20), ("wgan_gp", 0.001, 100)):
        for seed in range(2):
            settings = {"optimizer_d.lr": rate, "trainer.max_epochs": epochs}
            write_run(f"{name}{seed}", 1.0, seed, overrides=[f"experiment={name}", f"seed={seed}"], settings=settings)
    answer = answered(find_runs([tmp_path]))
    assert [(factor.name, {*factor.values}) for factor in answer.factors] == [("experiment", {"d2l", "wgan_gp"})]
    assert [setting.n for setting in answer.settings] == [2, 2]


def test_seeds_of_the_data_of_their_own_are_a_setting(write_run: Write, tmp_path: Path) -> None:
    for seed in range(3):
        for data in (7, 8):
            write_run(f"{seed}_{data}", 1.0, seed, settings={"data.seed": data})
    assert [factor.name for factor in answered(find_runs([tmp_path])).factors] == ["data.seed"]


def test_conditions_compare_values(write_run: Write, report: Callable[..., Report]) -> None:
    sweep(write_run, np.ones((3, 4)), range(4))
    write_run(
        "other", 1.0, 9, status="failed", error="no", tags=["x"], settings={"objective._target_": "a.b.HingeLoss"}
    )
    assert report(where=["optimizer_d.lr=0.050"]).statuses == {"completed": 4, "failed": 1}
    assert report(where=["optimizer_d.lr=5e-2", "status=completed"]).statuses == {"completed": 4}
    assert report(where=["seed=2"]).statuses == {"completed": 3}
    assert report(where=["objective=hinge_loss"]).statuses == {"failed": 1}
    assert report(where=["optimizer_d.betas=[0.9, 0.9990]"]).statuses == {"completed": 12, "failed": 1}
    assert report(tags=["x"]).statuses == {"failed": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": ["optimizer_d.rl=1"]}, r"did you mean optimizer_d\.lr\?.*Known keys: status, .*optimizer_d\.betas"),
        ({"where": ["optimizer_d.lr=0.07"]}, r"no run.*\(it has 0\.02, 0\.05\)"),
        ({"where": ["optimizer_d.lr"]}, "key=value"),
        ({"tags": ["none"]}, "known tags: none"),
    ],
)
def test_conditions_that_cannot_hold_are_refused(
    options: dict[str, Any], message: str, write_run: Write, report: Callable[..., Report]
) -> None:
    sweep(write_run, np.ones((2, 1)), [0])
    with pytest.raises(ConfigError, match=message):
        report(**options)


def test_other_directories_are_skipped_with_a_count(write_run: Write, tmp_path: Path) -> None:
    write_run("run", 1.0)
    write_run(".together/hidden", 1.0)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    half = write_run("sub/half", 1.0)
    (half / "metrics.json").write_text('{"status": "compl')
    (write_run("begun") / "metrics.json").unlink()
    old = write_run("old", 1.0) / "metrics.json"
    old.write_text(json.dumps({key: value for key, value in json.loads(old.read_text()).items() if key != "settings"}))
    no_table = write_run("no_table", 1.0, replicas=3, settings={"replicas": 3})
    (tmp_path / "photos" / "holidays").mkdir(parents=True)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "metrics.json").write_text("[1, 2]")
    found = find_runs([tmp_path, tmp_path / "run"])
    frame, _ = frame_of(found)
    assert [run.path.name for run in found.runs] == ["run"]
    assert len(frame) == 1
    assert no_table.name not in [run.path.name for run in found.runs]
    assert found.skipped == {"half-written": 3, "of an older version": 1, "without a run": 2}


@pytest.mark.parametrize(
    "entry",
    [
        {"val/w2": "0.1"}, {"val/w2": [1]}, {"train/loss_d": True}, {"examples_per_second": "fast"}, {"seed": "x"},
        {"seed": [1, 2]}, {"replicas": 0}, {"replicas": -3}, {"replicas": True}, {"replicas": 2.0}, {"status": []},
        {"settings": "x"}, {"error": "\ud800"}, {"val/w2": 10**400}, {"replicas": 3, "settings": {"seed": [0, 1]}},
    ],
)  # fmt: skip
def test_a_damaged_record_is_skipped(entry: dict[str, Any], write_run: Write, tmp_path: Path) -> None:
    write_run("whole", 1.0)
    path = write_run("damaged", 0.5) / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entry}))
    found = find_runs([tmp_path])
    frame, _ = frame_of(found)
    assert frame["val/w2"].tolist() == [1.0]
    assert +found.skipped == {"half-written": 1}


@pytest.mark.parametrize(
    "content",
    [
        "", "\0", "replica,seed,status,val/w2\n0,0,completed,1\n",
        "replica,seed,status,val/w2\n0,0,completed,1\n1,1,compl",
        "replica,seed,status,val/w2\n0,0,completed,x\n1,1,completed,2\n", "seed,status\n0,completed\n1,completed\n",
    ],
)  # fmt: skip
def test_a_damaged_table_of_replicas_is_skipped(content: str, write_run: Write, tmp_path: Path) -> None:
    write_run("whole", 1.0)
    (write_run("damaged", 0.5, replicas=2, settings={"replicas": 2}) / REPLICAS).write_text(content)
    found = find_runs([tmp_path])
    assert frame_of(found)[0]["val/w2"].tolist() == [1.0]
    assert +found.skipped == {"half-written": 1}


def test_runs_without_a_seed_are_independent(write_run: Write, tmp_path: Path) -> None:
    for i in range(8):
        path = write_run(str(i), 1.0 + i, settings={"optimizer_d.lr": 0.1 * (i % 2)}) / "metrics.json"
        record = json.loads(path.read_text())
        settings = {key: value for key, value in record["settings"].items() if "seed" not in key}
        path.write_text(json.dumps({**record, "seed": None, "settings": settings}))
    against = answered(find_runs([tmp_path])).settings[1].comparison
    assert against is not None
    assert (against.runs, against.paired) == (4, False)


def test_a_directory_counts_once(write_run: Write, tmp_path: Path) -> None:
    run = write_run("sweep/0", 1.0)
    (tmp_path / "link").symlink_to(tmp_path / "sweep")
    for order in ((tmp_path / "link", tmp_path, run, tmp_path), (run, tmp_path / "sweep" / ".." / "sweep", tmp_path)):
        assert [each.path for each in find_runs(order).runs] == [run]


def test_names_and_settings_of_any_kind_can_be_written(write_run: Write, report: Callable[..., Report]) -> None:
    write_run(os.fsdecode(b"\xff<b>"), 1.0, tags=["日本"], settings={"note": "two\nlines"})
    write_run("javascript:a", 2.0, settings={"note": None, "objective._target_": 5, "optimizer_d.betas": "x"})
    write_run("c", -math.inf, settings={"optimizer_d.lr": "0.05"})
    written = report()
    assert written.statuses == {"completed": 3}
    assert "note=two lines" in written.sentences[1]
    assert len(pd.read_csv(written.table)) == 3


def test_a_study_that_is_none_is_not_shown(write_run: Write, report: Callable[..., Report], tmp_path: Path) -> None:
    write_run("a", 1.0)
    (tmp_path / "study.log").write_text("no study\n")
    assert report().sentences[0].startswith("There is one setting")


def test_nothing_to_report_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    for name, message in (("file", "is a file"), ("empty", "there is no run"), ("missing", "is not a directory")):
        monkeypatch.setattr(sys, "argv", ["report.py", str(tmp_path / name)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / "scripts" / "report.py"), run_name="__main__")
        assert message in str(stop.value.code)
        assert "\n" not in str(stop.value.code)


def test_a_run_whose_process_was_killed_is_interrupted(write_run: Write, tmp_path: Path) -> None:
    write_run("killed", status="running")
    with (write_run("alive", status="running") / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = find_runs([tmp_path])
    assert {run.path.name: run.status for run in found.runs} == {"killed": "interrupted", "alive": "running"}
    (said,) = sentences(answered(found))
    assert said == "No run is finished yet (1 running, 1 interrupted), so there is no answer."


def test_honest_sentences(write_run: Write, tmp_path: Path) -> None:
    write_run("a0", 1.0, 0)
    assert "There is one setting, with 1 run" in sentences(answered(find_runs([tmp_path])))[0]
    write_run("b0", 2.0, 0, settings={"optimizer_d.lr": 0.1})
    assert "each ran with one seed, so no test is possible" in sentences(answered(find_runs([tmp_path])))[0]
    write_run("a1", 1.1, 1)
    write_run("b2", 2.1, 2, settings={"optimizer_d.lr": 0.1})
    write_run("b3", 2.2, 3, settings={"optimizer_d.lr": 0.1})
    said = sentences(answered(find_runs([tmp_path])))
    assert said[0].startswith("optimizer_d.lr=0.05 has the smallest median, but 0.1 cannot be told apart")
    write_run("c0", 0.5, 0, settings={"optimizer_d.lr": 0.2}, **{"val/sliced_w2": 0.5}).joinpath("metrics.json")
    path = tmp_path / "c0" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "val/w2": None}))
    assert "no val/w2: 1 runs with another score" in " ".join(sentences(answered(find_runs([tmp_path]))))


@pytest.mark.parametrize("typed, label", [(["schedule=constant"], "constant"), ([], "none")])
def test_an_option_without_a_class_is_called_as_it_was_typed(
    write_run: Write, tmp_path: Path, typed: list[str], label: str
) -> None:
    cosine = {"schedule._target_": "gaussgan.gan.schedules.Cosine", "schedule.end": 0.0}
    for seed in range(3):
        write_run(f"a{seed}", 1.0, seed, overrides=[f"seed={seed}", *typed])
        write_run(f"b{seed}", 2.0, seed, overrides=[f"seed={seed}", "schedule=cosine"], settings=cosine)
    (factor,) = answered(find_runs([tmp_path])).factors
    assert (factor.name, {*factor.values}) == ("schedule", {label, "Cosine"})


def test_a_choice_that_was_typed_for_one_run_only_is_no_factor_if_nothing_follows_from_it(
    write_run: Write, tmp_path: Path
) -> None:
    for seed in range(2):
        steps = {"update.d_steps": 5, "data.batches_per_iteration": 5}
        write_run(f"a{seed}", 1.0, seed, overrides=["update.d_steps=1", "experiment=x"])
        write_run(f"b{seed}", 2.0, seed, overrides=["update.d_steps=5", "experiment=x", "penalty=r1"], settings=steps)
    assert [factor.name for factor in answered(find_runs([tmp_path])).factors] == ["update.d_steps"]


def test_a_setting_that_is_mostly_worse_and_sometimes_much_better_is_not_called_equal(
    write_run: Write, tmp_path: Path
) -> None:
    draws = np.random.default_rng(4).normal(size=60)
    scores = np.stack([1.0 + 0.01 * draws, 1.1 + 0.01 * draws])
    scores[0, :20] += 3  # on a third of the seeds the first setting is worse, and by much more
    sweep(write_run, scores, range(60))
    said = sentences(answered(find_runs([tmp_path])))
    assert said[0].startswith("optimizer_d.lr=0.02 has the smallest median, but 0.05 cannot be told apart")
    (mixed,) = (sentence for sentence in said if sentence.startswith("On most seeds"))
    assert mixed.startswith(
        "On most seeds 0.05 is worse, with a median difference of 0.1 [0.1, 0.1], but on the others"
    )
    assert not any("in practice there is no difference" in sentence for sentence in said)


def test_a_game_without_chance_needs_no_test(write_run: Write, tmp_path: Path) -> None:
    for seed in range(8):
        write_run(f"a{seed}", 1.0, seed, **{"mle/w2": 0.0})
        write_run(f"b{seed}", 2.0, seed, settings={"optimizer_d.lr": 0.1}, **{"mle/w2": 0.0})
    answer = answered(find_runs([tmp_path]))
    first, *rest = sentences(answer)
    assert first.startswith("optimizer_d.lr=0.05 has the smallest val/w2 of 2 settings, 1. Each setting has one value")
    assert not any("test on runs" in sentence for sentence in rest)
    for seed in range(8):
        write_run(f"c{seed}", 1.0, seed, settings={"optimizer_d.lr": 0.2}, **{"mle/w2": 0.0})
    assert " of 3 settings, 1, and so has 1 other. " in sentences(answered(find_runs([tmp_path])))[0]
    assert columns(answer)["efficiency"] == ["–", "–"]
    write_run("b8", 2.1, 8, settings={"optimizer_d.lr": 0.1})
    assert "no test is needed" not in sentences(answered(find_runs([tmp_path])))[0]


def test_of_some_measures_more_is_better(write_run: Write, report: Callable[..., Report], tmp_path: Path) -> None:
    draws = np.random.default_rng(3)
    modes = draws.integers(1, 9, size=(2, 30)) // np.array([[1], [2]])
    for (i, seed), found in np.ndenumerate(modes):
        settings, measures = {"optimizer_d.lr": RATES[i]}, {"val/modes": int(found), "val/modes_ema": int(found)}
        write_run(f"{i}_{seed}", 1.0 - i / 2, seed, settings=settings, **measures)
    write_run("1_30", seed=30, settings={"optimizer_d.lr": RATES[1]}, status="diverged")
    write_run("0_30", 1.0, 30, settings={"optimizer_d.lr": RATES[0]}, **{"val/modes": 1})
    assert report().sentences[0].startswith(f"optimizer_d.lr={RATES[1]} ")  # by val/w2
    said = report(by="val/modes").sentences
    pairs = np.append(modes[0] - modes[1], 9)  # the diverged run is worse than any other
    low, high = median_interval(pairs)
    assert said[0] == (
        f"optimizer_d.lr={RATES[0]} is best; {RATES[1]} is worse by {np.median(pairs):.3g} [{low:.3g}, {high:.3g}]"
        " (1 of 31 runs diverged) (31 seeds)."
    )
    assert said[1].startswith(f"Its median val/modes is {np.median([*modes[0], 1]):.3g} (")
    frame, settings = frame_of(find_runs([tmp_path]))
    answer = compare(frame, [Factor("optimizer_d.lr", settings["optimizer_d.lr"])], "val/modes")
    assert answer.settings[1].quantiles[1] == np.median([*modes[1], -1])
    assert answer.settings[1].comparison is not None
    assert answer.settings[1].comparison.p == pytest.approx(stats.wilcoxon(pairs, zero_method="pratt").pvalue)
    page = (tmp_path / "report.html").read_text()
    assert "The further right a curve, the better." in page
    assert "P(best &gt; this)" in page
    assert report(by="val/modes_ema").sentences[0].startswith(f"optimizer_d.lr={RATES[0]} is best")
    with pytest.raises(ConfigError, match=re.escape("--by val/recall: no run has this measure (known measures: ")):
        report(by="val/recall")
    with pytest.raises(ConfigError, match="--by status: no run has this measure"):
        report(by="status")


def test_the_sentence_counts_infinite_values_that_are_not_divergence(write_run: Write, tmp_path: Path) -> None:
    for seed in range(8):
        write_run(f"a{seed}", 1.0, seed, **{"val/kl": 0.1 + seed})
        kl = {"val/kl": None if seed < 7 else 30.0}  # JSON has no infinity
        write_run(f"b{seed}", 2.0, seed, settings={"optimizer_d.lr": 0.1}, **kl)
    frame, settings = frame_of(find_runs([tmp_path]))
    first = sentences(compare(frame, [Factor("optimizer_d.lr", settings["optimizer_d.lr"])], "val/kl"))[0]
    assert "0.1 is worse: val/kl is infinite in 7 of 8 runs (8 seeds)." in first


def test_runs_that_share_no_seeds_are_compared_by_mann_and_whitney(write_run: Write, tmp_path: Path) -> None:
    a, b = np.random.default_rng(2).normal(1, 0.1, size=(2, 12)) + np.array([[0], [0.5]])
    for i in range(12):
        write_run(f"a{i}", a[i], i)
        write_run(f"b{i}", b[i], 100 + i, settings={"optimizer_d.lr": 0.1})
    answer = answered(find_runs([tmp_path]))
    against = answer.settings[1].comparison
    assert against is not None
    assert not against.paired
    assert against.p == pytest.approx(stats.mannwhitneyu(a, b).pvalue)
    assert "Mann–Whitney test (12 runs each, most of which share no seeds)" in " ".join(sentences(answer))


def test_the_same_seed_twice_is_one_pair(write_run: Write, tmp_path: Path) -> None:
    for seed, rate, w2 in ((0, 0.05, 1.0), (1, 0.05, 1.2), (0, 0.1, 2.0), (0, 0.1, 3.0), (1, 0.1, 2.2)):
        write_run(f"{seed}_{rate}_{w2}", w2, seed, settings={"optimizer_d.lr": rate})
    against = answered(find_runs([tmp_path])).settings[1].comparison
    assert against is not None
    assert (against.runs, against.difference) == (2, pytest.approx((1.5 + 1.0) / 2))


def test_a_report_says_which_runs_it_uses(write_run: Write, report: Callable[..., Report]) -> None:
    for name, seed, lr in (("a", 0, 0.05), ("b", 1, 0.05), ("c", 1, 0.05), ("d", 0, 0.1)):
        write_run(name, 0.3, seed, settings={"optimizer_d.lr": lr})
    said = report(where=["optimizer_d.lr=0.05"]).sentences
    assert "Only the runs with optimizer_d.lr=0.05 are used: 3 of 4." in said
    assert any(sentence.startswith("Runs that repeat the setting and the seed of another run: 1.") for sentence in said)
    assert not any("repeat" in sentence for sentence in report(where=["optimizer_d.lr=0.1"]).sentences)


def test_if_all_diverged_the_report_says_so(write_run: Write, report: Callable[..., Report]) -> None:
    sweep(write_run, np.full((2, 3), math.inf), range(3))
    assert report().sentences[0] == "No finished run has a finite val/w2: 6 diverged."


def test_the_table_has_a_row_for_each_run(write_run: Write, report: Callable[..., Report]) -> None:
    scores = np.array([[1.0, 2.0], [math.inf, 4.0]])
    sweep(write_run, scores, range(2))
    rows = [*csv.DictReader(report().table.read_text().splitlines())]
    assert [(row["optimizer_d.lr"], row["seed"], row["status"], row["directory"]) for row in rows] == [
        ("0.02", "0", "completed", "0_0"), ("0.02", "1", "completed", "0_1"), ("0.05", "0", "diverged", "1_0"),
        ("0.05", "1", "completed", "1_1"),
    ]  # fmt: skip
    assert [row["val/w2"] for row in rows] == ["1.0", "2.0", "", "4.0"]


def test_the_table_is_the_one_that_pandas_writes(write_run: Write, report: Callable[..., Report]) -> None:
    write_run('a,"b"', 0.1 + 0.2, 1, settings={"note": "x\ny"}, status="failed", error='a, "b"')
    write_run("c", math.inf, settings={"note": 1}, iterations=7)
    text = report().table.read_bytes().decode()
    assert text == pd.read_csv(io.StringIO(text), dtype={"seed": int}).to_csv(index=False)


def test_the_page_needs_no_network_and_escapes_everything(
    write_run: Write, report: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "</script><script>alert(1)</script>"
    for i, name in enumerate(("plain", f"<b>{evil.replace('/', '')}")):
        overrides = [f"+note={name}", "seed=0"]
        settings = {"note": name}
        write_run(f"<img src=x>{i}", 1.0 + i, overrides=overrides, settings=settings, tags=[evil])
    write_run("failed", status="failed", error=evil, overrides=["seed=1"], settings={"note": evil})
    chart = Chart(evil, evil, go.Figure(go.Scatter(x=[1], y=[2], name=evil)))
    monkeypatch.setattr("gaussgan.report.write.study_sections", lambda _: [Section(evil, [evil], [chart], [evil])])
    page = report().page.read_text()
    ours = page[: page.index("<script>/**")] + page[page.rindex("<script>") :]
    assert "alert(1)" in ours
    assert "<script>alert" not in ours
    assert "<img src=x>" not in ours
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=[\"']?(https?:)?//", ours)
    data = json.loads(re.search(r'id="run-data">(.*?)</script>', page)[1])  # type: ignore[index]
    assert {row[-1] for row in data["rows"]} == {evil, ""}  # tags
    assert {tuple(row[1:2]) for row in data["rows"]} == {("plain",), (f"<b>{evil.replace('/', '')}",), (evil,)}
    assert all(link.startswith("./") and "<" not in link for _, link, _ in data["runs"])
    assert "'+note=plain'" not in page
    assert "python scripts/train.py +note=plain seed=0" in [command for *_, command in data["runs"]]


@pytest.mark.parametrize(
    ("overrides", "mode", "command"),
    [
        (["seed=1"], "on", "seed=1 compile=on"),
        (["compile=auto", "seed=1"], "off", "seed=1 compile=off"),
        ([], "on", "compile=on"),
        (["compile=on"], None, "compile=on"),  # the configuration was wrong
    ],
)
def test_the_command_of_a_run_gives_its_mode(
    write_run: Write, report: Callable[..., Report], overrides: Sequence[str], mode: str | None, command: str
) -> None:
    write_run("a", 1.0, overrides=overrides, settings={} if mode is None else {"compile": mode})
    assert f"python scripts/train.py {command}" in report().page.read_text()


def test_runs_of_both_modes_are_told_apart(write_run: Write, report: Callable[..., Report]) -> None:
    """The mode is a factor, or a sentence says that it differs where it follows from another setting."""
    for seed in range(8):
        for mode, epochs in (("on", 2000), ("off", 20)):
            settings = {"compile": mode, "trainer.max_epochs": epochs}
            write_run(
                f"{mode}{seed}", seed + epochs, seed, overrides=[f"trainer.max_epochs={epochs}"], settings=settings
            )
    said = "Some runs have compile=on and some compile=off"
    assert any(line.startswith(said) for line in report().sentences)
    for seed in range(8):
        write_run(f"more{seed}", seed, seed, overrides=[], settings={"compile": "on", "trainer.max_epochs": 20})
    assert not any(line.startswith(said) for line in report().sentences)
    assert any("compile=on" in line for line in report().sentences)


def test_of_many_runs_the_page_lists_some_and_says_so(
    write_run: Write, report: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaussgan.report.page.ALL_RUNS", 10)
    monkeypatch.setattr("gaussgan.report.page.SOME_RUNS", 2)
    scores = np.arange(24.0).reshape(2, 12) + 1
    scores[1, 9:] = math.inf
    sweep(write_run, scores, range(12))
    written = report()
    page = written.page.read_text()
    assert "the best 2, the worst 2, and 2 of the 3 that diverged or are not finished. sweep.csv has all." in page
    data = json.loads(re.search(r'id="run-data">(.*?)</script>', page)[1])  # type: ignore[index]
    assert [row[-2] for row in data["rows"]] == [1, 2, 20, 21, "∞", "∞"]
    assert len(pd.read_csv(written.table)) == 24
