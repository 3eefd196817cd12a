"""hydra/launcher=vectorized writes the same files as the basic launcher, and composes the same configurations."""

import json
import logging
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import hydra
import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import ConfigCompositionException
from hydra.experimental.callback import Callback
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.base import Container, Node

from conftest import PATIENCE, ROOT
from gaussgan.config.errors import ConfigError
from gaussgan.config.resolve import resolved
from gaussgan.runs.directory import LAST, Busy
from gaussgan.runs.record import identity, read_record, write_record
from gaussgan.sweep.closing import end_sweep
from gaussgan.sweep.composing import Composer
from gaussgan.sweep.grouping import group_key, job_ranges, reason_alone
from gaussgan.sweep.sweep import sweeps

QUIET = (
    "trainer=cpu", "trainer.precision=64-true", "trainer.enable_progress_bar=false", "data.num_examples=40",
    "trainer.max_epochs=2",
)  # fmt: skip
Launch = Callable[..., Sequence[JobReturn]]
Groups = list[list[DictConfig]]


def task(cfg: DictConfig) -> float:
    """The task of a job that is run alone."""
    logging.getLogger("task").info("alone")
    return float(cfg.seed) + 1000


class Recorder(Callback):
    events: list[tuple[Any, ...]] = []  # noqa: RUF012

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        self.events.append(("start", HydraConfig.get().job.num, Path(HydraConfig.get().runtime.output_dir).name))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        logging.getLogger("callback").info("end")
        self.events.append(("end", config.hydra.job.num, HydraConfig.get().job.num, job_return.status.name))


@pytest.fixture
def application() -> Iterator[Hydra]:
    """Start Hydra as scripts/train.py does."""
    hydra.version.setbase("1.3")
    handlers, level = [*logging.getLogger().handlers], logging.getLogger().level
    yield Hydra.create_main_hydra2("train", create_config_search_path(str(ROOT / "conf")))
    for handler in logging.getLogger().handlers:
        handler.close()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    GlobalHydra.instance().clear()


@pytest.fixture
def launch(application: Hydra, tmp_path: Path) -> Launch:
    """Return a function that calls the launcher as a sweeper does."""

    def launch(*jobs: str, first: int = 0, launcher: str = "vectorized", options: Sequence[str] = ()) -> Any:
        common = (f"hydra/launcher={launcher}", f"hydra.sweep.dir={tmp_path / launcher}", *options)
        config = application.compose_config("train", [*common], RunMode.MULTIRUN)
        context = HydraContext(config_loader=application.config_loader, callbacks=Callbacks(config))
        plugin = Plugins.instance().instantiate_launcher(context, task, config)
        return plugin.launch([[*QUIET, *job.split()] for job in jobs], initial_job_idx=first)

    return launch


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    """Collect the groups that are trained together. The value of each run is its seed."""
    seen: Groups = []

    def train_together(
        configs: Sequence[dict[str, Any]], directory: Path, written: Collection[int]
    ) -> list[float | Exception]:
        seen.append(cfgs := [OmegaConf.create(config) for config in configs])
        logging.getLogger("group").info("for all")
        for cfg in cfgs:
            logging.getLogger("group").info("for seed %d", cfg.seed, extra={"run_dir": cfg.run_dir})
        return [ConfigError("no thirteen") if cfg.seed == 13 else float(cfg.seed) for cfg in cfgs]

    monkeypatch.setattr("gaussgan.sweep.together.train_together", train_together)
    return seen


def numbers(groups: Groups) -> list[list[int]]:
    return [[int(Path(cfg.run_dir).name) for cfg in group] for group in groups]


def lines(directory: Path) -> list[str]:
    return [line.rpartition("] ")[2] for line in (directory / "train.log").read_text().splitlines()]


def test_a_sweep_by_either_launcher(tmp_path: Path) -> None:
    def start(launcher: str) -> subprocess.Popen[str]:
        sweep = ("seed=3,5", "optimizer_d.lr=0.01,-1,0.02", "objective=hinge", "penalty=r1", "penalty.weight=1e-1")
        own = (f"hydra/launcher={launcher}", "hydra.sweep.dir=.")
        command = [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", *QUIET, *sweep, *own]
        (tmp_path / launcher).mkdir()
        return subprocess.Popen(
            command, cwd=tmp_path / launcher, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def hydras(directory: Path, launcher: str) -> str:
        text = (directory / ".hydra" / "hydra.yaml").read_text().replace(str(tmp_path / launcher), "DIRECTORY")
        name = re.sub(rf"(hydra/launcher(=|: )){launcher}\n", r"\1NAME\n", text)
        return re.sub(r"max_replicas: \d+\n", "", name)

    processes = {launcher: start(launcher) for launcher in ("basic", "vectorized")}
    errors = {launcher: process.communicate(timeout=PATIENCE)[1] for launcher, process in processes.items()}
    assert [process.returncode for process in processes.values()] == [1, 1], errors
    assert "3 runs trained" not in errors["basic"]
    assert "Training 4 runs together, without figures: #0, #2–#3, #5" in errors["vectorized"]
    for output in errors.values():
        assert output.count("optimizer_d.lr must be a finite number above 0 (got -1)") == 2, output
        assert "6 jobs: 4 completed, 2 failed" in output
        assert "Traceback" not in output
    files = {
        launcher: {re.sub(r"(tfevents).*", r"\1", str(p.relative_to(tmp_path / launcher))) for p in
                   (tmp_path / launcher).rglob("*")}
        for launcher in processes
    }  # fmt: skip
    assert {file for file in files["basic"] if "figures" not in file and "/.lock" not in file} == files["vectorized"]
    for number in range(6):
        basic, ours = (tmp_path / launcher / str(number) for launcher in ("basic", "vectorized"))
        for name in ("config.yaml", "overrides.yaml"):
            assert (basic / ".hydra" / name).read_bytes() == (ours / ".hydra" / name).read_bytes()
        assert hydras(basic, "basic") == hydras(ours, "vectorized")
        records = [json.loads((directory / "metrics.json").read_text()) for directory in (basic, ours)]
        assert records[0].keys() == records[1].keys()
        for key in {*records[0]} - {"seconds", "examples_per_second"}:
            close = isinstance(records[0][key], float)  # sums over many runs at once may be rounded differently
            assert records[1][key] == (pytest.approx(records[0][key]) if close else records[0][key]), key
        said = [lines(directory) for directory in (basic, ours)]
        assert {*said[0]} <= {*said[1]}


def test_jobs_are_grouped_by_structure(launch: Launch, groups: Groups, tmp_path: Path) -> None:
    jobs = (
        "seed=1",
        "seed=2 data.batch_size=4",
        "seed=3 optimizer_d.lr=0.3",
        "seed=4 data.batch_size=4",
        "objective=hinge",
    )
    results = launch(*jobs, first=7)
    assert numbers(groups) == [[7, 9], [8, 10]]
    assert [result.return_value for result in results] == [1, 2, 3, 4, 1000]
    cfg = groups[0][1]
    assert (cfg.run_dir, cfg.optimizer_d.lr) == (str(tmp_path / "vectorized" / "9"), 0.3)
    assert "${" not in OmegaConf.to_yaml(cfg)
    assert "hydra" not in cfg
    assert lines(tmp_path / "vectorized" / "9") == [
        "Training 2 runs together, without figures: #7, #9",
        "for all",
        "for seed 3",
    ]
    assert lines(tmp_path / "vectorized" / "11") == ["alone"]
    assert not HydraConfig.initialized()
    launch("seed=5", "seed=6", first=12)  # like a sweeper that proposes jobs in batches
    assert numbers(groups)[2] == [12, 13]


def test_values_that_depend_on_a_number_split_groups(compose: Callable[..., DictConfig]) -> None:
    def one(*overrides: str) -> str:
        cfg = compose(*overrides)
        cfg.run_dir = "${oc.env:PATH}"
        return group_key(OmegaConf.to_container(cfg, resolve=False), resolved(cfg))  # type: ignore[arg-type]

    assert one("seed=1") == one("seed=2")
    assert one("data.num_examples=${seed}", "seed=50") != one("data.num_examples=${seed}", "seed=60")
    assert one("generator=mlp", "generator.widths=[${seed}]") != one("generator=mlp", "generator.widths=[0]")
    widths = ("generator=mlp", "generator.widths=[${seed}]")
    assert one(*widths, "seed=50") != one(*widths, "seed=60")
    assert one("optimizer_g.lr=${optimizer_d.lr}", "optimizer_d.lr=1") == one("optimizer_g.lr=${optimizer_d.lr}")


def test_job_returns(launch: Launch, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_sweep.task", lambda cfg: float(cfg.seed))
    jobs = ("seed=1", "seed=2 optimizer_g.betas=[0.1,0.2]")
    results = launch(*jobs)
    assert numbers(groups) == [[0, 1]]
    for ours, theirs in zip(results, launch(*jobs, launcher="basic"), strict=True):
        assert (ours.return_value, ours.status) == (theirs.return_value, JobStatus.COMPLETED)
        for name in ("overrides", "working_dir", "task_name"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert ours.cfg is not None
        assert theirs.cfg is not None
        assert same(ours.cfg, theirs.cfg)
        assert ours.hydra_cfg is not None
        assert theirs.hydra_cfg is not None
        own = {"launcher", "sweep", "overrides", "runtime"}  # they name the launcher or the directory
        for key in {*theirs.hydra_cfg.hydra} - own:
            assert same(ours.hydra_cfg.hydra._get_node(key), theirs.hydra_cfg.hydra._get_node(key)), key


@pytest.mark.parametrize(
    "override, reason",
    [
        ("replicas=3", "replicas=3"),
        ("ckpt_path=some.ckpt", "ckpt_path=some.ckpt"),
        ("trainer.devices=2", "trainer.devices=2"),
        ("trainer.devices=auto", "trainer.devices=auto"),
        ("trainer.strategy=ddp_spawn", "trainer.strategy=ddp_spawn"),
        ("callbacks=[default,portrait]", "callbacks.pictures"),
        ("+callbacks.mine._target_=mine.Callback", "callbacks.mine"),
        ("callbacks=[default,logit]", "callbacks.logit"),
        ("callbacks=[default,spectrum]", "callbacks.spectrum"),
        ("trainer.fast_dev_run=true", "trainer.fast_dev_run=True"),
        ("trainer.fast_dev_run=2", "trainer.fast_dev_run=2"),
        ("data.seed=7", "data.seed=7"),
        ("trainer.profiler=simple", "trainer.profiler=simple"),
        ("logger.tensorboard._target_=mine.Logger", "logger.tensorboard"),
        ("logger=[tensorboard,csv]", None),
        ("+hydra.job.chdir=true", "hydra.job.chdir"),
        ("+hydra.job.env_set.X=${seed}", "hydra.job.env_set"),
        ("~callbacks.pictures", None),
        ("~logger", None),
        ("trainer.devices='1'", None),
        ("logger.tensorboard._target_=pytorch_lightning.loggers.CSVLogger", None),
        ("+hydra.job.env_set.X=a", None),
        ("experiment=ring", None),
    ],
)
def test_why_a_job_is_trained_alone(application: Hydra, override: str, reason: str | None) -> None:
    config = application.compose_config("train", [override], RunMode.RUN)
    assert reason_alone(OmegaConf.to_container(config, resolve=False)) == reason


def test_jobs_that_are_trained_alone(
    launch: Launch, groups: Groups, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [f"seed={seed} {rest}" for rest in ("", "trainer.profiler=simple", "replicas=2") for seed in (1, 2)]
    assert [result.return_value for result in launch(*jobs)] == [1, 2, 1001, 1002, 1001, 1002]
    line = "Not trained together with others: #2–#3 (trainer.profiler=simple); #4–#5 (replicas=2)"
    assert capsys.readouterr().out.count(line) == 1
    assert lines(tmp_path / "vectorized" / "3") == ["alone"]


def test_spans() -> None:
    assert job_ranges([0, 1, 2, 4, 7, 8]) == "#0–#2, #4, #7–#8"


def test_a_large_group_is_split(launch: Launch, groups: Groups) -> None:
    jobs = [f"seed={seed}" for seed in range(5)]
    results = launch(*jobs, options=("hydra.launcher.max_replicas=2",))
    assert numbers(groups) == [[0, 1], [2, 3]]
    assert [result.return_value for result in results] == [0, 1, 2, 3, 1004]
    launch(*jobs, first=5, options=("hydra.launcher.max_replicas=null",))
    assert numbers(groups)[2] == [5, 6, 7, 8, 9]
    with pytest.raises(ConfigError, match=r"hydra.launcher.max_replicas must be .* at least 1, or null \(got 0\)"):
        launch(*jobs, options=("hydra.launcher.max_replicas=0",))


def test_after_a_stop_jobs_are_divided_as_before(
    launch: Launch, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaussgan.sweep.executors.inline.Inline.workers", 2, raising=False)
    jobs = [f"seed={seed}" for seed in range(8)]
    launch(*jobs)
    assert numbers(groups) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    for cfg in groups[0]:  # only these were trained before the sweep was stopped
        config: Any = OmegaConf.to_container(cfg)
        write_record(Path(cfg.run_dir), {"status": "completed", **identity(config)})
    groups.clear()
    launch(*jobs)
    assert numbers(groups) == [[4, 5, 6, 7]]


def test_a_run_fails_alone_in_its_group(launch: Launch, groups: Groups, tmp_path: Path) -> None:
    results = launch("seed=12", "seed=13", "seed=14")
    assert [result.status.name for result in results] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert results[1].return_value == math.inf
    record = read_record(tmp_path / "vectorized" / "1")
    assert (record["status"], record["error"], record["seed"]) == ("failed", "no thirteen", 13)
    assert "no thirteen" in lines(tmp_path / "vectorized" / "1")
    assert "no thirteen" not in lines(tmp_path / "vectorized" / "0")


def test_a_group_that_fails_as_a_whole(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train_together(configs: Sequence[dict[str, Any]], directory: Path, written: Collection[int]) -> None:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr("gaussgan.sweep.together.train_together", train_together)
    results = launch("seed=1", "seed=2", "seed=3")
    assert [result.return_value for result in results] == [1001, 1002, 1003]
    assert (
        capsys.readouterr().err.count("The runs cannot be trained together and are run one by one: out of memory") == 1
    )
    assert lines(tmp_path / "vectorized" / "2")[-1] == "alone"


def test_an_interrupted_group_ends_the_sweep(launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def train_together(configs: Sequence[dict[str, Any]], directory: Path, written: Collection[int]) -> None:
        raise SystemExit(130)

    monkeypatch.setattr("gaussgan.sweep.together.train_together", train_together)
    with pytest.raises(SystemExit):
        launch("seed=1", "seed=2", "seed=3 objective=hinge", options=("+hydra.job.env_set.OF_THE_JOB=1",))
    assert not HydraConfig.initialized()
    assert "OF_THE_JOB" not in os.environ
    assert not (tmp_path / "vectorized" / "2").exists()


def test_a_signal_in_a_groups_last_block_ends_the_sweep(
    launch: Launch, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaussgan.sweep.task.received", lambda: 2)
    with pytest.raises(SystemExit):
        launch("seed=1", "seed=2", "seed=3 data.batch_size=4", "seed=4 data.batch_size=4")
    assert numbers(groups) == [[0, 1]]


def test_jobs_that_cannot_be_resolved(launch: Launch, groups: Groups) -> None:
    results = launch(
        "seed=1", "seed=2 optimizer_g.lr=${nosuch}", "seed=3", "seed=4 +data.x=${nosuch}", "seed=5 +data.x=${nosuch}"
    )
    assert numbers(groups) == [[0, 2]]
    assert [result.return_value for result in results] == [1, 1002, 3, 1004, 1005]


def test_jobs_with_one_directory(launch: Launch, groups: Groups) -> None:
    one = ("hydra.sweep.subdir=one",)
    with pytest.raises(
        ConfigError, match=r"hydra.sweep.subdir must .* its own; that of #1, .*/one, belongs to another"
    ):
        launch("seed=1", "seed=2", options=one)
    launch("seed=1", "seed=1", options=one)
    assert groups == []


def completing(cfg: DictConfig) -> float:
    write_record(Path(cfg.run_dir), {"status": "completed", "val/w2": 1.0, **identity(cfg)})
    return 1.0


def seeds(directory: Path) -> dict[str, int]:
    return {path.parent.name: json.loads(path.read_text())["seed"] for path in directory.glob("*/metrics.json")}


@pytest.mark.parametrize("prefix", ["", "job_"])
def test_a_new_job_gets_a_directory_that_no_run_has(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr("test_sweep.task", completing)
    pattern = (f"hydra.sweep.subdir='{prefix}${{hydra:job.num}}'",)
    launch("seed=1", "seed=2", launcher="basic", options=pattern)
    launch("seed=5", "seed=1", "seed=6", "seed=2", launcher="basic", options=pattern)
    found = seeds(tmp_path / "basic")
    assert sorted(found.values()) == [1, 2, 5, 6]
    assert (found[f"{prefix}0"], found[f"{prefix}1"]) == (1, 2)


def test_settings_that_depend_on_the_number(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that gets another number as the sweep grows would train another run than the user asked for."""
    monkeypatch.setattr("test_sweep.task", completing)
    old, new = ("seed=${hydra:job.num} optimizer_d.lr=0.1", "seed=${hydra:job.num} optimizer_d.lr=0.2")
    launch(old, launcher="basic")
    launch(old, new, launcher="basic")
    assert seeds(tmp_path / "basic") == {"0": 0, "1": 1}
    with pytest.raises(ConfigError, match=r"hydra.job.num must not determine the settings .* the number of #0 changes"):
        launch(new, old, launcher="basic")


def test_a_group_of_which_all_runs_were_written(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was killed after it had written the runs, and before it had removed the group's directory."""
    calls = []

    def train_together(
        configs: Sequence[dict[str, Any]], directory: Path, written: Collection[int]
    ) -> list[float | None]:
        calls.append([*written])
        for config in configs:
            completing(OmegaConf.create(config))
        (directory / "checkpoints").mkdir(exist_ok=True)
        with ZipFile(directory / LAST, "w"):
            pass
        return [None if i in written else 1.0 for i in range(len(configs))]

    monkeypatch.setattr("gaussgan.sweep.together.train_together", train_together)
    for _ in range(2):
        results = launch("seed=1", "seed=2", options=(f"hydra.sweep.dir={tmp_path}/x/../vectorized",))
        assert [result.return_value for result in results] == [1.0, 1.0]
    assert calls == [[], [0, 1]]
    assert [job.goes_on for job in sweeps[-1].jobs] == [False, False]
    completed = read_record(tmp_path / "vectorized" / "1")
    write_record(tmp_path / "vectorized" / "1", {**completed, "status": "running"})
    launch("seed=1", "seed=2", options=("hydra.launcher.dry_run=true",))
    assert [job.goes_on for job in sweeps[-1].jobs] == [False, True]
    launch("seed=1", "seed=2")
    assert calls == [[], [0, 1], [0]]


def test_a_group_that_another_process_trains(
    launch: Launch, groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch("seed=1", "seed=2")
    group = next((tmp_path / "vectorized" / ".groups").iterdir())
    monkeypatch.setattr("gaussgan.sweep.sweep.is_locked", lambda directory: directory == group)
    with pytest.raises(ConfigError, match=r"another process still trains jobs of this sweep, in .*\.groups"):
        launch("seed=1", "seed=2")
    assert group.exists()


def test_a_failure_that_no_record_can_say(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the disk is full, the record of a job still says what it said before."""

    def full(*_: Any) -> None:
        raise ConfigError("hydra.run.dir: cannot write to metrics.json (No space left on device)")

    monkeypatch.setattr("test_sweep.task", full)
    monkeypatch.setattr("gaussgan.sweep.jobs.record_failure", full)
    launch("seed=1", "seed=2", launcher="basic")
    assert end_sweep(sweeps[-1].jobs, tmp_path / "basic", stopped=False)
    assert "2 jobs: 2 failed" in capsys.readouterr().err


def test_the_record_of_another_process_stays(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(cfg: DictConfig) -> float:
        write_record(Path(cfg.run_dir), {"status": "running", **identity(cfg)})
        raise Busy("hydra.run.dir: another run is under way")

    monkeypatch.setattr("test_sweep.task", busy)
    results = launch("seed=1", launcher="basic")
    assert results[0].status == JobStatus.FAILED
    assert read_record(tmp_path / "basic" / "0")["status"] == "running"


def test_hydras_callbacks_see_every_job(launch: Launch, groups: Groups, tmp_path: Path) -> None:
    Recorder.events.clear()
    launch("seed=1", "seed=13", "objective=hinge", options=("+hydra.callbacks.x._target_=test_sweep.Recorder",))
    assert Recorder.events == [
        ("start", 0, "0"), ("start", 1, "1"), ("end", 0, 0, "COMPLETED"), ("end", 1, 1, "FAILED"),
        ("start", 2, "2"), ("end", 2, 2, "COMPLETED"),
    ]  # fmt: skip
    for number in range(3):
        assert lines(tmp_path / "vectorized" / str(number)).count("end") == 1


def same(a: Node, b: Node) -> bool:
    """Check that two configurations have equal nodes: values, types and flags, with unresolved interpolations."""
    metadata = [{k: v for k, v in vars(node._metadata).items() if k != "resolver_cache"} for node in (a, b)]
    if type(a) is not type(b) or metadata[0] != metadata[1]:
        return False
    if not isinstance(a, Container) or not isinstance(a._content, dict | list):
        return type(a._value()) is type(b._value()) and repr(a._value()) == repr(b._value())
    keys = [[*node._content] if isinstance(node, DictConfig) else range(len(node)) for node in (a, b)]
    return [*keys[0]] == [*keys[1]] and all(same(a._get_node(k), b._get_node(k)) for k in keys[0])


STRUCTURES = (
    "penalty=r1", "penalty=[r1,r2] | penalty.weight=%f", "experiment=r3gan | penalty.weight=%f", "experiment=dirac",
    "+data.note='a, b'", "data.num_examples='${seed}'", "penalty=wgan_gp | penalty.wgan_gp.weight=%f", "seed=%f",
    "player_d.clip_gradient=null | player_g.clip_gradient=%f", "optimizer_g.betas=[%f,%f]", "~callbacks.pictures",
    "optimizer_d={lr:%f} | optimizer_d.lr=%f", "optimizer@optimizer_d=rmsprop | optimizer_d.alpha=%f", "seed='%f'",
    "~optimizer_d.eps | +optimizer_d.eps=%f", "generator.widths=[3,4] | generator=mlp", "++optimizer_d.momentum=%f",
    "optimizer_g.lr='${optimizer_d.lr}'", "logger.tensorboard.name='it\\'s 1,2'", "data.distribution.b=[%f,-1]",
    "penalty=r1 | penalty={weight:2} | penalty.weight=%f", "optimizer_d.betas=[[0.5,%f],0.9]", "nosuch=%f",
    "experiment=ring | optimizer_d.betas=[%f,%f] | optimizer_d.betas=[%f,0.5]", "penalty.weight=%f", "seed=%f | seed=1",
    "data.seed=%f | hydra.job.name=other", "hydra.job.env_copy=[PATH]",
)  # fmt: skip


@pytest.mark.every_second
@pytest.mark.parametrize("structure", STRUCTURES)
def test_composes_as_hydra_does(application: Hydra, structure: str) -> None:
    options = ["hydra/launcher=vectorized", "hydra.sweep.dir=somewhere", "+hydra.job.env_set.X=y"]
    master = application.compose_config("train", options, RunMode.MULTIRUN)
    theirs: Any = application.config_loader
    ours = Composer(theirs)
    draw = random.Random(structure)
    order = draw.random()
    for _ in range(3):
        template = f"{structure} | seed=%f | optimizer_d.lr=0.5 | optimizer_g.lr=%f"
        overrides = re.sub("%f", lambda _: f"{draw.choice([draw.randrange(-9, 99), draw.random(), -1e-9])}", template)
        shuffled = overrides.split(" | ")
        random.Random(order).shuffle(shuffled)
        try:
            expected = theirs.load_sweep_config(master, shuffled)
        except ConfigCompositionException as error:
            with pytest.raises(ConfigCompositionException, match=re.escape(str(error))):
                ours.load_sweep_config(master, shuffled)
            continue
        composed = ours.load_sweep_config(master, shuffled)
        assert same(composed, expected), shuffled
        assert composed._metadata.resolver_cache == expected._metadata.resolver_cache
        assert master.hydra.run.dir  # resolves the time, which the later jobs must share


def test_numbers_are_set_in_a_copy(application: Hydra, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = ConfigLoaderImpl.load_sweep_config
    monkeypatch.setattr(
        ConfigLoaderImpl, "load_sweep_config", lambda *a: calls.append(a[2]) or original(*a)
    )  # fmt: skip
    master = application.compose_config("train", [], RunMode.MULTIRUN)
    ours = Composer(application.config_loader)
    drawn = [(seed, weight) for seed in range(5) for weight in (0.5, 1.5)]
    cfgs = [ours.load_sweep_config(master, ["penalty=r1", f"seed={s}", f"penalty.weight={w}"]) for s, w in drawn]
    assert [(cfg.data.seed, cfg.penalty.r1.weight) for cfg in cfgs] == drawn
    assert len(calls) == 1
    ours.load_sweep_config(master, ["penalty=r1", "seed=1.5", "penalty.weight=1.5"])
    assert len(calls) == 2  # another type of number, which a schema could refuse
    for _ in range(2):
        with pytest.raises(ConfigCompositionException, match=r"Could not override 'optimizer_d.momentum'"):
            ours.load_sweep_config(master, ["optimizer_d.momentum=0.1"])
    for value in ("a", "b"):
        monkeypatch.setenv("COPIED", value)
        cfg = ours.load_sweep_config(master, ["seed=1", "hydra.job.env_copy=[COPIED]"])
        assert value == cfg.hydra.job.env_set.COPIED


def test_a_batch_is_composed_once(application: Hydra) -> None:
    master = application.compose_config("train", [], RunMode.MULTIRUN)
    ours = Composer(application.config_loader)
    batch = [["seed=1"], ["seed=1"], ["seed=2"]]
    checked = [ours.load_sweep_config(master, job) for job in batch]
    composed = ours.compose_batch(master, [*batch, ["seed=3"]])
    assert [cfg.data.seed for cfg in composed] == [1, 1, 2, 3]
    assert len({id(cfg) for cfg in composed}) == 4  # a job may change its configuration
    assert composed[2] is checked[2]
    assert composed[2] is not ours.compose_batch(master, [["seed=2"]])[0]
