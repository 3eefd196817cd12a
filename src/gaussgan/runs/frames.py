"""The form of the frames in a checkpoint: the states of a run at some of its iterations, from which films are made."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# The entries with one row for each of T frames. An entry that a run has no use for has the shape [T, 0].
PER_FRAME = ("samples", "samples_ema", "means", "covs", "logits", "theta")
# The entries that are the same for all frames.
FIXED = ("real", "true_mean", "true_cov", "window", "origin", "axes", "replicas")

Frames = Mapping[str, Tensor]


def best_samples(frames: Frames) -> Tensor:
    """Return the samples of the generator's moving average if there are any, else those of the generator."""
    return frames["samples_ema"] if frames["samples_ema"].numel() else frames["samples"]


def check_frames(frames: Frames, done: int, like: Frames | None = None) -> None:
    """Check the entry "frames" of a checkpoint.

    Args:
        frames: the entry.
        done: the number of finished iterations.
        like: frames of the same run, which may be others in number; None to check only that the entries fit each other.

    Raises:
        ValueError: when an entry is missing or has a wrong type or shape, or when the iterations do not ascend.
    """
    for key in ("iterations", *PER_FRAME, *FIXED):
        if not isinstance(value := frames.get(key), Tensor):
            raise ValueError(f"frames.{key} must be a tensor")
        if key in PER_FRAME and (value.ndim < 2 or len(value) != len(frames["iterations"])):
            raise ValueError(f"frames.{key} must have {len(frames['iterations'])} rows")
        if like is not None:
            rows = 1 if key in PER_FRAME else 0
            ours = like[key]
            if value.dtype != ours.dtype or (key != "iterations" and value.shape[rows:] != ours.shape[rows:]):
                raise ValueError(f"frames.{key} must be {ours.dtype} with rows of shape {[*ours.shape[rows:]]}")
    at = frames["iterations"]
    ascending = bool((at.diff() > 0).all()) and (not len(at) or 0 <= int(at[0]) <= int(at[-1]) <= done)
    if at.dtype is not torch.int64 or at.ndim != 1 or not ascending:
        raise ValueError(f"frames.iterations must ascend from at least 0 to at most {done}")
