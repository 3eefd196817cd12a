"""Tasks for the tests of executors, and the executors. A task writes down in a directory what happens to it."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaussgan.sweep.executors.cores import Cores
from gaussgan.sweep.executors.protocol import Executor
from gaussgan.sweep.executors.ray_cluster import RayCluster
from gaussgan.sweep.executors.slurm import Local

RAY: dict[str, Any] = {
    "init": {"address": None, "num_cpus": 2, "num_gpus": None, "runtime_env": None},
    "remote": {"num_cpus": 1, "num_gpus": None, "memory": None},
}
JOBS = {"timeout_min": 5, "signal_delay_s": 10, "max_num_timeout": 2, "array_parallelism": 2, "gpus_per_node": None}
NULLS = ("mem_gb", "partition", "qos", "account", "constraint", "exclude", "gres", "comment", "setup")
SLURM = JOBS | dict.fromkeys((*NULLS, "additional_parameters")) | {"name": "train", "cpus_per_task": 1}

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (on a busy machine the workers would wait for minutes)


def make(launcher: str, directory: Path) -> Executor:
    """Return an executor that runs two tasks at a time."""
    if launcher == "joblib":
        return Cores({"n_jobs": 2})
    folder = {"submitit_folder": str(directory / ".submitit" / "%j")}
    return RayCluster({"ray": RAY}) if launcher == "ray" else Local(JOBS | folder)


@dataclass(frozen=True)
class Counting:
    """Counts to `end` in steps of 0.05 seconds, from where it was stopped."""

    directory: Path
    name: str
    end: int = 4
    kills: int = 0  # so often it kills its process
    error: str = ""

    def __call__(self) -> None:
        count = int((self.lines("stopped") or ["0"])[-1])
        try:  # a signal may come as soon as the first file is there
            self.note("tries", str(os.getpid()))
            print("a word to the terminal", flush=True)
            if len(self.lines("tries")) <= self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.error:
                raise RuntimeError(self.error)
            while count < self.end:
                time.sleep(0.05)
                count += 1
        except SystemExit:
            time.sleep(0.2)  # saving takes a moment
            self.note("stopped", str(count))
            raise
        self.note("ended", str(count))

    def note(self, what: str, text: str) -> None:
        with (self.directory / f"{self.name}.{what}").open("a") as file:
            file.write(f"{text}\n")

    def lines(self, what: str) -> list[str]:
        path = self.directory / f"{self.name}.{what}"
        return path.read_text().split() if path.exists() else []
