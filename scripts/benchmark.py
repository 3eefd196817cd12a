"""Compare the speed of gaussgan with that of other programs: python scripts/benchmark.py

All programs train the default run, each alone in its own process, with one thread on one core, in turn. The numbers are
medians over the rounds.

- loops: the examples per second of one run, beside a loop of the textbook's kind and a naive loop in Lightning
- steps: the time of `training_step` per replica and iteration, beside JAX and C by hand, as CPU time
- commands: the seconds from a command to its result, beside JAX and C by hand

JAX compiles everything, and does not evaluate, log, draw figures or save checkpoints. The programs are in
scripts/benchmarks.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import limit
from benchmarks.processes import ROOT, Measurement, run

REPEATS = {1: 30, 256: 10, 1024: 5, 4096: 3}  # number of replicas → blocks of 125 iterations that are timed
JOBS = ("seed=range(64)", "optimizer_d.lr=0.02,0.05")  # 128 jobs
COMMANDS = {  # what is trained → arguments for scripts/train.py, and for the other programs if they can do it, too
    "one run, 20 epochs": (["trainer.max_epochs=20"], ["--epochs=20"]),
    "one run, 2,000 epochs": (["trainer.max_epochs=2000"], ["--epochs=2000"]),
    "1,000 replicas, 20 epochs": (["replicas=1000"], ["--replicas=1000"]),
    "sweep of 128 jobs": (["-m", "hydra/launcher=vectorized", *JOBS], None),
}
Numbers = dict[str, dict[str, list[Any]]]  # row → column → one entry for each round


def loops(contenders: dict[str, list[str]], epochs: int = 20) -> Iterator[tuple[str, str, float]]:
    """Yield a row, a column and a number: the examples per second of one run."""
    ours = {name: ["gaussgan", *overrides] for name, overrides in contenders.items()}
    for name, arguments in {"textbook": ["textbook"], "naive Lightning": ["naive Lightning"], **ours}.items():
        seconds = run("-m", "benchmarks.loops", f"--epochs={epochs}", *arguments).result["seconds"]
        yield name, "examples/s", 1000 * epochs / seconds


def steps(contenders: dict[str, list[str]]) -> Iterator[tuple[str, str, float]]:
    """Yield a row, a column and a number: microseconds per replica and iteration, or the seconds of the first block."""
    for replicas, repeats in REPEATS.items():
        column, arguments = f"R={replicas:,}", (f"--replicas={replicas}", f"--repeats={repeats}")
        programs = {name: ["benchmarks.step", *arguments, *overrides] for name, overrides in contenders.items()}
        programs |= {"JAX": ["benchmarks.jax_port", *arguments]} if has_jax() else {}
        for name, program in programs.items():
            result = run("-m", *program).result
            yield name, column, 1e6 * result["seconds"]
            yield f"{name}: first block, s", column, result["first_block"]
        if replicas > 1 and limit.compiler():
            yield "C", column, 1e6 * run("-m", "benchmarks.limit", arguments[0], "--epochs=5").result["seconds"]


def commands(contenders: dict[str, list[str]]) -> Iterator[tuple[str, str, float]]:
    """Yield a row, a column and a number: the seconds from a command to its result, and of CPU time and compiling."""
    for row, (ours, others) in COMMANDS.items():
        taken = {name: train(*ours, *overrides) for name, overrides in contenders.items()}
        if others is not None and has_jax():
            taken["JAX"] = run("-m", "benchmarks.jax_port", *others)
        if others is not None and "replicas" in others[0] and limit.compiler():
            taken["C"] = run("-m", "benchmarks.limit", *others)
        for name, measurement in taken.items():
            yield row, name, measurement.seconds
            yield f"{row}: CPU time", name, measurement.cpu_seconds
            if name in ("JAX", "C"):
                yield f"{row}: compiling", name, measurement.result["compiling"]


def train(*arguments: str) -> Measurement:
    """Run scripts/train.py with everything on, and check that every run is completed."""
    with tempfile.TemporaryDirectory() as directory:
        where = f"hydra.sweep.dir={directory}" if "-m" in arguments else f"hydra.run.dir={directory}/run"
        measurement = run(str(ROOT / "scripts" / "train.py"), *arguments, "trainer=cpu", where)
        statuses = [json.loads(path.read_text())["status"] for path in Path(directory).glob("*/metrics.json")]
    if len(statuses) != (128 if "-m" in arguments else 1) or {*statuses} != {"completed"}:
        sys.exit(f"{' '.join(arguments)}: the runs ended as {statuses}")
    return measurement


SECTIONS = {
    "loops": (loops, "Examples per second of one run", ",.0f"),
    "steps": (steps, "training_step: µs of CPU time per replica and iteration", ".3g"),
    "commands": (commands, "Seconds from a command to its result", ".1f"),
}


def has_jax() -> bool:
    return find_spec("jax") is not None


def table(title: str, numbers: Numbers, form: str) -> str:
    """Return the medians of the numbers as a table, with a line for each row."""
    columns = [*dict.fromkeys(column for row in numbers.values() for column in row)]
    width = max(map(len, numbers)) + 2
    lines = ["", title, " " * width + "".join(f"{column:>17}" for column in columns)]
    for name, row in numbers.items():
        cells = (format(median(row[column]), form) if column in row else "–" for column in columns)
        lines.append(f"{name:{width}}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3; one for the section steps)")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="a section; may be repeated")
    parser.add_argument(
        "--also",
        metavar="OVERRIDES",
        action="append",
        default=[],
        help="also measure gaussgan with these overrides, separated by spaces; may be repeated",
    )
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    if not has_jax():
        print("no rows for JAX: pip install -c constraints.txt -e '.[bench]' installs it", file=sys.stderr)
    if not limit.compiler():
        print("no rows for C: there is no C compiler", file=sys.stderr)
    contenders = {"gaussgan": [], **{also: also.split() for also in arguments.also}}
    result: dict[str, Any] = {"machine": machine()}
    for section in arguments.only or SECTIONS:
        measure, title, form = SECTIONS[section]
        numbers: Numbers = result.setdefault(section, {})
        for number in range(1, 1 + (1 if section == "steps" else arguments.rounds)):
            for row, column, value in measure(contenders):
                numbers.setdefault(row, {}).setdefault(column, []).append(value)
                print(f"round {number}: {row}, {column}: {value:{form}}", file=sys.stderr)
        print(table(title, numbers, form), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """Return the processor, the number of cores, and the versions of what is measured."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    _, _, model = info.partition("model name")
    libraries = ["torch", "pytorch-lightning", *(["jax"] if has_jax() else [])]
    return {
        "platform": platform.platform(),
        "processor": model.partition("\n")[0].strip("\t: ") or platform.processor(),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in libraries}},
    }


if __name__ == "__main__":
    main()
