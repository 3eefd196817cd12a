"""The table that a finished run prints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.special import gammainc

from gaussgan.data.distributions import Distribution, has_density
from gaussgan.data.examples import Examples
from gaussgan.evaluation.held_out import COPYING
from gaussgan.evaluation.scores import score
from gaussgan.runs.record import GROUPS, read_table

MEASURES = {
    "val/w2": "w2 to the true distribution",
    "val/w2_ema": "w2 of the moving average",
    "val/kl": "KL(true ‖ learned), nats",
    "val/sliced_w2": "sliced w2 to other examples",
    "val/sliced_w2_ema": "sliced w2 of the moving average",
    "val/frechet_ema": "Fréchet distance of the moving average",
    "val/modes": "modes covered",
    "val/high_quality": "samples within 3 std of a mode",
    "val/reverse_kl": "reverse KL over modes, nats",
    "val/js": "JS(true, learned), nats",
    "val/d_gap": "D's loss above its optimum",
    "val/logit_error": "error of D's logit",
    "val/distance": "distance from equilibrium",
}
SAMPLES = {  # measures of samples; after val/ they are to choose by, after test/ to report by
    "sliced_w2": "sliced w2",
    "frechet": "Fréchet distance",
    "fid": "FID",
    "energy": "energy distance",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "memorisation": "memorisation z (low: too close)",
    "memorisation_p": "memorisation p",
}
LOSSES = {"train/loss_d": "discriminator's loss", "train/loss_g": "generator's loss"}
MAX_COLUMNS = 4  # of given examples with more columns, moments are not printed
MAX_GROUPS = 20  # number of groups of replicas in the table
SHARES = {
    "share_diverged": "diverged",
    "share_log2": "losses read 0.693/0.693",
    "efficiency": "efficiency (100%: baseline)",
    "efficiency_ema": "efficiency of the moving average",
}


def print_run(
    record: Mapping[str, Any],
    distribution: Distribution,
    directory: Path,
    exact: bool,
    learned: tuple[Tensor, Tensor] | None,
) -> None:
    """Print a table of the measures of a finished run, then the run's directory and the paths of the run's figures.

    For replicas, the table shows the median, the 90th percentile and the mean of each measure. If replicas have
    different settings, the table has a row for each group of equal settings instead, best first.

    Args:
        record: the run's record, which is the content of metrics.json.
        distribution: the true distribution, or the given examples.
        directory: the directory of the run.
        exact: true if the mean and covariance of the generator's output are known in closed form, false if they are
            estimated from samples.
        learned: the mean, [d], and the covariance, [d, d], of the generator's output; None for replicas.
    """
    values, speed, lines = _with_infinities(record, distribution), f"{record['examples_per_second'] or 0:,.0f}", []
    groups = read_table(directory / GROUPS, "n") if learned is None else []
    if len(groups) > 1:
        what = f"{record['replicas']:,} replicas in {len(groups):,} groups, "
        columns, rows = _group_table(groups)
        lines += [f"{len(groups) - MAX_GROUPS:,} more groups in {GROUPS}"] if len(groups) > MAX_GROUPS else []
        lines += [f"examples/s {speed}"]
    elif learned is None:
        names = {**MEASURES, "mle/w2": "w2 of the baseline", **_sample_names(values), **LOSSES}
        what, columns = f"{record['replicas']:,} replicas, ", ["", "median", "90% below", "mean,\nnot diverged"]
        known = [tag for tag in names if values.get(f"{tag}_median") is not None or values.get(tag) is not None]
        keys = [[f"{tag}_median", f"{tag}_p90", tag] for tag in known]
        if isinstance(distribution, Examples):
            columns, keys = [*columns, "training\nrows"], [[*each, _baseline(each[-1])] for each in keys]
        rows = [
            (names[tag] + _note(tag, exact), *(_number(values.get(key), missing="") for key in own))
            for tag, own in zip(known, keys, strict=True)
        ]
        lines += [f"{name:36}{values[tag]:7.1%}" for tag, name in SHARES.items() if values.get(tag) is not None]
        lines += [f"{'examples/s':36}{speed}"]
    else:
        moments = zip(("mean", "covariance"), *_moments(distribution, learned), strict=True)
        what, columns = "", ["", "learned", "training rows" if isinstance(distribution, Examples) else "true"]
        few = not isinstance(distribution, Examples) or distribution.dim <= MAX_COLUMNS
        rows = [(name, _matrix(ours), _matrix(theirs)) for name, ours, theirs in moments if few]
        rows += measures(record, distribution, exact)
        rows += [(name, _number(record[tag]), "") for tag, name in LOSSES.items()]
        rows += [("examples/s", speed, "")]
    title = f"{what}{record['status']} after {record['iterations']:,} iterations"
    table = Table(columns[0], box=SIMPLE_HEAD, title=title, title_justify="left")
    for column in columns[1:]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    console = Console(soft_wrap=True)
    console.print(table)
    lines += [record["error"]] if record["error"] else []
    lines += [f"run        {directory}", *(f"figure     {path}" for path in sorted(directory.glob("figures/*.png")))]
    lines += [f"dashboard  tensorboard --logdir {directory.parent}"] if any(directory.glob("events.out.tf*")) else []
    for line in lines:
        console.print(line, highlight=False)


def _group_table(groups: Sequence[Mapping[str, str]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the columns and the rows of a table of groups of replicas, in ascending order of their median scores.

    The rows show the settings in which the groups differ, and numbers for comparison. At most `MAX_GROUPS` are shown.

    Args:
        groups: the rows of groups.csv, as texts.
    """
    tag = score(groups[0])
    shown = {
        "n": ("n", "{:.0f}"),
        "share_diverged": ("diverged", "{:.1%}"),
        f"{tag}_median": (f"{tag.partition('/')[2].replace('_', ' ')}:\nmedian", ""),
        "mle/w2_median": ("baseline", ""),
        "efficiency": ("efficiency", "{:.1%}"),
    }
    shown = {key: each for key, each in shown.items() if key in groups[0]}
    settings = [*groups[0]][: [*groups[0]].index("n")]

    def text(group: Mapping[str, str], key: str) -> str:
        value, form = float(group[key] or "nan"), shown[key][1]
        return "none" if math.isnan(value) else form.format(value) if form else _number(value)

    best = sorted(groups, key=lambda group: float(group.get(f"{tag}_median") or "inf"))[:MAX_GROUPS]
    rows = [(", ".join(group[key] for key in settings), *(text(group, key) for key in shown)) for group in best]
    return [",\n".join(settings), *(name for name, _ in shown.values())], rows


def _moments(distribution: Distribution, learned: tuple[Tensor, Tensor]) -> tuple[tuple, tuple]:
    """Return learned and true mean and covariance; those of given examples in the units of their file."""
    true = distribution.mean, distribution.cov
    if not isinstance(distribution, Examples):
        return learned, true
    layout = distribution.layout
    outer = layout.scale.unsqueeze(-1) * layout.scale
    ours, theirs = ((layout.original(mean), cov * outer) for mean, cov in (learned, true))
    return ours, theirs


def _sample_names(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of measures of samples that are not in `MEASURES`, and their names.

    Of a measure that both held-out parts have, only the one to report by is named, and of a measure that the moving
    average has, only that one. The score is named for both parts, and for both generators.
    """
    first, names = score(values), dict[str, str]()
    for part in ("val", "test"):
        for name, text in SAMPLES.items():
            tag, is_score, reported = f"{part}/{name}", f"val/{name}" == first, f"test/{name}" in values
            if tag in values and tag not in MEASURES and (part == "test" or not reported or is_score):
                text += ", to report by" * (part == "test" and is_score)
                has_average = part == "test" and f"{tag}_ema" in values
                names |= {tag: text} if is_score or not has_average else {}
                names |= {f"{tag}_ema": f"{text}, average"} if has_average else {}
    return names


def measures(values: Mapping[str, Any], distribution: Distribution, exact: bool) -> Iterator[tuple[str, str, str]]:
    """For each measure, yield three texts: its name, its value and its value for a perfect generator.

    For val/w2, the third text is the value of the maximum-likelihood baseline instead. For given examples it is that of
    the training rows. The test of memorisation has none.

    Args:
        values: maps tags such as val/w2 to numbers. A measure without a number is left out.
        distribution: the true distribution, or the given examples.
        exact: true if the mean and covariance of the generator's output are known in closed form, false if they are
            estimated from samples.
    """
    values = _with_infinities(values, distribution)
    best = {tag.removeprefix("baseline/"): _number(values[tag]) for tag in values if tag.startswith("baseline/")}
    best |= {
        "val/w2": f"{_number(values.get('mle/w2'))} (baseline)",
        **{f"{part}/{name}": "" for part in ("val", "test") for name in COPYING},
        "val/modes": f"{len(getattr(distribution, 'modes', ()))}",
        "val/high_quality": f"{gammainc(torch.tensor(distribution.dim / 2), torch.tensor(9 / 2)):.4f}",  # P(χ²_d ≤ 3²)
    }
    for tag, name in {**MEASURES, **_sample_names(values)}.items():
        if values.get(tag) is not None:
            value = f"{values[tag]:.0f}" if tag == "val/modes" else _number(values[tag])
            yield name + _note(tag, exact), value, best.get(tag, best.get(tag.removesuffix("_ema"), "0"))


def _with_infinities(record: Mapping[str, Any], distribution: Distribution) -> dict[str, Any]:
    """Return a copy of a record in which val/kl and val/logit_error are infinite, not None, where they were infinite.

    JSON cannot hold infinity, so metrics.json has null in its place, which is read as None. If val/kl is None and
    val/w2 is a number, val/kl was infinite, because a run computes both together. In the same way, val/logit_error was
    infinite if it is None and val/js is a number.
    """
    companions = {"val/logit_error": "val/js"}
    if distribution.gaussian and has_density(distribution):
        companions["val/kl"] = "val/w2"
    tags = {f"{tag}{of}": f"{other}{of}" for tag, other in companions.items() for of in ("", "_median", "_p90")}
    infinite = [tag for tag in tags if tag in record and record[tag] is None and record.get(tags[tag]) is not None]
    return {**record, **dict.fromkeys(infinite, math.inf)}


def _note(tag: str, exact: bool) -> str:
    return "" if exact or tag not in ("val/w2", "val/kl") else " (sample moments)"


def _baseline(tag: str) -> str:
    return f"baseline/{tag.removesuffix('_ema')}"


def _number(value: float | None, missing: str = "none") -> str:
    if value is None or math.isinf(value):
        return missing if value is None else "infinite"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"


def _matrix(values: Tensor) -> str:
    rows = values.tolist() if values.ndim > 1 else [values.tolist()]
    if len(rows[0]) > 4:
        return f"({' × '.join(str(n) for n in values.shape)} numbers)"
    small = 0 < values.abs().max() < 0.01
    return "\n".join(
        "  ".join(f"{value:.2g}" if small or abs(value) >= 1e4 else f"{value:z.3f}" for value in row) for row in rows
    )
