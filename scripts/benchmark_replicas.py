"""Compare many runs in one program with runs one after the other: python scripts/benchmark_replicas.py

- replicas: the examples per second of the default run with R replicas, compared with those of a textbook's loop
- sweep: the seconds of one sweep with the launcher "vectorized", compared with those of the same sweep with Hydra's
  launcher "basic"; the time is that of the whole command

Each measurement runs in its own process.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmark import ROOT, WITH_BARS, measure, report

REPLICAS = (1, 16, 256, 1024, 4096)


def sweep(launcher: str, jobs: int) -> float:
    """Run a sweep and return the seconds that it takes. The sweep varies the seed and D's learning rate.

    Args:
        launcher: the name of a Hydra launcher, such as "vectorized".
        jobs: the number of jobs, an even number.
    """
    with tempfile.TemporaryDirectory() as directory:
        numbers = (f"seed=range({jobs // 2})", "optimizer_d.lr=0.02,0.05")
        command = [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", f"hydra/launcher={launcher}", *numbers]
        started = time.perf_counter()
        process = subprocess.run(
            [*command, "trainer=cpu", f"hydra.sweep.dir={directory}"],
            capture_output=True,
            text=True,
            check=False,
            env=WITH_BARS,
        )
        seconds = time.perf_counter() - started
        records = len([*Path(directory).glob("*/metrics.json")])
    if process.returncode or records != jobs:
        sys.exit(f"{launcher}: {records} of {jobs} jobs left a record\n{process.stderr}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="epochs of 125 iterations (default: 20)")
    parser.add_argument("--jobs", type=int, default=128, help="jobs of the sweep; 0 for no sweep (default: 128)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()

    speeds: dict[Any, list[float]] = {"textbook": [], **{replicas: [] for replicas in REPLICAS}}
    for number in range(1, arguments.rounds + 1):
        for name, values in speeds.items():
            loop, replicas = ("textbook", 1) if name == "textbook" else ("gaussgan", name)
            values.append(measure(loop, arguments.epochs, replicas))
            print(f"round {number}/{arguments.rounds}  {name!s:>8} {values[-1]:11,.0f} examples/s", file=sys.stderr)
    medians = {name: median(values) for name, values in speeds.items()}
    print(f"\n{'replicas':>8}{'examples/s':>14}{'over textbook':>18}")
    for name, value in medians.items():
        print(f"{name!s:>8}{value:14,.0f}{value / medians['textbook']:16.1f} ×")
    result = {"machine": platform.platform(), "rounds": speeds, "medians": medians}
    if arguments.jobs:
        seconds = {launcher: sweep(launcher, arguments.jobs) for launcher in ("vectorized", "basic")}
        ratio = seconds["basic"] / seconds["vectorized"]
        print(f"\nsweep of {arguments.jobs} jobs: basic {seconds['basic']:.1f} s, vectorized", end=" ")
        print(f"{seconds['vectorized']:.1f} s, {ratio:.1f} × as fast")
        result |= {"sweep": seconds}
    report(result, arguments.json)


if __name__ == "__main__":
    main()
