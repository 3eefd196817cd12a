"""Executors run tasks in real processes, notice those that are lost, and let a task that is stopped save its state."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tasks import JOBS, RAY, SLURM, Counting, make

from conftest import PATIENCE
from gaussgan.config.errors import ConfigError
from gaussgan.sweep.executors.cores import Cores
from gaussgan.sweep.executors.protocol import Executor, with_retries
from gaussgan.sweep.executors.ray_cluster import RayCluster
from gaussgan.sweep.executors.slurm import Local, Slurm

pytestmark = pytest.mark.extra
LIBRARIES = {"joblib": "joblib", "submitit_local": "submitit", "ray": "ray"}  # of each launcher


@pytest.fixture(params=LIBRARIES)
def launcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(launcher: str, tmp_path: Path) -> Any:
    """Return a function that starts three long tasks in another process, and waits until two of them run."""
    started = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, str(Path(__file__).with_name("run_tasks.py")), launcher, str(tmp_path)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        wait_for(lambda: process.poll() is not None or len([*tmp_path.glob("*.tries")]) == 2)
        assert process.poll() is None, process.communicate()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text() if Path("/proc").exists() else True


def pids(directory: Path) -> list[int]:
    return [int(line) for path in directory.glob("*.tries") for line in path.read_text().split()]


def test_tasks_that_end_that_raise_and_that_are_killed(
    launcher: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = [
        Counting(tmp_path, "a"),
        Counting(tmp_path, "killed once", kills=1),
        Counting(tmp_path, "b", end=20),
        Counting(tmp_path, "killed", kills=9),
        Counting(tmp_path, "raises", error="one\nline"),
        Counting(tmp_path, "c"),
    ]
    executor = make(launcher, tmp_path)
    executor.check()
    assert executor.workers == 2
    why = dict(with_retries(executor, tasks))
    assert sorted(why) == [0, 1, 2, 3, 4, 5]
    assert [i for i in why if why[i] is None] == [i for i in why if i not in (3, 4)]
    assert why[4] == "RuntimeError: one line"
    assert "\n" not in str(why[3])
    assert {task.name: len(task.lines("tries")) for task in tasks} == {
        "a": 1, "killed once": 2, "b": 1, "killed": 2, "raises": 2, "c": 1,
    }  # fmt: skip
    assert {task.name for task in tasks if task.lines("ended")} == {"a", "killed once", "b", "c"}
    assert "a word to the terminal" not in "".join(capfd.readouterr())


def test_a_signal_stops_the_tasks_kindly(start: Any, tmp_path: Path) -> None:
    process = start()
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 143, errors
    begun = {path.stem for path in tmp_path.glob("*.tries")}
    assert len(begun) == 2  # the third task is cancelled
    assert {path.stem for path in tmp_path.glob("*.stopped")} == begun
    wait_for(lambda: not any(map(exists, pids(tmp_path))), 10)


def test_no_process_stays_when_the_sweep_is_killed(start: Any, launcher: str, tmp_path: Path) -> None:
    process = start()
    process.kill()
    wait_for(lambda: not any(map(exists, pids(tmp_path))), 60)
    assert len([*tmp_path.glob("*.tries")]) == 2
    if launcher != "ray":  # Ray kills its workers
        assert len([*tmp_path.glob("*.stopped")]) == 2


def test_a_job_that_is_preempted_goes_on(tmp_path: Path) -> None:
    tasks = [Counting(tmp_path, "a", end=60), Counting(tmp_path, "b", end=60)]

    class Preempting(Local):
        """Sends to the first task what SLURM sends to a job that it preempts, once the task has begun."""

        def run(self, tasks: Any) -> Any:
            def preempt() -> None:
                wait_for(lambda: len(pids(tmp_path)) == 2)
                time.sleep(0.5)
                os.kill(int((tmp_path / "a.tries").read_text()), signal.SIGUSR2)

            Thread(target=preempt, daemon=True).start()
            return super().run(tasks)

    executor = Preempting(JOBS | {"submitit_folder": str(tmp_path / "%j")})
    assert dict(with_retries(executor, tasks)) == {0: None, 1: None}
    assert [len(task.lines("tries")) for task in tasks] == [2, 1]
    assert 0 < int(tasks[0].lines("stopped")[0]) < 60
    assert tasks[0].lines("ended") == ["60"]


@pytest.mark.parametrize(
    "executor, line",
    [
        (Cores({"n_jobs": 0}), "n_jobs must be a whole number other than 0; -1 means all cores (got 0)"),
        (Cores({"n_jobs": "2"}), "n_jobs must be a whole number other than 0; -1 means all cores (got '2')"),
        (Cores({}), "n_jobs must be a whole number other than 0; -1 means all cores (it was removed)"),
        (Cores({"n_jobs": 1, "n_job": 2}), "unknown key hydra.launcher.n_job; did you mean hydra.launcher.n_jobs?"),
        (Local(JOBS | {"submitit_folder": ""}), "submitit_folder must be a text that is not empty (got '')"),
        (Local(JOBS | {"submitit_folder": "x", "signal_delay_s": 300}), "signal_delay_s must be below 60 × "),
        (Slurm(SLURM | {"submitit_folder": "x", "mem_gb": -1}), "mem_gb must be a finite number above 0, or null (got"),
        (Slurm(SLURM | {"submitit_folder": "x", "setup": "module load"}), "setup must be a list of texts, or null"),
        (RayCluster({"ray": RAY | {"remote": {"num_cpus": "two"}}}), "ray.remote.num_cpus must be a finite number of"),
        (
            RayCluster({"ray": RAY | {"init": RAY["init"] | {"address": "auto"}}}),
            "ray.init.num_cpus must be null with an address",
        ),
    ],
)  # fmt: skip
def test_settings_that_are_refused(executor: Executor, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        executor.check()
    assert str(error.value).removeprefix("hydra.launcher.").startswith(line)


@pytest.mark.parametrize("launcher", LIBRARIES)
def test_a_missing_library_names_its_extra(launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = LIBRARIES[launcher]
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"pip install -c constraints.txt -e '.\[{library}\]'"):
        make(launcher, tmp_path).check()


def test_clusters_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="needs SLURM, but the command sbatch is not here"):
        Slurm(SLURM | {"submitit_folder": "x"}).check()
    address = {"address": "127.0.0.1:1", "num_cpus": None}
    with pytest.raises(ConfigError, match=r"no Ray cluster at 127\.0\.0\.1:1 "):
        RayCluster({"ray": RAY | {"init": RAY["init"] | address}}).check()
