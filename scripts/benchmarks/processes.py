"""Commands that are measured: each runs alone, in its own process, with one thread on one core."""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
WITH_BARS = {
    "FORCE_COLOR": "1",
    "COLUMNS": "100",
}  # rich draws no progress bars without them


@dataclass(frozen=True)
class Measurement:
    """What a command took.

    Args:
        seconds: the time from its start to its end.
        cpu_seconds: the time that it computed. On a busy machine it is shorter than `seconds`.
        output: what it printed.
    """

    seconds: float
    cpu_seconds: float
    output: str

    @property
    def result(self) -> dict[str, Any]:
        """The last JSON object in the output. Progress bars may stand around it."""
        return json.JSONDecoder().raw_decode(self.output[self.output.rindex("{") :])[0]


def run(*command: str) -> Measurement:
    """Run Python with these arguments. If it fails, print its errors and end this program."""
    path = os.pathsep.join(filter(None, (str(ROOT / "scripts"), os.environ.get("PYTHONPATH"))))
    before, began = _cpu_seconds(), time.perf_counter()
    process = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ONE_THREAD, **WITH_BARS, "PYTHONPATH": path},
        preexec_fn=partial(os.sched_setaffinity, 0, {max(os.sched_getaffinity(0))})
        if hasattr(os, "sched_setaffinity")  # macOS cannot bind a process to a core
        else None,
    )
    seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{process.stderr}")
    return Measurement(seconds, _cpu_seconds() - before, process.stdout)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
