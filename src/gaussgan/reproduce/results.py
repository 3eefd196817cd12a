"""The results of rows: one small file each for this checkout, and one file for all of them beside the table."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gaussgan.config.errors import ConfigError
from gaussgan.reproduce.row import Result, Row
from gaussgan.runs.files import write_whole

RESULT = "result.json"  # in the directory of a row
TABLE, RESULTS = "reproductions.md", "reproductions.json"  # in the directory of the table


def read_result(path: Path) -> Result | None:
    """Return the result in a file; None if there is no such file.

    Raises:
        ConfigError: when the file is damaged.
    """
    return _read(path, result_of) if path.exists() else None


def read_results(path: Path) -> dict[str, Result]:
    """Return the results in a file, by the names of their rows; none if there is no such file.

    Raises:
        ConfigError: when the file is damaged.
    """
    return _read(path, lambda all: {name: result_of(one) for name, one in all.items()}) if path.exists() else {}


def write_result(path: Path, result: Result) -> None:
    """Write a result to a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, _text(plain(result)), "--out")


def write_results(path: Path, results: Mapping[str, Result], order: Iterable[str]) -> None:
    """Write results to one file, in an order of their names, whole or not at all. Other results are left out."""
    write_whole(path, _text({name: plain(results[name]) for name in order if name in results}), "--out")


def plain(result: Result) -> dict[str, Any]:
    """Return a result as JSON has it. There is no infinity in JSON: it becomes null."""
    return asdict(result) | {"values": [value if math.isfinite(value) else None for value in result.values]}


def result_of(entry: Mapping[str, Any]) -> Result:
    values = [math.inf if value is None else float(value) for value in entry["values"]]
    return Result(str(entry["command"]), values, float(entry["seconds"]), str(entry["machine"]), entry["error"])


def current(row: Row, result: Result | None) -> Result | None:
    """Return a result if it is of the row as it is now; else None."""
    return result if result is not None and result.command == row.command else None


def machine() -> str:
    """Return the name of the processor and the number of cores."""
    names = []
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{(names or [platform.processor() or platform.machine()])[0]}, {cores} core{'s' if cores > 1 else ''}"


def _read(path: Path, convert: Any) -> Any:
    try:
        return convert(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged ({type(error).__name__}); delete it to compute it again") from error


def _text(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
