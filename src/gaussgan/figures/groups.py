"""Names and colours for groups of replicas that have different settings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from torch import Tensor

from gaussgan.config.per_replica import Group
from gaussgan.evaluation.summary import quantiles
from gaussgan.figures.colors import CATEGORIES, FAKE, OTHERS, TIME
from gaussgan.figures.style import legend

BEST = 5  # number of groups with names and colours, if there are more groups than colours
MAX_CURVES = 40  # largest number of groups that have a curve


class Shade(NamedTuple):
    """A group of replicas as it is drawn. The name is empty if the group is not in the legend."""

    members: list[int]
    color: str
    name: str
    position: float  # on an axis: the number in which the groups differ, or else the rank of the group's median


def shades(groups: Sequence[Group], scores: Tensor) -> list[Shade]:
    """Choose a colour and a position for each group of replicas. Return the groups in the order of their positions.

    If the groups differ in one number only, the number is the position, and the colour shows it. Otherwise, each colour
    is a category. If there are more groups than categories, only the groups with the smallest medians have colours and
    names.

    Args:
        groups: the groups.
        scores: the distance of each replica, [R]; NaN or infinite for a replica that diverged.
    """
    if len(groups) == 1:
        return [Shade(groups[0].members, FAKE, "", 1)]
    medians = [quantiles(scores[group.members], [0.5]).item() for group in groups]
    values, few = numbers(groups), len(groups) <= len(CATEGORIES)
    order = sorted(range(len(groups)), key=(values or medians).__getitem__)
    if values:
        positions, named = sorted(values), len(groups) if few else 0
        colors = [to_hex(TIME(0.85 * i / (len(groups) - 1))) for i in range(len(groups))]
    else:
        positions, named = [*range(1, len(groups) + 1)], len(groups) if few else BEST
        colors = [*CATEGORIES[:named], *[OTHERS] * (len(groups) - named)]
    names = [f"{label(groups[i])} ({medians[i]:.3g})".replace("(inf)", "(∞)") for i in order[:named]]
    names += [""] * (len(groups) - named)
    return [
        Shade(groups[i].members, color, name, position)
        for i, color, name, position in zip(order, colors, names, positions, strict=True)
    ]


def with_curves(shaded: Sequence[Shade]) -> list[Shade]:
    """Choose the groups whose curves are drawn: those with names, and others at equal distances in the order."""
    named, others = [each for each in shaded if each.name], [each for each in shaded if not each.name]
    n = min(len(others), MAX_CURVES - len(named))
    return [*named, *(others[i] for i in torch.linspace(0, len(others) - 1, n).round().int().tolist())]


def numbers(groups: Sequence[Group]) -> list[float]:
    """If the groups differ in one setting only, and its values are numbers, return the value of each group, else []."""
    values = [value for group in groups for value in group.settings.values()]
    single = len(groups) == len(values) and all(type(value) in (int, float) for value in values)
    return [float(value) for value in values] if single else []


def label(group: Group) -> str:
    """Return the values of a group's settings as a text, such as "0.05, [0.5, 0.9]"."""
    return ", ".join(map(_short, group.settings.values()))


def name_groups(axes: Axes, place: str, groups: Sequence[Group], shaded: Sequence[Shade]) -> None:
    """Add a legend with the names of groups and their medians to the axes. Its title names the settings that differ."""
    lines = [Line2D([], [], label=each.name, color=each.color, lw=1.9) for each in shaded if each.name]
    if not lines:
        return
    if others := len(shaded) - len(lines):
        lines.append(Line2D([], [], label=f"the other {others:,}", color=OTHERS, lw=1.9))
    keys = [*groups[0].settings]
    title = ",\n".join(", ".join(keys[i : i + 2]) for i in range(0, len(keys), 2))
    legend(axes, place, f"{title} (median)", veil=True, lines=lines)


def in_turn(lists: Sequence[Sequence[int]]) -> list[int]:
    """Return the first entry of each list, then the second entry of each list, and so on."""
    return [entry for entry in chain(*zip_longest(*lists)) if entry is not None]


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
