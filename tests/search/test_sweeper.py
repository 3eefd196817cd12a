# ruff: noqa: E402
"""A search asks, launches and tells; killed at any moment, it ends as an undisturbed one does."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

import hydra
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf
from optuna.trial import TrialState

from conftest import ROOT
from gaussgan.config.errors import ConfigError
from gaussgan.report.study import study_sections
from gaussgan.report.write import write_report
from gaussgan.runs.job_errors import was_reported
from gaussgan.runs.record import REPLICAS, read_record, read_replicas, write_record, write_table
from gaussgan.runs.study import FINAL
from gaussgan.search.options import check_options
from gaussgan.search.study import ERROR, JOB, NUMBERS, load_study, quiet
from gaussgan.search.sweeper import Search

pytestmark = pytest.mark.extra

SPACE = ("optimizer_d.lr=tag(log,interval(0.005,0.2))", "optimizer_g.lr=tag(log,interval(0.0005,0.02))")
SMALL = (
    "hydra/sweeper=optuna", "hydra.sweeper.n_trials=10", "hydra.sweeper.batch=4", "hydra.sweeper.seeds=3",
    "hydra.sweeper.final_seeds=5", "hydra.sweeper.finalists=2",
)  # fmt: skip


class Killed(BaseException):
    pass


class Launcher:
    """Writes the record of each job at once. The score is best at optimizer_d.lr=0.02 and differs between seeds.

    Args:
        kill: the number of the launch that is killed; half of its jobs are complete then.
    """

    def __init__(self, directory: Path, kill: int | None = None) -> None:
        self.directory, self.kill = directory, kill
        self.launches = 0
        self.launched: list[Sequence[str]] = []

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self.launches += 1
        killed = self.launches - 1 == self.kill
        done = len(jobs) // 2 if killed else len(jobs)
        returned = [self._run(job, initial_job_idx + i) for i, job in enumerate(jobs[:done])]
        if killed:
            raise Killed
        return returned

    def _run(self, job: Sequence[str], number: int) -> JobReturn:
        self.launched.append(job)
        parser, directory = OverridesParser.create(), self.directory / str(number)
        settings = {o.key_or_group: o.value() for o in parser.parse_overrides([*job])}
        seeds = settings["seed"] if isinstance(settings["seed"], list) else [settings["seed"]]
        lrs = settings.get("optimizer_d.lr", 0.05)
        lrs = lrs if isinstance(lrs, list) else [lrs] * len(seeds)
        w2 = [abs(math.log(lr / 0.02)) + (37 * seed % 11) / 100 for lr, seed in zip(lrs, seeds, strict=True)]
        status = ["diverged" if lr > 0.15 else "completed" for lr in lrs]
        directory.mkdir(exist_ok=True)
        rows = [{"seed": s, "status": t, "val/w2": v} for s, t, v in zip(seeds, status, w2, strict=True)]
        write_table(directory / REPLICAS, rows)
        write_record(directory, {"status": "completed"})
        result = JobReturn(status=JobStatus.COMPLETED)
        result.return_value = 0.0
        return result


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that runs a search, as scripts/train.py does, and returns it. The default launcher is fake."""
    hydra.version.setbase("1.3")
    application = Hydra.create_main_hydra2("train", create_config_search_path(str(ROOT / "conf")))
    handlers, level = [*logging.getLogger().handlers], logging.getLogger().level

    def start(*overrides: str, name: str = "s", kill: int | None = None, task: Any = None) -> Search:
        line = ["trainer=cpu", "hydra.mode=MULTIRUN", *SMALL, f"hydra.sweep.dir={tmp_path / name}", *overrides]
        config = application.compose_config("train", line, RunMode.MULTIRUN)
        context = HydraContext(config_loader=application.config_loader, callbacks=Callbacks(config))
        settings: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        launcher: Any = Launcher(tmp_path / name, kill)
        if task is not None:
            launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)
        search = Search(context, launcher, config, check_options(settings))
        with quiet():
            search.sweep(OmegaConf.to_container(config.hydra.overrides.task))  # type: ignore[arg-type]
        return search

    yield start
    for handler in logging.getLogger().handlers:
        handler.close()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    GlobalHydra.instance().clear()


def told(search: Search) -> list[Any]:
    return [(t.number, t.state, t.params, t.values, t.user_attrs.get(ERROR)) for t in search.study.get_trials()]


def test_a_generation_is_one_job_and_the_best_is_run_on_unseen_seeds(start: Start, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    search = start(*SPACE)
    trials = search.study.get_trials()
    assert trials[0].params == {"optimizer_d.lr": 0.05, "optimizer_g.lr": 0.005}  # the default recipe
    assert [[line for line in job if line.startswith("replicas")] for job in search.runs.launcher.launched] == [
        ["replicas=12"], ["replicas=12"], ["replicas=6"], ["replicas=4"], ["replicas=10"],
    ]  # fmt: skip
    assert "seed=[3,4,3,4]" in search.runs.launcher.launched[-2]  # two finalists on a quarter of five seeds
    assert "seed=[5,6,7,8,9,5,6,7,8,9]" in search.runs.launcher.launched[-1]
    for trial in trials:
        lr = trial.params["optimizer_d.lr"]
        expected = math.inf if lr > 0.15 else abs(math.log(lr / 0.02)) + sorted([0.0, 0.04, 0.08])[1]
        assert trial.value == pytest.approx(expected)
        assert trial.user_attrs[NUMBERS]["share_diverged"] == (lr > 0.15)
    best = min(trials, key=lambda trial: trial.value)
    final = search.study.user_attrs[FINAL]
    assert final["finalists"][0] == best.number
    unseen = sorted((37 * seed % 11) / 100 for seed in range(5, 10))[2]
    assert final["results"]["-1"]["values"] == pytest.approx([math.log(2.5) + unseen])
    assert final["results"][str(best.number)]["values"] == pytest.approx([best.value - 0.04 + unseen])
    text = "\n".join(final["sentences"])
    assert f"trial {best.number}: optimizer_d.lr={best.params['optimizer_d.lr']}" in text
    first = f"The best of 10 trials has median val/w2 {best.value - 0.04 + unseen:.4g} on 5 unseen seeds"
    assert text.startswith(f"{first}, and the default recipe has median val/w2 {math.log(2.5) + unseen:.4g}\n")
    lines = f"trainer=cpu compile=off optimizer_d.lr={best.params['optimizer_d.lr']}"
    assert f"To train it: python scripts/train.py {lines}" in text
    assert text in "\n".join(record.getMessage() for record in caplog.records)


def test_a_killed_search_ends_as_an_undisturbed_one(start: Start) -> None:
    space = (*SPACE, "update=alternating,simultaneous", "hydra.sweeper.n_trials=8")
    whole = start(*space, name="whole")
    for kill in (1, 1):  # in the second generation, and then after it in the final runs
        with pytest.raises(Killed):
            start(*space, kill=kill)
    again = start(*space)
    assert (again.runs.launcher.launches, whole.runs.launcher.launches) == (2, 4)
    assert told(again) == told(whole)
    assert again.study.user_attrs[FINAL]["results"] == whole.study.user_attrs[FINAL]["results"]
    more = start(*space, "hydra.sweeper.n_trials=11")
    assert len(told(more)) == 11
    assert told(more)[:8] == told(whole)
    jobs = [trial.user_attrs[JOB] for trial in more.study.get_trials()]
    assert min(jobs[8:]) > again.study.user_attrs[FINAL]["last_job"] > max(jobs[:8])


def test_a_refused_trial_fails_and_the_others_go_on(start: Start, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ConfigError, match="of 8 trials failed") as error:
        start("data.batch_size=8,2000", "optimizer_d.lr=interval(0.01,0.1)", "hydra.sweeper.n_trials=8")
    assert was_reported(error.value)
    assert "The best of 8 trials" in caplog.text
    with quiet():
        trials = load_study(str(tmp_path / "s" / "study.log"), "s").get_trials()
    assert {t.params["data.batch_size"]: t.state for t in trials} == {8: TrialState.COMPLETE, 2000: TrialState.FAIL}
    reason = next(trial.user_attrs[ERROR] for trial in trials if trial.state == TrialState.FAIL)
    assert reason.startswith("data.batch_size must be at most data.num_examples = 1000 (got 2000)")
    assert len([*tmp_path.glob("s/*/metrics.json")]) == 4  # two generations, the finalists and the winner


def test_if_the_first_trials_all_fail_the_same_command_tries_them_again(start: Start) -> None:
    def fail(_: Any) -> float:
        raise OSError("no such device")

    with pytest.raises(ConfigError, match=r"the first 4 trials failed, so the search ends here: .*no such device"):
        start(*SPACE, task=fail)
    assert told(start(*SPACE)) == told(start(*SPACE, name="whole"))


def test_a_value_without_a_key_in_its_trial_is_left_out(start: Start) -> None:
    search = start("penalty=none,r1", "penalty.weight=tag(log,interval(0.01,1))", "hydra.sweeper.n_trials=6")
    none = [job for job in search.runs.launcher.launched if "penalty=none" in job]
    assert none
    assert not any(line.startswith("penalty.weight") for job in none for line in job)
    assert all(
        any(line.startswith("penalty.weight") for line in job)
        for job in search.runs.launcher.launched[:2]
        if job not in none
    )


def test_several_objectives_have_a_pareto_front(start: Start, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    search = start(*SPACE, "hydra.sweeper.objectives=[score,val/w2_p10]", "hydra.sweeper.direction=[minimize,maximize]")
    front = search.study.best_trials
    assert len(front) > 1
    assert {*map(int, search.study.user_attrs[FINAL]["results"])} == {-1, *(trial.number for trial in front)}
    assert f"{len(front)} of 10 trials are on the Pareto front" in caplog.text


def test_the_real_run_gives_the_value_that_is_told(start: Start, tmp_path: Path) -> None:
    from gaussgan.train import train

    options = (
        "logger=none", "~callbacks.pictures", "trainer.max_epochs=1", "data.num_examples=40",
        "hydra.sweeper.n_trials=2", "trainer.enable_progress_bar=false", "hydra.sweeper.final_seeds=0",
    )  # fmt: skip
    search = start(SPACE[0], *options, task=train)
    rows = read_replicas(tmp_path / "s" / "0")
    for i, trial in enumerate(search.study.get_trials()):
        mine = rows[3 * i : 3 * i + 3]
        assert [int(row["seed"]) for row in mine] == [0, 1, 2]
        assert {float(row.get("optimizer_d.lr") or 0.05) for row in mine} == {trial.params["optimizer_d.lr"]}
        assert trial.value == sorted(float(row["val/w2"]) for row in mine)[1]
    (section,) = study_sections([tmp_path / "s"])
    assert section.paragraphs == ["2 trials: 2 complete"]
    assert section.sentences[0].startswith(f"The best of 2 trials is trial {search.study.best_trial.number}")
    assert write_report([tmp_path / "s"], tmp_path).sentences[0] == section.sentences[0]
    record = read_record(tmp_path / "s" / "0")
    assert record["settings"]["optimizer_d.lr"] == [
        t.params["optimizer_d.lr"] for t in search.study.get_trials() for _ in range(3)
    ]


def test_hopeless_trials_are_frozen_and_told_as_pruned(start: Start, tmp_path: Path) -> None:
    from gaussgan.train import train

    options = (
        "logger=none", "~callbacks.pictures", "trainer.max_epochs=4", "data.num_examples=200", "hydra.sweeper.seeds=2",
        "trainer.enable_progress_bar=false", "hydra.sweeper.final_seeds=0", "hydra/sweeper/pruner=median",
        "hydra.sweeper.pruner.every=1", "hydra.sweeper.pruner.pruner.n_startup_trials=1",
        "hydra.sweeper.pruner.pruner.n_warmup_steps=1", "hydra.sweeper.n_trials=8",
    )  # fmt: skip
    search = start("optimizer_g.lr=tag(log,interval(0.0001,0.1))", *options, task=train)
    trials = search.study.get_trials()
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert pruned
    assert all(trial.number >= 4 for trial in pruned)  # at first there is nothing to compare with
    assert all([*trial.intermediate_values] == [1, 2, 3] for trial in trials if trial not in pruned)
    rows, statuses = read_replicas(tmp_path / "s" / "1"), {trial.number: trial.state for trial in trials}
    for number in range(4, 8):
        ends = {row["status"] for row in rows[2 * (number - 4) : 2 * (number - 3)]}
        assert ends == {"pruned" if statuses[number] == TrialState.PRUNED else "completed"}
    record = read_record(tmp_path / "s" / "1")
    assert record["share_diverged"] == 0
    assert record["status"] == "completed"
    assert (record["iterations"] < 100) == (len(pruned) == 4)  # a run without any replica left ends


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("optimizer_d.lrr=interval(0,1)",), "optimizer_d.lrr"),
        (("+hydra.sweeper.params.optimizer_d.lrr=1,2",), "Sweeping over Hydra's configuration"),
        (("optimizer_d.lr=0.1",), "there is nothing to search"),
        (("update=alternating,nosuch",), "update must be one of alternating, cgd, consensus"),
        ((SPACE[0], "hydra.sweeper.seeds=0"), "hydra.sweeper.seeds must be a whole number of at least 1 (got 0)"),
        ((SPACE[0], "hydra.sweeper.sampler.seed=null"), "hydra.sweeper.sampler.seed must be"),
        ((SPACE[0], "hydra.sweeper.direction=up"), "hydra.sweeper.direction must be minimize or maximize"),
        ((SPACE[0], "hydra.sweeper.direction=[minimize,minimize]"), "must have one entry for each of the 1"),
        ((SPACE[0], "hydra.sweeper.objectives=[val/w2_medain]"), "no val/w2_medain; did you mean val/w2_median"),
        ((SPACE[0], "hydra.sweeper.objectives=[]"), "hydra.sweeper.objectives must be a list"),
        ((SPACE[0], "+hydra.sweeper.n_jobs=2"), "unknown key hydra.sweeper.n_jobs; did you mean hydra.sweeper.batch?"),
        ((SPACE[0], "+hydra.sweeper.sampler.nosuch=2"), "hydra.sweeper.sampler: "),
        ((SPACE[0], "hydra/sweeper/sampler=grid"), "grid needs a list"),
        ((SPACE[0], "optimizer_g.lr=-1"), "optimizer_g.lr must be a finite number above 0 (got -1)"),
        (("ema_half_life=10,100",), "ema_half_life must not be searched for these hydra.sweeper.objectives"),
    ],
)  # fmt: skip
def test_mistakes_come_in_one_line_before_the_first_run(
    start: Start, tmp_path: Path, overrides: Sequence[str], reason: str
) -> None:
    with pytest.raises((ConfigError, hydra.errors.HydraException)) as error:
        start(*overrides)
    assert reason in str(error.value)
    assert not (tmp_path / "s").exists()


def test_all_trials_of_a_search_have_one_mode(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr("gaussgan.sweep.modes._why_not", lambda config: tried.append(config.objective._target_))
    start("trainer.max_epochs=80", *SPACE, "objective=nonsaturating,hinge", name="long")  # 10 × 3 × 10,000 iterations
    assert [name.rpartition(".")[2] for name in tried] == ["NonSaturating", "Hinge"]
    for name, *more in (("long", "hydra.sweeper.n_trials=12"), ("off", "trainer.max_epochs=80", "compile=off")):
        overrides = ("trainer.max_epochs=80", "objective=nonsaturating,hinge") if name == "long" else ()
        search = start(*overrides, *SPACE, *more, name=name)
        modes = {line for job in search.runs.launcher.launched for line in job if line.startswith("compile=")}
        assert modes == {"compile=on" if name == "long" else "compile=off"}
    monkeypatch.setattr("gaussgan.sweep.modes._why_not", lambda config: "of a reason")
    search = start("trainer.max_epochs=80", *SPACE, name="fails")
    assert all("compile=off" in job for job in search.runs.launcher.launched)
    with pytest.raises(ConfigError, match=r"^compile must be auto, on or off in a search \(got explain\)$"):
        start(*SPACE, "compile=explain", name="explained")
