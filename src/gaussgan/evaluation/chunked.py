"""Measure R replicas against a known distribution, one chunk of replicas at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gaussgan.data.datamodule import DataModule
from gaussgan.data.examples import Examples
from gaussgan.evaluation.evaluator import Evaluator
from gaussgan.evaluation.held_out import Features, HeldOut, held_out_of
from gaussgan.evaluation.scores import score
from gaussgan.networks.moments import has_closed_form

CHUNK = 32  # number of replicas that are measured at once; their tensors fit in the cache of a core


def evaluator_of(
    data: DataModule, quality: bool | None = None, features: Features | None = None
) -> Evaluator | ChunkedEvaluator:
    """Return an evaluator for a run with these data: a `ChunkedEvaluator` for replicas, otherwise an `Evaluator`.

    Args:
        data: the data of the run.
        quality: whether the measures of `Quality` are wanted; None: only for data without a known distribution.
        features: maps examples to features, in which the measures of samples are computed; None for none.
    """
    source, n = data.distribution, data.validation_samples
    shared = wanted = None
    if isinstance(source, Examples):
        n = min(n, len(source.report), len(source.train))
        shared = held_out_of(source, n, features, score_only=quality is False)
    elif not source.gaussian and (quality or features is not None):
        wanted = data.examples()

    def make(seed: int | Sequence[int], rows: slice) -> Evaluator:
        evaluator = Evaluator(source, data.latent_dim, seed, n, shared)
        if wanted is not None:
            train = wanted[rows] if data.replicas > 1 else wanted
            evaluator.held_out = HeldOut(train, {"val": evaluator.real}, n, features=features, score_only=not quality)
        return evaluator

    if data.replicas == 1:
        return make(data.seeds[0], slice(None))
    slices = [slice(start, start + CHUNK) for start in range(0, data.replicas, CHUNK)]
    return ChunkedEvaluator([(rows, make(data.seeds[rows], rows)) for rows in slices])


class ChunkedEvaluator:
    """Measures R replicas, one chunk of replicas at a time, so that the measures need less memory.

    The methods return the same values as those of an `Evaluator`.

    Args:
        chunks: for each chunk, its replicas and its evaluator.
    """

    def __init__(self, chunks: Sequence[tuple[slice, Evaluator]]) -> None:
        self.chunks = chunks
        self.has_density = chunks[0][1].has_density
        self._parts: dict[int, tuple[list[int], list[Any]]] = {}  # id of `Replicas` → places in memory, chunks

    def distances(self, generator: Any) -> dict[str, Tensor]:
        first = self.chunks[0][1]
        if first.distribution.gaussian and has_closed_form(generator):  # needs no samples, and so no chunks
            return first.distances(generator)
        pairs = zip(self.chunks, self._split(generator), strict=True)
        return _joined([each.distances(part) for (_, each), part in pairs])

    def optimality(self, generator: Any, discriminator: Any, logistic: bool, packing: int = 1) -> dict[str, Tensor]:
        triples = zip(self.chunks, self._split(generator), self._split(discriminator), strict=True)
        return _joined([each.optimality(g, d, logistic, packing) for (_, each), g, d in triples])

    def quality(self, generator: Any) -> dict[str, Tensor]:
        pairs = zip(self.chunks, self._split(generator), strict=True)
        return _joined([each.quality(part) for (_, each), part in pairs])

    def quality_names(self) -> list[str]:
        return self.chunks[0][1].quality_names()

    def reported(self, generator: Any) -> dict[str, Tensor]:
        pairs = zip(self.chunks, self._split(generator), strict=True)
        return _joined([each.reported(part) for (_, each), part in pairs])

    def baselines(self) -> dict[str, Tensor]:
        values = [each.baselines() for _, each in self.chunks]
        own = any(value.ndim for value in values[0].values())  # given examples are shared, and so are their baselines
        return _joined(values) if own else values[0]

    def optimality_names(self, generator: Any, logistic: bool) -> list[str]:
        return self.chunks[0][1].optimality_names(generator, logistic)

    def moments(self, generator: Any) -> tuple[Tensor, Tensor]:
        if has_closed_form(generator):
            return generator.moments()
        pairs = zip(self.chunks, self._split(generator), strict=True)
        means, covs = zip(*(each.moments(part) for (_, each), part in pairs), strict=True)
        return torch.cat(means), torch.cat(covs)

    def _split(self, networks: Any) -> list[Any]:
        """Return the networks of each chunk. They are made again only if `networks` has other tensors than before."""
        tensors = [*networks.parameters(), *networks.buffers()]
        places = [tensor.data_ptr() for tensor in tensors]
        if self._parts.get(id(networks), (None,))[0] != places:
            self._parts[id(networks)] = places, [networks[rows] for rows, _ in self.chunks]
        return self._parts[id(networks)][1]


def distances_with_average(
    evaluator: Evaluator | ChunkedEvaluator, generator: nn.Module, average: nn.Module | None
) -> dict[str, Tensor]:
    """Return the distances of a generator from the true distribution, as a dict from tags to distances.

    If the generator has a moving average, the dict also has the moving average's `score`. The tag of this entry is the
    tag of the score followed by _ema, such as val/w2_ema.

    Args:
        evaluator: measures the distances.
        generator: the generator.
        average: the generator's moving average; None if there is no moving average.
    """
    values = evaluator.distances(generator)
    if average is not None:
        tag = score(values)
        values[f"{tag}_ema"] = evaluator.distances(average)[tag]
    return values


def reported_with_average(
    evaluator: Evaluator | ChunkedEvaluator, generator: nn.Module, average: nn.Module | None
) -> dict[str, Tensor]:
    """Return the measures against the examples to report by; see `Evaluator.reported`.

    If the generator has a moving average, the dict also has the measures of it. Their tags end in _ema.
    """
    values = evaluator.reported(generator)
    averaged = {} if average is None else evaluator.reported(average)
    return values | {f"{tag}_ema": value for tag, value in averaged.items()}


def _joined(chunks: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {tag: torch.cat([values[tag] for values in chunks]) for tag in chunks[0]}
