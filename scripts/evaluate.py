"""Measure a finished run anew: python scripts/evaluate.py RUN"""

import argparse
import math
import sys
from pathlib import Path

from gaussgan.config.errors import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(description="Distances of a run, and at which n it is told from the truth.")
    parser.add_argument("run", help="a run directory, such as logs/runs/2026-01-31_12-00-00-000000")
    parser.add_argument("--best", action="store_true", help="the parameters with the least val/w2, not the last ones")
    parser.add_argument("--replica", type=int, help="which of a run of several, from 0 on")
    parser.add_argument("--permutations", type=int, default=199, help="of the permutation test (default: 199)")
    parser.add_argument("--seed", type=int, default=0, help="of the fresh samples (default: 0)")
    parser.add_argument("--trust", action="store_true", help="run code that the run names, such as your own classes")
    arguments = parser.parse_args()
    if arguments.permutations < 1:
        parser.error(f"--permutations must be at least 1 (got {arguments.permutations})")

    if arguments.trust:
        sys.path.append(str(Path.cwd()))  # where a reader's own classes are, which python SCRIPT leaves out
    import torch

    from gaussgan.networks.moments import has_closed_form
    from gaussgan.runs.directory import BEST, LAST, RECORD, read_record, read_replicas
    from gaussgan.runs.evaluate import compare, measure, told_apart_from
    from gaussgan.runs.load import load_run
    from gaussgan.runs.table import measures

    run = load_run(arguments.run, BEST if arguments.best else LAST, arguments.replica, arguments.trust)
    if run.config["threads"] is not None:
        torch.set_num_threads(run.config["threads"])
    measured = measure(run)
    of = "" if arguments.replica is None else f"replica {arguments.replica}, seed {run.config['seed']}, of "
    print(f"{of}{Path(arguments.run)} after {run.iterations:,} iterations")
    record = read_record(run.directory) if (run.directory / RECORD).exists() else {"status": "unfinished"}
    if arguments.replica is not None and (replicas := read_replicas(Path(arguments.run))[arguments.replica :]):
        record["status"] = replicas[0]["status"]
        if record["status"] == "diverged":
            record["error"] = f"replica {arguments.replica} diverged"
    if record["status"] == "diverged":
        print(f"{record.get('error')}: what follows is of its last checkpoint, before that")
    elif record["status"] != "completed":
        print(f"the run is {record['status']}" + (f": {record['error']}" if record.get("error") else ""))
    print(f"{'':45}{'learned':>9}   true")
    for name, value, true in measures(measured, run.distribution, has_closed_form(run.generator)):
        print(f"{name:45}{value:>9}   {true}")
    print("\nFresh samples, n real and n generated:")
    print("      n   energy distance        p   classifier's accuracy   best possible")
    verdicts = []
    for verdict in compare(run, permutations=arguments.permutations, seed=arguments.seed):
        n, energy, p, classifier, best = verdict
        most = f"{best.value:.3f}" if best else "unknown"
        print(
            f"{n:7,}   {energy:15.5f}   {p:6.3f}   {classifier.value:13.3f} ± {classifier.error:.3f}   {most:>13}",
            flush=True,
        )
        verdicts.append(verdict)
    least = told_apart_from(verdicts)
    if any(math.isnan(verdict.energy_p) for verdict in verdicts):
        print("\nThe generated examples are beyond all numbers: there is no test of them")
        return
    print(
        "\nTold apart "
        + (f"from n = {least:,} on" if least else "at none of these n")
        + " (permutation test, p ≤ 0.05)"
    )


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(str(error))
