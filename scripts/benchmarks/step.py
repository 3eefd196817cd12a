"""The time of `training_step`: python -m benchmarks.step --replicas 256 [key=value ...]"""

import argparse
import json
import statistics
import tempfile
import time
from typing import Any

import hydra

from benchmarks.processes import ROOT
from gaussgan.setup.assemble import assemble

LONG = 2_000  # epochs, so that compile=auto does what it does in a long run; training stops before


def block(replicas: int, repeats: int, overrides: list[str]) -> dict[str, float]:
    """Time blocks of iterations in a run without figures.

    Returns:
        The seconds of CPU time of one iteration of one replica, and the seconds from the start of training to the end
        of the first block, in which a program may be compiled.
    """
    with (
        hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"),
        tempfile.TemporaryDirectory() as directory,
    ):
        quiet = ["trainer=cpu", "logger=none", "~callbacks.pictures", "trainer.enable_progress_bar=false"]
        run = [f"replicas={replicas}", f"trainer.max_epochs={LONG}", f"run_dir={directory}"]
        gan, data, trainer = assemble(hydra.compose("train", [*quiet, *run, *overrides]))
        step, ends, times = gan.training_step, [], []

        def timed(*arguments: Any) -> None:
            began = time.process_time()
            step(*arguments)
            times.append(time.process_time() - began)
            ends.append(time.perf_counter())
            trainer.should_stop = len(times) > repeats

        gan.training_step = timed  # type: ignore[assignment,method-assign]
        began = time.perf_counter()
        trainer.fit(gan, data)
    seconds = statistics.median(times[1:]) / replicas / data.steps_per_execution
    return {"seconds": seconds, "first_block": ends[0] - began}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=10, help="blocks that are timed (default: 10)")
    parser.add_argument("overrides", nargs="*")
    print(json.dumps(block(**vars(parser.parse_args()))))
