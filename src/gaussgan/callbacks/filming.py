"""Make the film of a run from its frames."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from gaussgan.callbacks.snapshot import Snapshot, readable
from gaussgan.config.per_replica import replica_groups
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.evaluation.scores import score
from gaussgan.evaluation.summary import quantiles
from gaussgan.figures.colors import CATEGORIES
from gaussgan.figures.film import LOWER, UPPER, Film, Part, curves, film_sheet, quantile_panels
from gaussgan.figures.film_clouds import draw_cloud, draw_path, draw_points
from gaussgan.figures.film_panels import draw_line, draw_plane
from gaussgan.figures.groups import name_groups, shades
from gaussgan.figures.images import draw_samples
from gaussgan.figures.verdict import GAME
from gaussgan.networks.moments import has_closed_form
from gaussgan.runs.frames import best_samples


def film(run: Snapshot) -> Film | None:
    """Return the film of a run; None if the run has recorded no frames.

    The left panel shows samples, distributions and the discriminator; of replicas, the distributions or samples that
    they learned; of a game with two parameters, their path; of images, samples. The right panels show losses and the
    distance to the true distribution over iterations; of replicas, the proportion of replicas below each distance.
    """
    if not run.frames:
        return None
    figure = film_sheet(GAME[0])
    left, moving = _left(run, figure)
    (right, others), distances = (_replicas_right if run.gan.replicas > 1 else _right)(run, figure)
    iterations: list[int] = run.frames["iterations"].tolist()

    def title(t: int) -> str:
        n = f"{run.gan.replicas:,} replicas after {iterations[t]:,} iterations" if run.gan.replicas > 1 else ""
        return (n or f"iteration {iterations[t]:,}") + distances(t)

    return Film(figure, [left, right], [*moving, *others], iterations, title)


def _left(run: Snapshot, figure: Any) -> Part:
    frames, true, logistic = run.frames, run.data.distribution, run.gan.logistic
    density = true.log_prob if run.evaluator.has_density else None
    many = run.gan.replicas > 1
    if frames["theta"].ndim == 2 + many and frames["theta"].shape[-1] == 2:
        return _path(run, figure)
    if run.is_images:
        return _film_of_images(run, figure)
    if many:
        colors = _colors(run)
        if frames["means"].numel():
            return draw_cloud(figure, GAME, frames, colors)
        return draw_points(figure, GAME, frames, colors if len({*colors}) > 1 else CATEGORIES[: len(colors)], run.units)
    if true.dim == 1:
        return draw_line(figure, frames, logistic, density, run.units)
    modes = (true.modes, true.std) if hasattr(true, "modes") and not true.gaussian else None  # type: ignore[attr-defined]
    return draw_plane(figure, frames, logistic, density, modes, run.units)


def _film_of_images(run: Snapshot, figure: Any) -> Part:
    """Draw samples of the generator, or of its moving average if there is one; of replicas, a row for each."""
    frames, layout = run.frames, run.data.distribution.layout  # type: ignore[attr-defined]
    samples = best_samples(frames)
    names = [f"replica {i}" for i in frames["replicas"].tolist()]
    columns = samples.shape[-2] if names else math.isqrt(samples.shape[1] - 1) + 1
    images = [layout.pixels(frame.float().flatten(0, -2)) for frame in samples]
    return draw_samples(figure, ROWS if names else IMAGES, images, columns, names)


def _path(run: Snapshot, figure: Any) -> Part:
    """Draw the path of a game with two parameters: of its trajectory if it has one, else of its frames."""
    frames, whole = run.frames, [*run.trajectory]
    iterations = frames["iterations"]
    if len(whole) == iterations[-1] + 1:  # it has a point for each iteration
        return draw_path(figure, GAME, torch.stack(whole), (iterations + 1).tolist(), joined=True)
    return draw_path(figure, GAME, frames["theta"], [*range(1, len(iterations) + 1)], joined=False)


def _right(run: Snapshot, figure: Any) -> tuple[Part, Any]:
    """Draw losses and distances. Also return a function from the number of a frame to a text with its distance."""
    frames, (tag, _) = run.frames, run.score
    at, values = distances_of(run, tag)
    update = curves(figure, frames, run.history, run.gan.logistic, tag, (at, values), run.floor(tag))
    iterations = frames["iterations"].tolist()

    def text(t: int) -> str:
        if not at or iterations[t] < at[0]:
            return ""
        return f": {readable(tag)} = {np.interp(iterations[t], at, values):.3g}"

    return update, text


def distances_of(run: Snapshot, tag: str) -> tuple[list[float], list[float]]:
    """Return iterations and the distances there: of the history, and of the frames where their moments are exact."""
    known = {row["iteration"]: row[tag] for row in run.history if tag in row}
    frames, true = run.frames, run.data.distribution
    if tag == "val/w2" and frames["means"].numel() and has_closed_form(run.gan.generator):
        w2 = gaussian_w2(true.mean, true.cov, frames["means"], frames["covs"])
        known = {**dict(zip(frames["iterations"].tolist(), w2.tolist(), strict=True)), **known}
    at = sorted(known)
    return [float(i) for i in at], [known[i] for i in at]


def _replicas_right(run: Snapshot, figure: Any) -> tuple[Part, Any]:
    history = run.history
    tag, _ = run.score
    scores = torch.stack([row[tag] for row in history]) if history else torch.empty(0, run.gan.replicas)
    floors = run.baseline(tag)
    baseline = None if floors is None else quantiles(floors.reshape(-1))[1].item()
    last = scores[-1] if len(scores) else torch.full((run.gan.replicas,), torch.inf)
    settings = replica_groups(run.gan.config)
    shaded = shades(settings, last)
    if not run.is_images:
        name_groups(figure.axes[0], "lower right", settings, shaded)
    groups = [(shade.members, shade.color) for shade in shaded]
    iterations = [row["iteration"] for row in history]
    update = quantile_panels(figure, (UPPER_PLAIN, LOWER), run.frames, iterations, scores, groups, tag, baseline)
    medians = quantiles(scores.T, [0.5])[0].tolist() if len(scores) else []
    at = (np.searchsorted(iterations, run.frames["iterations"].numpy(), side="right") - 1).tolist()
    return update, lambda t: f": median {readable(tag)} = {medians[at[t]]:.3g}" if medians and at[t] >= 0 else ""


IMAGES, ROWS = (0.055, 0.06, 0.54, 0.86), (0.095, 0.06, 0.5, 0.86)  # with room for names of rows
UPPER_PLAIN = (UPPER[0], 0.6, UPPER[2], 0.31)  # with room for tick labels below


def _colors(run: Snapshot) -> list[str]:
    """Return the colour of each replica in the frames."""
    groups, last = replica_groups(run.gan.config), run.history[-1:] if run.history else []
    scores = [row[score(row)] for row in last] or [torch.zeros(run.gan.replicas)]
    by_replica = {i: shade.color for shade in shades(groups, scores[0]) for i in shade.members}
    return [by_replica[i] for i in run.frames["replicas"].tolist()]
