"""Run long tasks with an executor: python run_tasks.py LAUNCHER DIRECTORY."""

import sys
from pathlib import Path

from tasks import Counting, make

from gaussgan.sweep.executors.protocol import with_retries

if __name__ == "__main__":
    launcher, directory = sys.argv[1], Path(sys.argv[2])
    tasks = [Counting(directory, name, end=12_000) for name in "abc"]
    for _ in with_retries(make(launcher, directory), tasks):
        pass
