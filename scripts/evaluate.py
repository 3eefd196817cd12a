"""Load a trained run and measure its generator again: python scripts/evaluate.py RUN"""

import argparse
import math
import sys
from pathlib import Path

from gaussgan.config.errors import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure a run's distances to the truth. Find the number of examples at which a test detects that"
        " the generated examples differ from the real ones."
    )
    parser.add_argument("run", help="a run directory, such as logs/runs/2026-01-31_12-00-00-000000")
    parser.add_argument("--best", action="store_true", help="load best.ckpt, with the best score, not last.ckpt")
    parser.add_argument("--replica", type=int, help="the number of one replica, starting at 0")
    parser.add_argument("--permutations", type=int, default=199, help="permutations in the test (default: 199)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the fresh samples (default: 0)")
    parser.add_argument("--trust", action="store_true", help="run code that the run names, such as your own classes")
    arguments = parser.parse_args()
    if arguments.permutations < 19:  # p is at least 1 / (permutations + 1)
        parser.error(f"--permutations must be at least 19, for p ≤ 0.05 (got {arguments.permutations})")

    if arguments.trust:
        sys.path.append(str(Path.cwd()))  # for the user's own classes; python SCRIPT does not add it
    import torch

    from gaussgan.networks.moments import has_closed_form
    from gaussgan.runs.directory import BEST, LAST
    from gaussgan.runs.evaluate import compare, measure, smallest_rejected_n
    from gaussgan.runs.load import load_run
    from gaussgan.runs.record import how_it_ended
    from gaussgan.runs.table import measures

    run = load_run(arguments.run, BEST if arguments.best else LAST, arguments.replica, arguments.trust)
    torch.set_num_threads(run.config["threads"] or 1)
    measured = measure(run, arguments.trust)
    of = "" if arguments.replica is None else f"replica {arguments.replica}, seed {run.config['seed']}, of "
    print(f"{of}{Path(arguments.run)} after {run.iterations:,} iterations")
    status, error = how_it_ended(run.directory, arguments.replica)
    if status == "diverged":
        print(f"{error}: the numbers below are from the last checkpoint before that")
    elif status != "completed":
        print(f"the run is {status}" + (f": {error}" if error else ""))
    print(f"{'':45}{'learned':>9}   {'true' if run.layout is None else 'baseline'}")
    for name, value, true in measures(measured, run.distribution, has_closed_form(run.generator)):
        print(f"{name:45}{value:>9}   {true}")
    by = "" if run.generator_ema is None else " by the moving average"
    print(f"\nFresh samples, n real and n generated{by}:")
    print("      n   energy distance        p   classifier's accuracy   best possible")
    verdicts = []
    for verdict in compare(run, permutations=arguments.permutations, seed=arguments.seed):
        n, energy, p, classifier, best = verdict
        optimum = f"{best.value:.3f}" if best else "unknown"
        print(
            f"{n:7,}   {energy:15.5f}   {p:6.3f}   {classifier.value:13.3f} ± {classifier.error:.3f}   {optimum:>13}",
            flush=True,
        )
        verdicts.append(verdict)
    smallest = smallest_rejected_n(verdicts)
    if any(math.isnan(verdict.energy_p) for verdict in verdicts):
        print("\nNo test is possible: some generated examples are not finite")
        return
    answer = f"A difference is detected from n = {smallest:,} on" if smallest else "No difference is detected"
    print(f"\n{answer} (permutation test, p ≤ 0.05)")


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(str(error))
