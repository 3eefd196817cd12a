"""The table that a finished run prints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.special import gammainc

from gaussgan.data.distributions import Distribution, has_density


def print_summary(
    record: Mapping[str, Any],
    law: Distribution,
    learned: tuple[Tensor, Tensor],
    directory: Path,
    exact: bool,
) -> None:
    """The end of a run as one table: the learned law beside the true one, w2 beside that of the maximum-likelihood fit,
    losses, speed, place."""
    table = _table(record, "", "learned", "true")
    for name, ours, theirs in zip(("mean", "covariance"), learned, (law.mean, law.cov), strict=True):
        table.add_row(name, _matrix(ours), _matrix(theirs))
    for name, value, best in measures(record, law, exact):
        table.add_row(name, value, best)
    for tag, name in LOSSES.items():
        table.add_row(name, _number(record[tag]), "")
    table.add_row("examples/s", f"{record['examples_per_second'] or 0:,.0f}", "")
    console = Console(soft_wrap=True)
    console.print(table)
    _print_places(console, record, directory)


def _table(record: Mapping[str, Any], what: str, *columns: str) -> Table:
    title = f"{what}{record['status']} after {record['iterations']:,} iterations"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _print_places(console: Console, record: Mapping[str, Any], directory: Path) -> None:
    if record["error"]:
        console.print(record["error"], highlight=False)
    console.print(f"run        {directory}", highlight=False)
    for figure in sorted((directory / "figures").glob("*.png")):
        console.print(f"figure     {figure}", highlight=False)
    if any(directory.glob("events.out.tfevents.*")):
        console.print(f"dashboard  tensorboard --logdir {directory.parent}", highlight=False)


def measures(values: Mapping[str, Any], law: Distribution, exact: bool) -> Iterator[tuple[str, str, str]]:
    """Of each measure that was taken: its name, its value, and what it would be at best."""
    values = _with_infinities(values, law)
    best = {
        "val/w2": f"{_number(values.get('mle/w2'))} (maximum likelihood)",
        "val/modes": f"{len(getattr(law, 'modes', ()))}",
        "val/high_quality": f"{gammainc(torch.tensor(law.dim / 2), torch.tensor(9 / 2)):.4f}",  # χ² of d at 3²
    }
    for tag, name in MEASURES.items():
        if values.get(tag) is not None:
            note = "" if exact or tag not in ("val/w2", "val/kl") else " (by sample moments)"
            value = f"{values[tag]:.0f}" if tag == "val/modes" else _number(values[tag])
            yield name + note, value, best.get(tag, "0")


def _with_infinities(record: Mapping[str, Any], law: Distribution) -> dict[str, Any]:
    """A record with the infinite numbers that JSON cannot hold: what is missing beside a number that is finite."""
    beside = {"val/logit_error": "val/js", **({"val/kl": "val/w2"} if law.gaussian and has_density(law) else {})}
    tags = {f"{tag}{of}": f"{other}{of}" for tag, other in beside.items() for of in ("", "_median", "_p90")}
    infinite = [tag for tag in tags if tag in record and record[tag] is None]
    return {**record, **{tag: math.inf for tag in infinite if record.get(tags[tag]) is not None}}


MEASURES = {
    "val/w2": "w2 to the true law",
    "val/w2_ema": "w2 of the averaged generator",
    "val/kl": "KL(true ‖ learned), nats",
    "val/sliced_w2": "sliced w2 to fresh examples",
    "val/sliced_w2_ema": "sliced w2 of the averaged generator",
    "val/modes": "modes found",
    "val/high_quality": "share within 3 std of a mode",
    "val/reverse_kl": "reverse KL over modes, nats",
    "val/js": "JS(true, learned), nats",
    "val/d_gap": "D's loss above its least",
    "val/logit_error": "D's logit from log p/q",
    "val/distance": "distance from the equilibrium",
}


def print_replicas(record: Mapping[str, Any], law: Distribution, directory: Path, exact: bool) -> None:
    """The end of a run of many replicas as one table: medians, 90th percentiles and means; shares; speed, place."""
    table = _table(record, f"{record['replicas']:,} replicas, ", "median", "90% are below", "mean, not diverged")
    record = _with_infinities(record, law)
    for tag, name in {**MEASURES, "mle/w2": "maximum likelihood's w2", **LOSSES}.items():
        if tag in record:
            note = "" if exact or tag not in ("val/w2", "val/kl") else " (by sample moments)"
            table.add_row(name + note, *(_number(record.get(key)) for key in (f"{tag}_median", f"{tag}_p90", tag)))
    console = Console(soft_wrap=True)
    console.print(table)
    for key, name in SHARES.items():
        if record.get(key) is not None:
            console.print(f"{name:36}{record[key]:7.1%}", highlight=False)
    console.print(f"{'examples/s':36}{record['examples_per_second'] or 0:,.0f}", highlight=False)
    _print_places(console, record, directory)


SHARES = {
    "share_diverged": "diverged",
    "share_log2": "losses read 0.693/0.693",
    "efficiency": "efficiency beside maximum likelihood",
}


LOSSES = {"train/loss_d": "discriminator's loss", "train/loss_g": "generator's loss"}


def _number(value: float | None) -> str:
    if value is None or math.isinf(value):
        return "none" if value is None else "infinite"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"


def _matrix(values: Tensor) -> str:
    rows = values.tolist() if values.ndim > 1 else [values.tolist()]
    if len(rows[0]) > 4:
        return f"({' × '.join(str(n) for n in values.shape)} numbers)"
    small = 0 < values.abs().max() < 0.01
    return "\n".join(
        "  ".join(f"{value:.2g}" if small or abs(value) >= 1e4 else f"{value:z.3f}" for value in row) for row in rows
    )
