"""All jobs of a sweep have one mode, whatever the launcher, and keep it when the sweep goes on."""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from conftest import ROOT
from gaussgan.compile.errors import NotCompiled
from gaussgan.config import compile_mode
from gaussgan.config.errors import ConfigError
from gaussgan.data.loader import Batch
from gaussgan.gan.module import GAN
from gaussgan.runs.record import read_record, write_record
from gaussgan.setup import compiling
from gaussgan.sweep.executors.protocol import with_retries
from gaussgan.train import train

QUICK = (
    "trainer=cpu", "trainer.enable_progress_bar=false", "data.num_examples=40", "trainer.max_epochs=1", "logger=none",
    "~callbacks.pictures",
)  # fmt: skip
Launch = Callable[..., list[str]]
LENGTH = 5  # iterations of a job
pytestmark = pytest.mark.usefixtures("compiler")


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to compile runs, except those with the hinge loss. Five jobs together are long enough for auto."""

    def compile_gan(gan: GAN, batches: Sequence[Batch], threads: int, build: bool) -> None:
        if type(gan.game.objective).__name__ == "Hinge":
            raise NotCompiled("hinges squeak")

    monkeypatch.setattr(compiling, "compile_gan", compile_gan)
    monkeypatch.setattr(compile_mode, "ALL_ITERATIONS", 5 * LENGTH)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Return a function that runs the jobs of a sweep, and returns the modes in their records."""
    hydra.version.setbase("1.3")
    handlers, level = [*logging.getLogger().handlers], logging.getLogger().level
    application = Hydra.create_main_hydra2("train", create_config_search_path(str(ROOT / "conf")))

    def launch(*jobs: str, options: Sequence[str] = ("hydra/launcher=vectorized",), fails: bool = False) -> list[str]:
        options = (f"hydra.sweep.dir={tmp_path / 'sweep'}", *options)
        config = application.compose_config("train", [*options], RunMode.MULTIRUN)
        context = HydraContext(config_loader=application.config_loader, callbacks=Callbacks(config))
        launcher = Plugins.instance().instantiate_launcher(context, train, config)
        results = launcher.launch([[*QUICK, *job.split()] for job in jobs], initial_job_idx=0)
        known = [each.hydra_cfg for each in results if each.hydra_cfg is not None]  # None in a dry run
        records = [read_record(Path(each.hydra.runtime.output_dir)) for each in known]
        assert fails or {each["status"] for each in records} <= {"completed"}
        assert fails or all(each["compile"] == each["settings"]["compile"] for each in records)
        return [each["compile"] for each in records]

    yield launch
    for handler in logging.getLogger().handlers:
        handler.close()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    GlobalHydra.instance().clear()


def seeds(n: int, more: str = "") -> list[str]:
    return [f"seed={seed} {more}" for seed in range(n)]


@pytest.mark.parametrize("launcher", ["vectorized", pytest.param("basic", marks=pytest.mark.extra)])
def test_a_sweep_keeps_its_mode(launch: Launch, tmp_path: Path, launcher: str, caplog: Any) -> None:
    """Four jobs are too short, and stay eager when a fifth comes. Five are compiled, and stay so when four are left."""
    options = (f"hydra/launcher={launcher}",)
    assert launch(*seeds(4), options=options) == ["off"] * 4
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep").glob("*/metrics.json")}
    assert launch(*seeds(5), options=options) == ["off"] * 5
    assert {path: path.stat().st_mtime_ns for path in before} == before  # a job with compile=auto is found again
    shutil.rmtree(tmp_path / "sweep")
    assert launch(*seeds(5, "compile=auto"), options=options) == ["on"] * 5
    shutil.rmtree(tmp_path / "sweep" / "3")
    assert launch(*seeds(4), options=options) == ["on"] * 4


@pytest.mark.extra
def test_a_sweep_says_that_it_keeps_its_mode(launch: Launch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    launch(*seeds(1))
    launch(*seeds(5))
    line = "compile=off, as in the runs of this sweep that are there; now, auto would choose on"
    assert capfd.readouterr().out.count(line) == 1


@pytest.mark.extra
def test_one_long_job_compiles_all(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_mode, "RUN_ITERATIONS", 2 * LENGTH)
    assert launch("seed=0", "trainer.max_epochs=2") == ["on", "on"]


def test_jobs_that_name_their_mode_keep_it(launch: Launch) -> None:
    assert launch("compile=on", "compile=off", "seed=1", "seed=2 compile=true") == ["on", "off", "off", "on"]


def test_all_jobs_are_eager_if_one_cannot_be_compiled(launch: Launch, capfd: pytest.CaptureFixture[str]) -> None:
    assert launch(*seeds(4), "seed=4 objective=hinge") == ["off"] * 5
    assert "compile=off for all runs, because #4 cannot be compiled: hinges squeak" in capfd.readouterr().out


@pytest.mark.extra
def test_a_job_that_must_be_compiled_fails_alone(launch: Launch, tmp_path: Path) -> None:
    assert launch("compile=on", "compile=on objective=hinge", fails=True) == ["on", "on"]
    assert read_record(tmp_path / "sweep" / "0")["status"] == "completed"
    assert read_record(tmp_path / "sweep" / "1")["error"] == (
        "compile must be off for this run, because hinges squeak (got on)"
    )


@pytest.mark.extra
def test_a_job_that_resumes_a_run_has_the_mode_of_that_run(launch: Launch, tmp_path: Path) -> None:
    launch("compile=on")
    (tmp_path / "sweep").rename(tmp_path / "before")
    last = tmp_path / "before" / "0" / "checkpoints" / "last.ckpt"
    assert launch(f"ckpt_path={last} trainer.max_epochs=2") == ["on"]


def test_wrong_modes_are_refused(launch: Launch, tmp_path: Path) -> None:
    launch("compile=fast", fails=True)
    error = "compile must be auto, on, off or explain (got 'fast')"
    assert read_record(tmp_path / "sweep" / "0")["error"] == error
    with pytest.raises(ConfigError, match=r"^compile must be auto, on or off in a sweep \(got explain\)"):
        launch("seed=3 compile=explain")
    assert not (tmp_path / "sweep" / "1").exists()


def test_a_dry_run_compiles_nothing(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("gaussgan.sweep.modes._why_not", fail)
    assert launch(*seeds(5), options=("hydra/launcher=vectorized", "hydra.launcher.dry_run=true")) == []


def test_damaged_records_have_no_mode(launch: Launch, tmp_path: Path) -> None:
    for i, settings in enumerate([None, {}, {"compile": "auto"}, {"compile": None}, "x"]):
        (tmp_path / "sweep" / f"a{i}").mkdir(parents=True)
        write_record(tmp_path / "sweep" / f"a{i}", {"status": "failed", "settings": settings})
    (tmp_path / "sweep" / "a0" / "metrics.json").write_text("{")
    with pytest.raises(ConfigError, match="holds another sweep"):  # and not a traceback
        launch(*seeds(5))


class Environment:
    """An executor that notes the number of threads that its workers may use."""

    def __init__(self, workers: int) -> None:
        self.workers, self.seen = workers, []

    def check(self) -> None: ...

    def run(self, tasks: Sequence[Any]) -> Iterator[tuple[int, None]]:
        import os

        self.seen.append(os.environ.get("OMP_NUM_THREADS"))
        yield from ((i, None) for i in range(len(tasks)))


@pytest.mark.parametrize(
    ("workers", "tasks", "given", "threads"),
    [
        (4, 9, None, "2"),
        (4, 2, None, "4"),
        (16, 32, None, "1"),
        (1, 5, None, None),
        (4, 1, None, None),
        (4, 4, "3", "3"),
    ],
)
def test_tasks_that_run_at_the_same_time_divide_the_cores(
    monkeypatch: pytest.MonkeyPatch, workers: int, tasks: int, given: str | None, threads: str | None
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr("gaussgan.sweep.executors.protocol.available_cores", lambda: 8)
    executor = Environment(workers)
    assert len([*with_retries(executor, [lambda: None] * tasks)]) == tasks
    assert executor.seen == [threads]
