"""Estimate the memory that a run needs, and refuse a run that does not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from hydra.utils import get_object
from torch import Tensor, nn

from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import of_replica
from gaussgan.config.units import gigabytes
from gaussgan.data.distributions import Distribution
from gaussgan.data.examples import Examples
from gaussgan.data.sampler import CHUNK as ROWS
from gaussgan.data.source import counted, source_of
from gaussgan.evaluation.chunked import CHUNK
from gaussgan.evaluation.evaluator import MOMENT_SAMPLES
from gaussgan.evaluation.samples import DIRECTIONS
from gaussgan.machine import available_memory
from gaussgan.networks.build import build_networks
from gaussgan.networks.packing import packed

PROGRAM_BYTES = 3e8  # memory of Python, torch and Lightning
BATCH_BYTES = 1_600  # memory of the Python objects of one batch
COPIES = 4  # at least: each parameter, its gradient, and two copies while a checkpoint is written
SMALL = 1_000_000  # networks with at most this many parameters are called on the CPU to measure them
MATRICES = 10  # number of d × d matrices in float64 during an evaluation
SIZE_POWERS = {"dim": 2, "side": 2, "modes": 1}  # argument n of a distribution → p; its memory grows as n^p

Needs = dict[str, float]  # what the memory is for → number of bytes


def check_memory(config: Mapping[str, Any]) -> None:
    """Check that a run fits into memory, before any large object is made.

    The estimate is a lower bound, so a refused run cannot fit.

    Args:
        config: the run's configuration as plain dicts and lists, with interpolations resolved.

    Raises:
        ConfigError: when the estimate is above the memory of the machine or of the GPU.
    """
    data = config["data"]
    _check_fits(_distribution_needs(data["distribution"]) if "distribution" in data else {})
    try:
        distribution, config = source_of(data), counted(config)
        on_device, on_host = training_needs(config, distribution), validation_needs(config, distribution)
    except Exception:  # the data are invalid; making the run reports the error
        return
    _check_fits({**on_device, **on_host})
    if config["trainer"]["accelerator"] in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        third = {what: size / 3 for what, size in on_device.items()}  # a lower bound: a part is in the machine's memory
        _check_fits(third, torch.cuda.mem_get_info()[1], "the GPU")


def _check_fits(needs: Needs, limit: float | None = None, where: str = "this machine") -> None:
    limit, total = available_memory() if limit is None else limit, needed(needs)
    if total > limit:
        what, size = max(needs.items(), key=lambda item: item[1])
        raise ConfigError(
            f"the run needs about {gigabytes(total)} of memory, but {where} has only {gigabytes(limit)}. Of the"
            f" {gigabytes(total)}, {gigabytes(size)} is for {what}"
        )


def needed(needs: Needs) -> float:
    """Return the total number of bytes that a run needs.

    Args:
        needs: maps what memory is needed for to a number of bytes. The memory of Python, torch and Lightning is not
            in this dict; the function adds it to the total.
    """
    return PROGRAM_BYTES + sum(needs.values())


def training_needs(config: Mapping[str, Any], distribution: Distribution) -> Needs:
    """Return how many bytes of memory training needs, and for what.

    Returns:
        A dict from texts such as "a batch (data.batch_size=64)", which say what memory is needed for, to numbers of
        bytes.
    """
    data, replicas = config["data"], config["replicas"]
    n, batch, k, d = data["num_examples"], data["batch_size"], data["latent_dim"], distribution.dim
    width = 8 if str(config["trainer"].get("precision")).startswith("64") else 4
    noise = data.get("instance_noise")
    draws = 2 * sum(1 + get_object(term["_target_"]).draws for term in config.get("augment", {}).values())
    row = width * (d + k + (d if noise else 0) + draws)
    drawn = n * (2 * row + 4 * d)  # the last epoch is kept while the next one is drawn from the unshuffled examples
    if isinstance(distribution, Examples):  # a chunk, and the order of all rows
        drawn = 2 * min(n, ROWS) * row + 4 * n
    packing = config["discriminator"].get("packing", 1)
    lists = BATCH_BYTES * math.ceil(n / max(1, batch * packing * data.get("batches_per_iteration", 1)))
    parameters, activations = _network_sizes(config, d)
    times = f"replicas={replicas}, " if replicas > 1 else ""
    return {
        f"one epoch of examples and latents ({times}data.num_examples={n}, dimension {d}, data.latent_dim={k})": (
            drawn * replicas + lists
        ),
        f"a batch ({times}data.batch_size={batch})": activations / 2 * width * batch * packing * replicas,
        **{
            f"the {name}'s {count:,} parameters{f' (times replicas={replicas})' if replicas > 1 else ''}": (
                count * width * COPIES * replicas
            )
            for name, count in parameters.items()
        },
    }


def validation_needs(config: Mapping[str, Any], distribution: Distribution) -> Needs:
    """Return how many bytes of memory an evaluation needs, and for what, as `training_needs` does for training."""
    data, replicas, modes = config["data"], config["replicas"], getattr(distribution, "modes", None)
    samples, k = data.get("validation_samples", 2_500), data["latent_dim"]
    what = f"validation (replicas={replicas}, data.validation_samples={samples}, data.latent_dim={k})"
    projections = 0 if distribution.gaussian else 32 * samples * DIRECTIONS * min(replicas, CHUNK)
    return {
        what: 4 * (samples * distribution.dim * replicas + k * max(samples * replicas, MOMENT_SAMPLES)) + projections,
        f"matrices of {distribution.dim} × {distribution.dim} numbers": 8 * MATRICES * distribution.dim**2,
        "the distances of samples from modes": 0 if modes is None else 24 * samples * len(modes),
    }


def _distribution_needs(config: Mapping[str, Any]) -> Needs:
    sizes = {key: config[key] for key in SIZE_POWERS if isinstance(config.get(key), int)}
    return {f"data.distribution.{key}={size}": 32 * float(size) ** SIZE_POWERS[key] for key, size in sizes.items()}


def _network_sizes(config: Mapping[str, Any], dim: int) -> tuple[dict[str, int], float]:
    """Return the number of parameters of each network, and the number of floats that autograd saves for one example.

    The networks are built on torch's meta device, which allocates no memory. If the networks cannot be built there, the
    numbers of parameters are missing. If the networks cannot be built or called, the number of floats is 0. Small
    networks are called on the CPU: for the first call on the meta device, torch would import its compiler for a second.

    Args:
        dim: the dimension of the data.
    """
    parameters: dict[str, int] = {}
    first = of_replica(config, 0)
    with suppress(Exception), torch.random.fork_rng(devices=[]):
        with torch.device("meta"):
            networks = build_networks(first, dim)
        parameters = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
        small = sum(parameters.values()) <= SMALL
        with torch.device("cpu" if small else "meta"):
            networks = build_networks(first, dim) if small else networks
            m, k = config["discriminator"].get("packing", 1), config["data"]["latent_dim"]
            few, more = (_saved_numbers(networks, n * m, k, m) for n in (2, 4))
        return parameters, (more - few) / (2 * m)
    return parameters, 0


def _saved_numbers(networks: dict[str, nn.Module], n: int, k: int, packing: int) -> int:
    saved: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        fake = networks["generator"](torch.zeros(n, k))
        networks["discriminator"](packed(torch.cat([fake, fake]), packing))
    return sum(saved)
