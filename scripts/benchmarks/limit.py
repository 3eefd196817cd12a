"""The default run in C by hand: python -m benchmarks.limit --replicas 1000"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.distance import statistics

SOURCE = Path(__file__).with_suffix(".c")
FLAGS = ("-O3", "-march=native", "-ffast-math")


def compiler() -> str | None:
    """Return the C compiler of this machine; None if there is none."""
    found = (shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang"))
    return next(filter(None, found), None)


def train(replicas: int, epochs: int) -> dict[str, float]:
    """Compile limit.c and train. Return what the program measures, and the statistics of its runs."""
    with tempfile.TemporaryDirectory() as directory:
        program, file = Path(directory, "limit"), Path(directory, "generators")
        began = time.perf_counter()
        subprocess.run([str(compiler()), *FLAGS, str(SOURCE), "-o", str(program), "-lm"], check=True)
        compiling = time.perf_counter() - began
        command = [str(program), str(replicas), str(epochs), str(file)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = np.fromfile(file, np.float32).reshape(-1, 8)
    numbers = statistics(rows[:, :4].reshape(-1, 2, 2), rows[:, 4:6], rows[:, 6], rows[:, 7])
    return {**json.loads(printed), "compiling": compiling, **numbers}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    print(json.dumps(train(**vars(parser.parse_args()))))
