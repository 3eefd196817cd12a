"""The recorded moments of a run, its frames, as the page of a run draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.figures.plane import Plane
from gaussgan.figures.verdict import ROUNDING
from gaussgan.report.run_arrays import pack

LARGEST = 30_000_000  # numbers in all frames of a checkpoint; a page with more would be too large for a browser


class Frames(NamedTuple):
    """T recorded moments of a run, in the run's own coordinates. An entry that the run has no use for is empty.

    See `gaussgan.callbacks.Frames` for what a run records.

    Args:
        iterations: the iterations of the moments, [T], increasing.
        samples: generated examples from the same latents at each moment, [T, n, d]; for replicas [T, R, n, d].
        samples_ema: the same for the generator's moving average.
        real: some real examples, [n, d].
        means: the means of the generator's output, [T, d]; for replicas [T, R, d].
        covs: its covariances, [T, d, d]; for replicas [T, R, d, d].
        true_mean: the mean of the true distribution, [d].
        true_cov: its covariance, [d, d].
        logits: the discriminator's logits, [T, g, g], on a grid that fills the window; all logits of a row have the
            same height. For d = 1, [T, g].
        window: the lower left and the upper right corner of the grid, [2, 2], in coordinates of the plane. For d = 1,
            the ends of the line, [2, 1].
        origin: a point of the plane, [d].
        axes: the two directions of the plane, [d, 2], orthonormal; for d = 1, [1, 1].
        theta: the parameters of the generator, followed by those of the discriminator, [T, P].
    """

    iterations: Tensor
    samples: Tensor
    samples_ema: Tensor
    real: Tensor
    means: Tensor
    covs: Tensor
    true_mean: Tensor
    true_cov: Tensor
    logits: Tensor
    window: Tensor
    origin: Tensor
    axes: Tensor
    theta: Tensor

    @property
    def dim(self) -> int:
        return self.real.shape[-1]

    @property
    def replicas(self) -> bool:
        return 4 in (self.samples.ndim, self.covs.ndim)

    @property
    def plane(self) -> Plane:
        """The plane of the logits. For d = 1, only its method `project` has a meaning."""
        return Plane.framed(self.origin, self.axes, self.window)

    def grid(self) -> Tensor:
        """Return the points at which the logits were computed, [g, g, d], or [g, 1] for d = 1, in float64."""
        g = self.logits.shape[-1]
        if self.dim > 1:
            return self.plane.grid(g)
        low, high = self.window.flatten().tolist()
        return torch.linspace(low, high, g, dtype=torch.float64).unsqueeze(-1)


def read_frames(checkpoint: Mapping[str, Any]) -> Frames | None:
    """Return the frames of a checkpoint; None if it has none. `read_checkpoint` has checked that they are tensors.

    Raises:
        ValueError: when the frames have other entries or shapes than a run records.
    """
    content = checkpoint.get("frames")
    if content is None or not len(content["iterations"]):
        return None
    tensors = {name: content[name] for name in Frames._fields}
    if sum(tensor.numel() for tensor in tensors.values()) > LARGEST:
        raise ValueError(f"frames must have at most {LARGEST:,} numbers")
    doubled = {name: tensors[name].double() for name in ("window", "origin", "axes", "true_mean", "true_cov")}
    frames = Frames(**{**tensors, **doubled})
    _check(frames)
    return frames


def _check(frames: Frames) -> None:
    t = len(frames.iterations)
    d = frames.real.shape[-1] if frames.real.ndim == 2 else 0
    g, ends = frames.logits.shape[-1], min(d, 2)

    def fits(tensor: Tensor, *shape: int) -> bool:
        """Return whether a tensor is empty, or has T rows of a shape; for replicas, T times R of them."""
        leading, rest = tensor.shape[: tensor.ndim - len(shape)], tensor.shape[tensor.ndim - len(shape) :]
        return not tensor.numel() or (leading[:1] == (t,) and len(leading) < 3 and rest == shape)

    holds = {
        "real": d > 0,
        "samples": fits(frames.samples, *frames.samples.shape[-2:-1], d),
        "samples_ema": not frames.samples_ema.numel() or frames.samples_ema.shape == frames.samples.shape,
        "means": fits(frames.means, d),
        "covs": fits(frames.covs, d, d) and (not frames.covs.numel() or frames.covs.shape[:-1] == frames.means.shape),
        "true_mean": frames.true_mean.shape in ((0,), (d,)),
        "true_cov": frames.true_cov.shape in ((0,), (d, d)),
        "logits": not g or frames.logits.shape == (t, *[g] * ends),
        "window": not frames.window.numel() or frames.window.shape == (2, ends),
        "window of finite numbers": bool(frames.window.isfinite().all()),
        "axes": not frames.axes.numel() or (frames.axes.shape == (d, ends) and frames.origin.shape == (d,)),
        "theta": not frames.theta.numel() or (frames.theta.ndim in (2, 3) and len(frames.theta) == t),
    }
    if wrong := [name for name, right in holds.items() if not right]:
        raise ValueError(f"frames.{wrong[0]} does not have the form that a run records")


def picture(frames: Frames, logistic: bool) -> dict[str, Any]:
    """Return what the page draws of each moment, for its script. Each array is a result of `pack`.

    Examples, means and covariances are projected onto the plane.

    Args:
        frames: the frames of a run whose examples are not images.
        logistic: true if the sigmoid of a logit is a probability.
    """
    shown: dict[str, Any] = {
        "kind": "line" if frames.dim == 1 else "plane",
        "window": frames.window.tolist(),
        "real": pack(frames.plane.project(frames.real).float()),
        "logistic": logistic,
    }
    for name in ("samples", "samples_ema"):
        if (samples := getattr(frames, name)).numel():
            shown[name] = pack(frames.plane.project(samples).float())
    if frames.covs.numel() and frames.true_cov.numel():
        shown["learned"] = _moments(frames, frames.means, frames.covs)
        shown["true"] = _moments(frames, frames.true_mean, frames.true_cov)
    if frames.logits.numel():
        shown["logits"] = pack(frames.logits.float())
        shown["scale"] = pack(_scale(frames))
    return shown


def distances(frames: Frames) -> Tensor | None:
    """Return the distance W₂ of the generator's moments from the true ones at each moment, [T], or [T, R] of replicas.

    None if the true distribution or the moments are unknown.
    """
    if not (frames.covs.numel() and frames.true_cov.numel()):
        return None
    return gaussian_w2(frames.true_mean, frames.true_cov, frames.means, frames.covs)


def _moments(frames: Frames, mean: Tensor, cov: Tensor) -> dict[str, Any]:
    """Project means, [..., d], and covariances, [..., d, d], onto the plane."""
    return dict(zip(("mean", "cov"), map(pack, frames.plane.moments(mean, cov)), strict=True))


def _scale(frames: Frames) -> Tensor:
    """Return the logits at the two ends of a critic's colours at each moment, [T, 2].

    As in the figures, their middle is halfway between the mean logits of real and of generated examples, and 98% of the
    logits of these examples lie inside. The logits of the examples are read from the grid.
    """
    ends = []
    for i, logits in enumerate(frames.logits.double()):
        found = [_lookup(frames, logits, points) for points in (frames.real, frames.samples[i])]
        found = [values[values.isfinite()] for values in found]
        means = [values.mean() for values in found if len(values)]
        middle = torch.stack(means).mean() if means else torch.zeros((), dtype=torch.float64)
        reach = (torch.cat(found) - middle).abs().quantile(0.98) if means else torch.ones_like(middle)
        reach = torch.where(reach <= ROUNDING * middle.abs(), middle.abs().clamp(min=1), reach)
        ends.append(torch.stack([middle - reach, middle + reach]))
    return torch.stack(ends)


def _lookup(frames: Frames, logits: Tensor, points: Tensor) -> Tensor:
    """Return the logits at the grid points that are nearest to some points, [n, d] → [n]. Points outside are left out.

    In more than two dimensions the points are projected onto the plane first.
    """
    low, high = frames.window
    share = (frames.plane.project(points) - low) / (high - low)
    share = share[((share >= 0) & (share <= 1)).all(-1)]
    cell = (share * (logits.shape[-1] - 1)).round().long()
    return logits[cell[:, 0]] if frames.dim == 1 else logits[cell[:, 1], cell[:, 0]]
