"""Draw the distances of replicas over a setting in which they differ. Choose the ends of an axis of distances."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from gaussgan.evaluation.summary import infinite_for_nan, quantiles
from gaussgan.figures.colors import INK
from gaussgan.figures.curves import NAMES
from gaussgan.figures.groups import Shade
from gaussgan.figures.style import Place, decades, level, panel

RANK = "rank of the group's median"  # the name of the axis, if the groups differ in no single number
MEDIANS = 24  # largest number of medians in the curve
FAR = 100.0  # values below the median / FAR or above the median · FAR do not extend the axis of a distance


def draw_over_setting(
    figure: Figure, place: Place, scores: Tensor, floors: Tensor | None, shaded: Sequence[Shade], key: str, tag: str
) -> None:
    """Draw the distance of each replica as a point over the position of its group, and medians as a curve.

    If there are more than `MEDIANS` groups, each median is taken over neighbouring groups. A replica without a finite
    distance is a cross at the top of the axes.

    Args:
        scores: the distance of each replica, [R]; NaN or infinite for a replica that diverged.
        floors: the distance of each replica's baseline, [R]; None without a baseline.
        shaded: the groups of replicas; see `shades`.
        key: the name of the axis with the positions of the groups.
        tag: the name of the distance, such as val/w2.
    """
    axes = panel(figure, place, "each replica; line: median")
    floor = None if floors is None else quantiles(floors)[1]
    low, high = window(scores, None if floor is None else floor.view(1))
    rank = torch.tensor([rank for rank, each in enumerate(shaded) for _ in each.members])
    x = torch.tensor([each.position for each in shaded], dtype=torch.float64)[rank]
    y = infinite_for_nan(scores)[[i for each in shaded for i in each.members]].double()
    colors = [shaded[i].color for i in rank.tolist()]
    lost = ~y.isfinite()
    logarithmic = bool(key != RANK and x[0] > 0 and x[-1] > 10 * x[0])
    if logarithmic:  # learning rates of 1e38, at which replicas diverge, do not extend the axis by more than a decade
        known = x[~lost] if not lost.all() else x
        x = x.clamp(known.min() / 10, known.max() * 10)
    size = 36.0 if len(y) < 50 else 60 / len(y) ** 0.35
    axes.scatter(x, y, size, colors, alpha=0.9 if len(y) < 50 else 0.55, linewidths=0)
    top = [color for color, diverged in zip(colors, lost.tolist(), strict=True) if diverged]
    axes.scatter(x[lost], torch.full_like(x[lost], high), 22, top, marker="x", linewidths=1.2, clip_on=False, zorder=3)
    sizes = torch.unique(rank * min(len(shaded), MEDIANS) // len(shaded), return_counts=True)[1].tolist()
    medians = [torch.stack([quantiles(part)[1] for part in each.split(sizes)]) for each in (x, y)]
    axes.plot(medians[0], medians[1].clamp(max=10 * high), color=INK, lw=1.3, alpha=0.8, zorder=2)
    axes.set(xlabel=key, ylabel=NAMES.get(tag, tag), ylim=(low, high))
    decades(axes)
    if logarithmic:
        axes.set_xlim(x[0].item() / 1.2, x[-1].item() * 1.2)
        decades(axes, "x")
    if floor is not None and floor.isfinite():
        level(axes, floor.item(), f"baseline: {floor.item():.3g}")


def name_of(scores: Tensor, tag: str) -> str:
    """Return the name of a distance, followed by the number of replicas that diverged."""
    lost = int((~scores.isfinite()).sum())
    return NAMES.get(tag, tag) + (f" (infinite for {lost:,} that diverged)" if lost else "")


def window(values: Tensor, floors: Tensor | None) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that shows the finite positive values, except those far from the median."""
    lows, highs = [], []
    for each in (values, floors):
        if each is not None and len(known := each[each.isfinite() & (each > 0)].double()):
            middle = known.median()
            lows.append(known.min().clamp(min=middle / FAR).item())
            highs.append(known.max().clamp(max=middle * FAR).item())
    return (min(lows) / 1.6, max(highs) * 1.3) if lows else (0.1, 10.0)


def axis_end(x: float, start: float, fraction: float) -> float:
    """Return the end of a logarithmic axis that begins at `start`.

    The end is chosen so that the given fraction of the axis's length lies between x and the end.
    """
    return start * (x / start) ** (1 / (1 - fraction))
