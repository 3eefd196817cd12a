"""A finished run, measured again: its distances, and the sample size at which it is told apart from the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from hydra.utils import instantiate
from torch import Tensor

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.distributions import examples_of
from gaussgan.evaluation.evaluator import distances_with_average, gaussian_density, has_density
from gaussgan.evaluation.two_sample import Accuracy, best_accuracy, classifier_test, energy_test
from gaussgan.rng import normal, stream
from gaussgan.runs.load import Run

SIZES = (100, 300, 1_000, 3_000, 10_000)


class Verdict(NamedTuple):
    """What two tests say about n real and n generated examples.

    Args:
        energy: the energy distance, with its p-value from permutations.
        classifier: the accuracy of a classifier that was trained to tell them apart.
        best: the best possible accuracy; None where it is unknown.
    """

    n: int
    energy: float
    energy_p: float
    classifier: Accuracy
    best: Accuracy | None


def measure(run: Run) -> dict[str, float]:
    """Measure the distances of a run's generator and of its moving average, and mle/w2, the baseline.

    Raises:
        ConfigError: when the run's configuration describes no data, or more than fits in memory.
    """
    try:
        data = instantiate(run.config["data"])
        distances = distances_with_average(data.validation, run.generator, run.generator_ema)
        values = {name: value.item() for name, value in distances.items()}
        mle = data.mle_w2(run.iterations)
    except Exception as error:  # data may raise anything
        raise ConfigError(f"{run.directory} cannot be measured: {one_line(error)}") from error
    return values if mle is None else {**values, "mle/w2": mle.item()}


@torch.no_grad()
def compare(run: Run, sizes: Sequence[int] = SIZES, permutations: int = 199, seed: int = 0) -> Iterator[Verdict]:
    """For each n, draw n real and n generated examples and try to tell them apart.

    `best` is the accuracy of the exact likelihood ratio. It is None where one of the two distributions has no density
    in closed form.
    """
    for n in sizes:
        real = examples_of(run.distribution, n, stream(seed, "evaluation_real", n))
        latents = normal(n, run.config["data"]["latent_dim"], generator=stream(seed, "evaluation_fake", n))
        fake = run.generator(latents.to(next(run.generator.parameters()))).float()
        energy, energy_p = energy_test(real, fake, permutations, stream(seed, "evaluation_permutations", n))
        with torch.enable_grad():
            classifier = classifier_test(real, fake, stream(seed, "evaluation_classifier", n))
        yield Verdict(n, energy, energy_p, classifier, _best(run, real, fake))


def told_apart_from(verdicts: Sequence[Verdict], level: float = 0.05) -> int | None:
    """Return the least n at which, and above which, the permutation test always rejects; None where there is none."""
    least = None
    for verdict in sorted(verdicts, key=lambda verdict: -verdict.n):
        if not verdict.energy_p <= level:
            break
        least = verdict.n
    return least


def _best(run: Run, real: Tensor, fake: Tensor) -> Accuracy | None:
    learned = gaussian_density(run.generator)
    if learned is None or not has_density(run.distribution):
        return None
    return best_accuracy(real, fake, lambda x: run.distribution.log_prob(x) - learned.log_prob(x.double()))
