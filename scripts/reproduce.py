"""Compute published figures with this package, and make the table docs/reproductions.md: python scripts/reproduce.py"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from gaussgan.config.errors import ConfigError

DOCS = Path(__file__).resolve().parents[1] / "docs"
RUNS = Path("logs", "reproductions")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Compute the rows of docs/reproductions.md that are not computed yet, the shortest first, and make"
        f" the page again. The same command goes on after a kill. Files of rows are in {RUNS}/NAME."
    )
    parser.add_argument("--only", metavar="NAME", nargs="+", help="compute only the rows with these names")
    parser.add_argument("--seeds", metavar="N", type=int, help="compute at most N seeds of each row")
    parser.add_argument("--out", metavar="DIR", type=Path, default=DOCS, help="where the page is (default: docs)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="list the rows, and compute nothing")
    instead.add_argument(
        "--quick",
        action="store_true",
        help="compute the short rows again and fail if a verdict is not that of docs/reproductions.json; write nothing",
    )
    arguments = parser.parse_args()
    if arguments.seeds is not None and arguments.seeds < 1:
        parser.error(f"--seeds must be at least 1 (got {arguments.seeds})")
    if arguments.seeds is not None and (arguments.list or arguments.quick):
        parser.error("--seeds cannot be given with --list, which computes nothing, or --quick, which takes all seeds")

    import torch

    from gaussgan.reproduce.compute import changed, chosen, compute, listing
    from gaussgan.reproduce.keep import Page
    from gaussgan.reproduce.rows import PAPERS, ROWS, SECTIONS

    torch.set_num_threads(1)  # the networks are small
    rows, page = chosen(ROWS, arguments.only), Page(arguments.out, RUNS, SECTIONS, PAPERS)
    if arguments.list:
        print(listing(rows, page.results()))
    elif arguments.quick:
        if arguments.only and (slow := [row.name for row in rows if not row.quick]):
            raise ConfigError(f"--quick: {', '.join(slow)} takes longer; leave out --quick, or this row")
        with tempfile.TemporaryDirectory() as directory:
            lines = changed([row for row in rows if row.quick], page.results(), Path(directory))
        sys.exit("\n".join(lines) or 0)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a run under way is stopped, too, and saved
        done = compute(rows, RUNS, arguments.seeds, page.keep)
        page.draw()
        sys.exit(0 if done else 1)


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
