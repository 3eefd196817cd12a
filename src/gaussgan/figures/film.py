"""Films of training: one figure whose parts are moved from frame to frame, so that a frame is drawn in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from torch import Tensor

from gaussgan.evaluation.summary import infinite_for_nan, quantiles
from gaussgan.figures.colors import AVERAGE, FAKE, INK, MUTED, REAL
from gaussgan.figures.curves import NAMES, PLACES, History, over_iterations
from gaussgan.figures.over_setting import window
from gaussgan.figures.style import Place, decades, legend, level, panel, sheet

DPI = 80  # of a film; of other figures it is 100
MOST = 72  # largest number of frames in a film
UPPER, LOWER = PLACES  # the panels on the right of a film
LINEAR = 0.35  # width of the linear part of the iterations' axis, in decades of its logarithmic part
Update = Callable[[int], None]  # moves a part of the figure to frame t
Part = tuple[Update, list[Artist]]  # also the artists that it changes
Frames = Mapping[str, Tensor]


class Film(NamedTuple):
    """A figure that can show each of T frames.

    Args:
        figure: the figure.
        updates: functions that move parts of the figure to a frame; see `Update`.
        moving: the artists that these functions change. All others are drawn once.
        iterations: the T iterations of the frames.
        title: maps the number t of a frame to the text above the figure.
    """

    figure: Figure
    updates: Sequence[Update]
    moving: Sequence[Artist]
    iterations: Sequence[int]
    title: Callable[[int], str]

    def images(self, chosen: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the chosen frames as images of bytes, [height, width, RGB]."""
        canvas, text = FigureCanvasAgg(self.figure), self.figure.texts[0]
        moving = [*self.moving, text]
        for artist in moving:
            artist.set_animated(True)  # so that the first call of `draw` leaves it out
        canvas.draw()
        still = canvas.copy_from_bbox(self.figure.bbox)
        for t in chosen:
            text.set_text(self.title(t))
            for update in self.updates:
                update(t)
            canvas.restore_region(still)
            for artist in moving:
                self.figure.draw_artist(artist)
            yield np.array(canvas.buffer_rgba())[..., :3]


def film_sheet(left: float) -> Figure:
    """Return the figure of a film: 880 × 416 pixels, with the title at the horizontal position `left`, from 0 to 1."""
    figure = sheet("", left=left)
    figure.set_dpi(DPI)
    return figure


def chosen_frames(iterations: Sequence[int], first: float, most: int = MOST) -> list[int]:
    """Return the numbers of at most `most` frames, in ascending order. The first and the last frame are among them.

    If there are too many, those before the iteration `first`, when little happens, are left out at twice the rate.
    """
    if len(iterations) <= most:
        return [*range(len(iterations))]
    weights = np.array([0.5 if i < first else 1.0 for i in iterations])
    place = np.concatenate([[0], weights[1:].cumsum()])
    wanted = np.linspace(0, place[-1], most)
    return sorted({0, len(iterations) - 1, *np.searchsorted(place, wanted - 1e-9).tolist()})


def curves(
    figure: Figure,
    frames: Frames,
    history: History,
    logistic: bool,
    tag: str,
    distances: tuple[Sequence[float], Sequence[float]] | None = None,
    baseline: float | None = None,
) -> Part:
    """Draw the losses and a distance over iterations on the right of a film, with a line at the current iteration.

    Args:
        figure: the figure.
        frames: the frames of the run.
        history: rows of measures; see `draw_history`.
        logistic: true to mark the level log 2 of the losses.
        tag: the name of the distance.
        distances: more iterations than those of `history`, and the distances there; None to draw those of `history`.
        baseline: the distance of the baseline; None to draw none.
    """
    losses = panel(figure, UPPER)
    tracks: list[tuple[Axes, str, Sequence[float], Sequence[float]]] = []
    for player, color, name in (("d", REAL, "discriminator"), ("g", FAKE, "generator")):
        found = over_iterations(history, f"train/loss_{player}")
        losses.plot(*found, color=color, lw=1.7, label=name)
        tracks.append((losses, color, *found))
    if logistic:
        level(losses, float(np.log(2)), "log 2")
    losses.set_ylabel("loss")
    losses.tick_params(labelbottom=False)
    legend(losses, "best")
    distance = panel(figure, LOWER)
    averages = over_iterations(history, f"{tag}_ema")
    if averages[0]:
        distance.plot(*averages, color=AVERAGE, ls=":", lw=1.9, label="moving average")
    known = distances or over_iterations(history, tag)
    distance.plot(*known, color=INK, lw=1.9, label="generator")
    tracks.append((distance, INK, *known))
    distance.set(xlabel="iteration", ylabel=NAMES.get(tag, tag.removeprefix("val/").replace("_", " ")))
    decades(distance)
    if averages[0]:
        legend(distance, "best", veil=True)
    if baseline is not None and np.isfinite(baseline):
        level(distance, baseline, f"baseline: {baseline:.3g}")
    return cursor((losses, distance), frames, history, tracks)


def quantile_panels(
    figure: Figure,
    places: tuple[Place, Place],
    frames: Frames,
    iterations: Sequence[float],
    scores: Tensor,
    groups: Sequence[tuple[Sequence[int], str]],
    tag: str,
    baseline: float | None = None,
) -> Part:
    """Draw the distances of R replicas: the proportion below each distance, now, and percentiles over iterations.

    Args:
        figure: the figure.
        places: the places of both panels.
        frames: the frames of the run.
        iterations: the T iterations at which distances were measured.
        scores: the distances, [T, R]; NaN or infinite for a replica that diverged.
        groups: for each group of replicas with equal settings, the indices of its members and its colour.
        tag: the name of the distance.
        baseline: the median distance of the replicas' baselines; None to draw none.
    """
    below, course = panel(figure, places[0]), panel(figure, places[1])
    low, high = window(scores, None if baseline is None else scores.new_tensor([baseline]))
    name = NAMES.get(tag, tag.removeprefix("val/").replace("_", " "))
    below.set_title("proportion of replicas below", fontsize=9, color=MUTED, loc="left", pad=5)
    below.set(xlim=(low, high), ylim=(0, 1.04), xlabel=name)
    below.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
    decades(below, "x")
    steps = []
    for members, color in groups:
        p10, median, p90 = infinite_for_nan(quantiles(scores[:, [*members]].T)).clamp(low / 10, high * 10)
        if len(members) > 1 and len(groups) <= 3:
            course.fill_between(iterations, p10, p90, color=color, alpha=0.2 / len(groups) ** 0.5, lw=0)
        course.plot(iterations, median, color=color, lw=1.7)
        steps.append(below.step([], [], where="post", color=color, lw=1.7)[0])
    shaded = "; shaded: 10th to 90th percentile" if len(groups) <= 3 else ""
    course.set_title(f"median{shaded}", fontsize=9, color=MUTED, loc="left", pad=5)
    course.set(xlabel="iteration", ylabel=name, ylim=(low, high))
    decades(course)
    if baseline is not None and low < baseline < high:
        level(course, baseline, f"baseline: {baseline:.3g}", below=True)
        below.axvline(baseline, color=MUTED, lw=1.1, ls="--", zorder=1)
    at = np.searchsorted(iterations, frames["iterations"].numpy(), side="right") - 1
    move, moving = cursor([course], frames, [{"iteration": i} for i in iterations[:1]])

    def update(t: int) -> None:
        move(t)
        for line, (members, _) in zip(steps, groups, strict=True):
            values = scores[at[t], [*members]] if at[t] >= 0 else scores.new_empty(0)
            ranked = values[values.isfinite()].sort().values.clamp(min=low)
            x = torch.cat([ranked.new_tensor([low]), ranked, ranked.new_tensor([high])])
            y = torch.arange(len(ranked) + 1) / max(len(members), 1)
            line.set_data(x.numpy(), torch.cat([y, y[-1:]]).numpy())

    return update, [*moving, *steps]


def cursor(
    panels: Sequence[Axes],
    frames: Frames,
    history: History,
    tracks: Sequence[tuple[Axes, str, Sequence[float], Sequence[float]]] = (),
) -> Part:
    """Draw a line at the current iteration in each of the panels, and a dot on each curve.

    Args:
        panels: axes with iterations on their x axis, which becomes linear before the first row of `history` and
            logarithmic after it.
        frames: the frames of the run.
        history: rows of measures.
        tracks: for each curve its axes, its colour, its iterations and its values.
    """
    iterations = frames["iterations"].tolist()
    first = first_of(history, iterations)
    for axes in panels:
        _log_from(axes, first, iterations[-1])
    lines = [axes.axvline(0, color=MUTED, lw=1.0, zorder=1.5) for axes in panels]
    dots = [axes.plot([], [], "o", color=color, ms=5, mec="white", mew=0.8, zorder=4)[0] for axes, color, *_ in tracks]

    def update(t: int) -> None:
        at = iterations[t]
        for line in lines:
            line.set_xdata([at, at])
        for dot, (_, _, x, y) in zip(dots, tracks, strict=True):
            inside = len(x) > 0 and x[0] <= at <= x[-1]
            dot.set_data([at] if inside else [], [np.interp(at, x, y)] if inside else [])

    return update, [*lines, *dots]


def first_of(history: History, iterations: Sequence[int]) -> int:
    """Return the first iteration at which something was measured."""
    return max(1, min(int(history[0]["iteration"]) if history else 1, iterations[-1]))


def _log_from(axes: Axes, first: int, last: int) -> None:
    axes.set_xscale("symlog", linthresh=first, linscale=LINEAR)
    axes.set_xlim(0, max(last, 1))
    powers = [10**k for k in range(12) if first <= 10**k <= last]
    if not powers or last > 1.8 * powers[-1]:
        powers.append(last)
    if powers[0] > 1.6 * first and first > 1:
        powers.insert(0, first)
    axes.xaxis.set_major_locator(FixedLocator([0, *powers]))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
