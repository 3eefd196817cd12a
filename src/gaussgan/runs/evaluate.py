"""Measure a finished run again: its distances, and the sample size from which a test detects a difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from hydra.utils import instantiate
from torch import Tensor

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.distributions import examples_of, has_density
from gaussgan.evaluation.baseline import mle_w2
from gaussgan.evaluation.evaluator import distances_with_average, evaluator_of
from gaussgan.evaluation.two_sample import Accuracy, best_accuracy, classifier_test, energy_test
from gaussgan.networks.moments import gaussian_density
from gaussgan.rng import normal, stream
from gaussgan.runs.load import Run

SIZES = (100, 300, 1_000, 3_000, 10_000)


class Verdict(NamedTuple):
    """Results of the two-sample tests on n real and n generated examples.

    Attributes:
        n: the number of real examples, and also of generated examples.
        energy: the energy distance between the real and the generated examples.
        energy_p: the p-value of the permutation test with the energy distance.
        classifier: the accuracy of a trained classifier.
        best: the accuracy of the optimal classifier, which uses the exact likelihood ratio; None if the data or the
            generated examples have no density in closed form.
    """

    n: int
    energy: float
    energy_p: float
    classifier: Accuracy
    best: Accuracy | None


def measure(run: Run) -> dict[str, float]:
    """Return a dict from names such as val/w2 to distances from the true distribution.

    The dict has the distances of the generator, the score of its moving average if the run kept one, and, for Gaussian
    data, the distance mle/w2 of the maximum-likelihood fit.

    Raises:
        ConfigError: when the data cannot be made from the run's configuration, or do not fit in memory.
    """
    try:
        data = instantiate(run.config["data"])
        distances = distances_with_average(evaluator_of(data), run.generator, run.generator_ema)
        values = {name: value.item() for name, value in distances.items()}
        mle = mle_w2(data, run.iterations)
    except Exception as error:  # a wrong configuration, or too little memory
        raise ConfigError(f"{run.directory} cannot be measured: {one_line(error)}") from error
    return values if mle is None else {**values, "mle/w2": mle.item()}


@torch.no_grad()
def compare(run: Run, sizes: Sequence[int] = SIZES, permutations: int = 199, seed: int = 0) -> Iterator[Verdict]:
    """For each n in `sizes`, draw n new real and n new generated examples, and yield the results of two-sample tests.

    Args:
        permutations: the number of permutations in the permutation test.
        seed: the seed of the new examples and of the tests.
    """
    for n in sizes:
        real = examples_of(run.distribution, n, stream(seed, "evaluation_real", n))
        latents = normal(n, run.config["data"]["latent_dim"], generator=stream(seed, "evaluation_fake", n))
        fake = run.generator(latents.to(next(run.generator.parameters()))).float()
        energy, energy_p = energy_test(real, fake, permutations, stream(seed, "evaluation_permutations", n))
        with torch.enable_grad():
            classifier = classifier_test(real, fake, stream(seed, "evaluation_classifier", n))
        yield Verdict(n, energy, energy_p, classifier, _best(run, real, fake))


def smallest_rejected_n(verdicts: Sequence[Verdict], level: float = 0.05) -> int | None:
    """Return the smallest n at which the permutation test detects a difference, there and at all larger sizes.

    The test detects a difference if its p-value is at most `level`. Return None if there is no such n.

    Args:
        verdicts: the results of the tests, one for each sample size n.
    """
    smallest = None
    for verdict in sorted(verdicts, key=lambda verdict: -verdict.n):
        if not verdict.energy_p <= level:
            break
        smallest = verdict.n
    return smallest


def _best(run: Run, real: Tensor, fake: Tensor) -> Accuracy | None:
    learned = gaussian_density(run.generator)
    if learned is None or not has_density(run.distribution):
        return None
    return best_accuracy(real, fake, lambda x: run.distribution.log_prob(x) - learned.log_prob(x.double()))
