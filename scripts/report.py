"""Report which setting of a sweep, or of any runs, is best: python scripts/report.py DIR..."""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from gaussgan.config.errors import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Compare the runs in some directories. Print which setting is best and how sure that is, and write"
        " sweep.csv and report.html. The report of a single run is a page with a slider over its training. Works while"
        " runs are under way."
    )
    parser.add_argument("directories", metavar="DIR", nargs="+", type=Path, help="a sweep or a run; searched for runs")
    parser.add_argument(
        "--where",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="use only the runs with this value of a setting, such as optimizer_d.lr=0.05 or status=completed; may be"
        " repeated",
    )
    parser.add_argument(
        "--tag", metavar="NAME", action="append", default=[], help="use only runs with this tag; may be repeated"
    )
    parser.add_argument(
        "--by",
        metavar="MEASURE",
        help="compare the runs by this measure, such as val/modes or test/recall (default: the score of the runs)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="where to write the two files (default: DIR; with several, --where, --tag or --by, a new directory in"
        " logs/reports)",
    )
    arguments = parser.parse_args()
    directories, out = arguments.directories, arguments.out
    if out is None:
        new = Path("logs", "reports", f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
        whole = len(directories) == 1 and not (arguments.where or arguments.tag or arguments.by)
        out = directories[0] if whole else new  # a part of a sweep does not replace the report of the sweep

    from gaussgan.report.write import write_report

    write_report(directories, out, arguments.where, arguments.tag, arguments.by)


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(str(error))
