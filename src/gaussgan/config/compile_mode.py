"""The key `compile`: which of two modes a run has, and what `auto` chooses.

A run in the mode "on" trains by a compiled program, in the mode "off" by eager PyTorch. Both compute the same formulas,
but round differently. So the mode is a part of the recipe, and `auto` must be a function of the configuration alone.

An eager iteration takes about 0.3 ms, and 4 µs more for each replica. Compiling takes about a second, and then an
iteration costs a small part of that. Above the two limits, the saved time is more than this second: 10,000 iterations
of a single run take 3 s, and 2,500 iterations of 40 replicas take 1.2 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

MODES = ("on", "off")
CHOICES = ("auto", *MODES, "explain")
RUN_ITERATIONS = 10_000
ALL_ITERATIONS = 100_000  # replicas × iterations, summed over the runs


def typed_mode(value: Any) -> Any:
    """Return what was typed for the key `compile`. In a YAML file, `on` and `off` are booleans."""
    return ("on" if value else "off") if isinstance(value, bool) else value


def chosen_by_auto(lengths: Iterable[tuple[int, int]]) -> str:
    """Return the mode that `auto` chooses for runs that share one mode: the jobs of a sweep, or a single run.

    It is "on" if one of the runs has at least 10,000 iterations, or if the sum of replicas × iterations over the runs
    is at least 100,000.

    Args:
        lengths: for each run, its number of replicas and its number of iterations.
    """
    lengths = [*lengths]
    long = any(iterations >= RUN_ITERATIONS for _, iterations in lengths)
    return "on" if long or sum(replicas * iterations for replicas, iterations in lengths) >= ALL_ITERATIONS else "off"


def planned_length(config: Mapping[str, Any]) -> tuple[int, int]:
    """Return the number of replicas of a run, and the number of iterations after which the run is complete."""
    data, trainer = config["data"], config["trainer"]
    inputs = data["batch_size"] * data.get("batches_per_iteration", 1)
    epoch = ceil(data["num_examples"] / (inputs * config["discriminator"].get("packing", 1)))
    limits = [(trainer.get("max_epochs") or 0) * epoch, trainer.get("max_steps", -1)]
    if brief := trainer.get("fast_dev_run"):  # a number of iterations, or true for one
        limits = [epoch, int(brief)]
    return config["replicas"], min(limit for limit in limits if limit > 0)
