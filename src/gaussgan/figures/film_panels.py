"""The left panels of films. Each function draws what all frames share, and returns a function that moves the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from gaussgan.figures.colors import FAKE, MUTED, PALE, PROBABILITY, REAL
from gaussgan.figures.film import Frames, Part, Update
from gaussgan.figures.mixture import LogDensity, draw_truth, title_of
from gaussgan.figures.plane import Plane
from gaussgan.figures.style import Unit, background_axes, in_units, indented, legend, note, panel, seen_of, tidy_bar
from gaussgan.figures.verdict import BAR, GAME, Verdict

CIRCLE = torch.linspace(0, 2 * torch.pi, 73, dtype=torch.float64)
FINE = 120  # points of a side of the surface as it is drawn; probabilities of interpolated logits have smooth contours
NOTE = 0.605  # where the note on the line of the title ends
FAR = 20  # ellipses further away than this many windows are not drawn


def draw_plane(
    figure: Figure,
    frames: Frames,
    probability: bool,
    log_density: LogDensity | None = None,
    modes: tuple[Tensor, float] | None = None,
    units: Sequence[Unit] = (),
) -> Part:
    """Draw samples, distributions and the discriminator in the plane of the frames.

    The colours of a critic, which has no absolute scale, are scaled anew in each frame; see `Verdict`.

    Args:
        figure: the figure.
        frames: the frames of a single run in two or more dimensions.
        probability: true to draw the discriminator's probability, false for a critic.
        log_density: the log density of the true distribution, if it is not Gaussian.
        modes: the modes of the true distribution and the standard deviation around each; see `mixture_figure`.
        units: the units of both coordinates of the plane.
    """
    axes, plane = panel(figure, GAME), Plane.framed(frames["origin"], frames["axes"], frames["window"])
    real, samples = plane.project(frames["real"]), plane.project(frames["samples"])
    fine = interpolate(frames["logits"].unsqueeze(1), (FINE, FINE), mode="bilinear", align_corners=True).squeeze(1)
    surfaces = [_scaled(values, real, fake, plane, probability) for values, fake in zip(fine, samples, strict=True)]
    half = (plane.high - plane.low) / (2 * (len(surfaces[0]) - 1))
    (left, bottom), (right, top) = (plane.low - half).tolist(), (plane.high + half).tolist()
    low, high = (0.0, 1.0) if probability else (-1.0, 1.0)
    axes.set_facecolor(PALE)  # visible where a value is NaN
    image = axes.imshow(
        surfaces[0], cmap=PROBABILITY, vmin=low, vmax=high, extent=(left, right, bottom, top), origin="lower",
        aspect="auto", interpolation="bilinear", zorder=0,
    )  # fmt: skip
    tidy_bar(figure.colorbar(image, cax=figure.add_axes(BAR), ticks=[0, 0.5, 1] if probability else []), "")
    note(figure, NOTE, f"colour: {Verdict(lambda x: x, probability).label}")
    size = 12 if len(frames["means"][0]) else 9
    axes.scatter(real[:, 0], real[:, 1], s=size, color=REAL, alpha=0.55, lw=0, zorder=2, label="real")
    points = axes.scatter([], [], s=size, color=FAKE, alpha=0.8, lw=0, zorder=3, label="generated")
    move: Update = _no_update
    if len(frames["means"][0]):
        plane.outline(axes, frames["true_mean"], frames["true_cov"], color=REAL, lw=1.7, zorder=3)
        ellipses = [
            outlines(plane, mean, cov, (1, 2)) for mean, cov in zip(frames["means"], frames["covs"], strict=True)
        ]
        rings = LineCollection([], colors=FAKE, linestyles="--", linewidths=1.7, zorder=4)
        axes.add_collection(rings, autolim=False)

        def move(t: int) -> None:
            rings.set_segments(ellipses[t])
    else:
        draw_truth(axes, plane, log_density, modes)
    plane.frame(axes)
    in_units(axes, units)
    title = "examples; distributions at 1σ and 2σ" if len(frames["means"][0]) else title_of(log_density, modes)
    legend(axes, "upper left", title=title, veil=True)
    box = axes.get_legend()
    assert box is not None
    entry = box.get_texts()[1]
    seen = ((samples > plane.low) & (samples < plane.high)).all(-1).sum(-1).tolist()

    def update(t: int) -> None:
        entry.set_text(seen_of("generated", samples.shape[1], seen[t]))
        image.set_data(surfaces[t])
        points.set_offsets(samples[t].nan_to_num(np.inf).numpy())
        move(t)

    return update, [axes]


def draw_line(
    figure: Figure, frames: Frames, probability: bool, log_density: LogDensity | None = None, units: Sequence[Unit] = ()
) -> Part:
    """Draw histograms of real and generated examples, densities and the discriminator, in one dimension."""
    axes = panel(figure, indented(GAME))
    low, high = frames["window"].flatten().tolist()
    x, edges = torch.linspace(low, high, frames["logits"].shape[-1], dtype=torch.float64), np.linspace(low, high, 61)
    real, samples = frames["real"].double().flatten(), frames["samples"].double().flatten(1)
    width = edges[1] - edges[0]

    def histogram(values: Tensor) -> np.ndarray:
        return np.histogram(values[values.isfinite()].numpy(), edges)[0] / (len(values) * width)

    truth = None if log_density is None else log_density(x.unsqueeze(-1)).exp()
    axes.stairs(histogram(real), edges, fill=True, color=REAL, alpha=0.3, label="real")
    bars = axes.stairs(np.zeros(60), edges, fill=True, color=FAKE, alpha=0.4, label="generated", baseline=0)
    if truth is not None:
        axes.plot(x, truth, color=REAL, lw=1.7)
    top = max(float(histogram(real).max()), 0.0 if truth is None else float(truth.max()))
    axes.set(xlabel="x", ylabel="density", xlim=(low, high), ylim=(0, 1.5 * top))
    in_units(axes, units)
    twin = background_axes(axes)
    (curve,) = twin.plot(x, torch.zeros(len(x)), color=MUTED, lw=1.2)
    twin.set_ylim(*((0, 1) if probability else (-1, 1)))
    twin.set_yticks([0, 0.5, 1] if probability else [])
    note(figure, NOTE, f"grey line: {Verdict(lambda x: x, probability).label}")
    curves = [
        _scaled(values, real.unsqueeze(-1), fake.unsqueeze(-1), (x[0], x[-1]), probability)
        for values, fake in zip(frames["logits"], samples, strict=True)
    ]
    legend(axes, "upper left", title=title_of(log_density, None), veil=True)

    def update(t: int) -> None:
        bars.set_data(histogram(samples[t]))
        curve.set_ydata(curves[t])

    return update, [twin, axes]


def _no_update(t: int) -> None:
    pass


def outlines(plane: Plane, mean: Tensor, cov: Tensor, sigmas: Sequence[int]) -> list[np.ndarray]:
    """Return the ellipse of a Gaussian at each number of standard deviations, as lines of points, [73, 2]."""
    centre, cov = plane.moments(mean, cov)
    reach = FAR * (plane.high - plane.low).max()
    if not (centre.abs().max() < reach and cov.abs().max().sqrt() < reach):  # far away, or NaN
        return []
    values, vectors = torch.linalg.eigh(cov)
    half_axes = vectors * values.clamp(min=0).sqrt()
    circle = torch.stack([CIRCLE.cos(), CIRCLE.sin()], -1)
    return [(centre + k * circle @ half_axes.T).numpy() for k in sigmas]


def _scaled(values: Tensor, real: Tensor, fake: Tensor, where: Any, probability: bool) -> np.ndarray:
    """Return the probabilities of logits on a grid, or the values of a critic on a scale from −1 to 1.

    Args:
        values: the logits, [rows, columns] in a plane, or [n] on a line.
        real: real examples in coordinates of the grid, [m, 2] or [m, 1].
        fake: generated examples in coordinates of the grid.
        where: the `Plane` of the grid, or the ends of the line.
    """
    if probability:
        return values.sigmoid().numpy()
    low, high = (where.low, where.high) if isinstance(where, Plane) else (where[0].reshape(1), where[1].reshape(1))
    sizes = torch.tensor(values.shape[::-1], dtype=torch.float64) - 1

    def at(points: Tensor) -> Tensor:
        place = ((points - low) / (high - low) * sizes).nan_to_num(0).clamp(min=torch.zeros_like(sizes), max=sizes)
        columns = place.round().long().flip(-1).unbind(-1)  # rows of the grid are y
        return values[columns].unsqueeze(-1)

    bottom, top = Verdict(at, probability=False).range(real, fake)
    return ((2 * values - bottom - top) / (top - bottom)).clamp(-1, 1).numpy()
