"""The record of a run as texts for its page: how it ended, its measures beside the baseline, and its settings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import hydra
from omegaconf import OmegaConf

from gaussgan.config.compose import composing, conf_directory
from gaussgan.config.recipe import settings
from gaussgan.evaluation.scores import baseline_tag, final_score, score
from gaussgan.evaluation.summary import QUANTILES
from gaussgan.figures.curves import NAMES
from gaussgan.report.collect import RunDirectory, split_pairs
from gaussgan.report.text import number

FACTS = {  # entries of the record → their names and formats
    "seed": ("seed", "{}"),
    "replicas": ("replicas", "{:,}"),
    "iterations": ("iterations", "{:,}"),
    "examples": ("examples", "{:,}"),
    "seconds": ("seconds of training", "{:,.3g}"),
    "examples_per_second": ("examples/s", "{:,.0f}"),
    "compile": ("compile", "{}"),
    "git_commit": ("commit", "{:.10}"),
}
ENDS = {
    "completed": "",
    "diverged": "It diverged",
    "interrupted": "It was interrupted",
    "failed": "It failed",
    "running": "It is running",
}
FOLLOWS = ("data.seed", "compile")  # settings that follow from others
LONGEST = 300  # characters of a setting's text


class Measure(NamedTuple):
    """A row of the table of measures, as texts. For replicas, `run` is the median and `spread` the 10–90% range."""

    name: str
    run: str
    spread: str
    baseline: str


class Setting(NamedTuple):
    """A setting that differs from the default, and both values as texts."""

    key: str
    value: str
    default: str


def headline(run: RunDirectory) -> tuple[str, str]:
    """Return a sentence with the run's final distance, and a sentence about how the run ended, or "" if it finished."""
    record, tag = run.record, score(run.record)
    final, count = final_score(record), record.get("iterations")
    after = f" after {count:,} iterations" if isinstance(count, int) else ""
    base = baseline_of(record, tag)
    of = f"{run.replicas:,} replicas: median " if run.replicas > 1 else ""
    name = name_of(tag, record)
    said = f"{of}{name} is {number(final)}{after}" if math.isfinite(final) else f"No final distance{after}"
    if base and math.isfinite(final):
        said += f", {_times(final / base)} the baseline’s {number(base)}"
    end = ENDS.get(run.status, "")
    error = f": {run.error}" if run.error and end else ""
    return f"{said[0].upper()}{said[1:]}.", f"{end}{error}." if end else ""


def facts(run: RunDirectory) -> dict[str, str]:
    """Return the plain facts of the record: names and texts."""
    found = {}
    for key, (name, form) in FACTS.items():
        if (value := run.record.get(key)) is not None:
            with suppress(ValueError, TypeError):
                found[name] = _short(form.format(value))
    if run.tags:
        found["tags"] = ", ".join(run.tags)
    if isinstance(versions := run.record.get("versions"), Mapping):
        found["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return found


def measures(run: RunDirectory) -> list[Measure]:
    """Return the measures of the record beside those of the baseline."""
    record = run.record
    tags = [key for key, value in record.items() if key.startswith(("val/", "test/", "train/")) and _known(value)]
    ends = tuple(f"_{name}" for name in QUANTILES)
    rows = []
    for tag in (tag for tag in tags if not tag.endswith(ends)):
        levels = [record[f"{tag}_{name}"] for name in QUANTILES if _known(record.get(f"{tag}_{name}"))]
        own = len(levels) == len(QUANTILES)
        spread = f"{number(levels[0])} – {number(levels[-1])}" if own else ""
        base = baseline_of(record, tag)
        value = number(levels[1] if own else record[tag])
        rows.append(Measure(tag, value, spread, "" if base is None else number(base)))
    for key in (key for key in record if key.startswith(("efficiency", "share_")) and _known(record[key])):
        rows.append(Measure(key, f"{record[key]:.1%}", "", ""))
    return rows


def changed_settings(run: RunDirectory) -> list[Setting] | None:
    """Return the settings that differ from the default of `python scripts/train.py`; None if they are not known.

    A setting that only one of the two has is "–" on the other side.
    """
    ours = run.settings
    if not ours or (theirs := _default()) is None:
        return None
    keys = [key for key in {**ours, **theirs} if key not in FOLLOWS and ours.get(key) != theirs.get(key)]
    return [Setting(key, _text(ours, key), _text(theirs, key)) for key in keys]


@cache
def _default() -> dict[str, Any] | None:
    try:
        with composing(conf_directory()):
            cfg = hydra.compose("train", ["run_dir=."])
        return split_pairs(settings(OmegaConf.to_container(cfg, resolve=True)))  # type: ignore[arg-type]
    except Exception:  # the configuration files may be missing, or changed by hand
        return None


def baseline_of(record: Mapping[str, Any], tag: str) -> float | None:
    """Return the same measure of the baseline: maximum likelihood, or the training part of a file. None if unknown."""
    base = baseline_tag(tag)
    return next((record[key] for key in (f"{base}_median", base) if _known(record.get(key))), None)


def name_of(tag: str, record: Mapping[str, Any]) -> str:
    """Return the name of a measure in a sentence or above a chart."""
    name = NAMES.get(tag, tag.removeprefix("val/").replace("_", " ").replace("frechet", "Fréchet distance"))
    if record.get("val/sliced_w2") is not None:  # a table, where the Fréchet distance is not the score
        name = name.replace("real images", "real examples")
    return name.replace("to real", "to held-out") if f"baseline/{tag}" in record else name


def _text(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "–"
    value = values[key]
    return _short(value if isinstance(value, str) else json.dumps(value, default=str))


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 1_000 else f"{ratio:.3g} times"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
