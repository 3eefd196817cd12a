"""Runs that differ in numbers alone, trained together, each with the directory that it would have left alone."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from gaussgan.train import train


def train_together(cfgs: Sequence[DictConfig]) -> list[float | Exception]:
    """Train single runs of one `structure` as replicas of one run; leave in each `run_dir` what `train` would, and
    return what it would, or the error that it would raise."""
    results: list[float | Exception] = []
    for cfg in cfgs:
        try:
            results.append(train(cfg))
        except Exception as error:
            results.append(error)
    return results
