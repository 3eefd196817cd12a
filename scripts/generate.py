"""Draw examples from a trained run's generator: python scripts/generate.py RUN --n 10000 --out samples.npy"""

import argparse
import sys
from pathlib import Path

from gaussgan.config.errors import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Draw examples from the generator of a run, in the units of its data, and write them to a file."
        " If the run kept a moving average of its generator, the average is used."
    )
    parser.add_argument("run", help="a run directory, such as logs/runs/2026-01-31_12-00-00-000000")
    parser.add_argument("--n", type=int, help="the number of examples (default: 10,000; for a .png 64)")
    parser.add_argument(
        "--out",
        required=True,
        help="samples.npy, samples.csv, samples.png (images, as one grid), or samples/ (images, as a folder of PNGs)",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same examples (default: 0)")
    parser.add_argument("--best", action="store_true", help="load best.ckpt, with the best score, not last.ckpt")
    parser.add_argument("--replica", type=int, help="the number of one replica, starting at 0")
    parser.add_argument("--no-average", action="store_true", help="use the generator itself, not its moving average")
    parser.add_argument("--columns", type=int, help="images in a row of a grid (default: about as many as rows)")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.add_argument("--trust", action="store_true", help="run code that the run names, such as your own classes")
    arguments = parser.parse_args()

    if arguments.trust:
        sys.path.append(str(Path.cwd()))  # for the user's own classes; python SCRIPT does not add it
    import torch

    from gaussgan.runs.directory import BEST, LAST
    from gaussgan.runs.generate import generate
    from gaussgan.runs.load import load_run
    from gaussgan.runs.record import how_it_ended

    run = load_run(arguments.run, BEST if arguments.best else LAST, arguments.replica, arguments.trust)
    torch.set_num_threads(run.config["threads"] or 1)
    n = arguments.n if arguments.n is not None else 64 if arguments.out.lower().endswith(".png") else 10_000
    status, error = how_it_ended(run.directory, arguments.replica)
    average = not arguments.no_average
    made = generate(run, n, arguments.out, arguments.seed, average, arguments.columns, arguments.force)
    if status == "diverged":
        print(f"{error}: the examples are from the last checkpoint before that")
    if made.not_finite:
        print(f"{made.not_finite:,} of the {n:,} examples are not finite")
    by = "the moving average of the generator" if made.averaged else "the generator"
    print(
        f"{made.path}: {n:,} examples of {made.columns:,} numbers, by {by} after {run.iterations:,} iterations"
        f" (seed {arguments.seed})"
    )


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(str(error))
