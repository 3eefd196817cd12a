"""Measure a finished run again: its distances, and the sample size from which a test tells real from generated data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.distributions import examples_of, has_density
from gaussgan.data.examples import Examples
from gaussgan.evaluation.baseline import baselines_of
from gaussgan.evaluation.chunked import distances_with_average, evaluator_of, reported_with_average
from gaussgan.evaluation.two_sample import Accuracy, best_accuracy, classifier_test, energy_test
from gaussgan.networks.moments import gaussian_density
from gaussgan.rng import normal, stream
from gaussgan.runs.load import Run
from gaussgan.runs.trust import check_trusted

SIZES = (100, 300, 1_000, 3_000, 10_000)


class Verdict(NamedTuple):
    """Results of two-sample tests of n real examples against n generated examples.

    Attributes:
        n: the number of real examples, and also the number of generated examples.
        energy: the energy distance between the real and the generated examples.
        energy_p: the p-value of the permutation test with the energy distance.
        classifier: the accuracy of a classifier that was trained to tell real from generated examples.
        best: the accuracy of the optimal classifier, which uses the exact likelihood ratio; None if the data or the
            generated examples have no density in closed form.
    """

    n: int
    energy: float
    energy_p: float
    classifier: Accuracy
    best: Accuracy | None


def measure(run: Run, trust: bool = False) -> dict[str, float]:
    """Measure the distances of a run's generator from the true distribution, or from held-out examples.

    Return a dict from names such as val/w2 to measures; see `Evaluator.distances`, `quality` and `reported`. If the run
    kept a moving average of the generator, the dict also has the distance of the moving average, such as val/w2_ema. It
    also has the baselines; see `baselines_of`.

    Args:
        run: the run.
        trust: true to call the network of the run's setting `features`, whatever it is.

    Raises:
        ConfigError: when the data or the distances cannot be computed: the configuration is wrong, the file of the
            examples is gone or has changed, memory is short, or the network of `features` is not trusted.
    """
    if not trust:
        check_trusted(run.config["callbacks"]["evaluation"], run.directory, ["features"])
    try:
        if run.layout is not None:
            _ = run.distribution  # checks that the examples are the same
        data, evaluation = instantiate(run.config["data"]), run.config["callbacks"]["evaluation"]
        evaluator = evaluator_of(data, evaluation.get("quality"), instantiate(evaluation.get("features")) or None)
        values = distances_with_average(evaluator, run.generator, run.generator_ema)
        values |= evaluator.quality(run.generator)
        values |= reported_with_average(evaluator, run.generator, run.generator_ema)
        values |= baselines_of(data, run.iterations, evaluator)
    except ConfigError:
        raise
    except Exception as error:  # a wrong configuration, or too little memory
        raise ConfigError(f"{run.directory} cannot be measured: {one_line(error)}") from error
    return {name: value.item() for name, value in values.items()}


@torch.no_grad()
def compare(run: Run, sizes: Sequence[int] = SIZES, permutations: int = 199, seed: int = 0) -> Iterator[Verdict]:
    """For each n in `sizes`, draw n new real and n new generated examples, and yield the results of two-sample tests.

    The moving average of the generator makes them, if the run kept one.

    Of given examples, the real ones are those to report by. A size above their number becomes their number.

    Args:
        run: the run whose data and generator are compared.
        sizes: the sample sizes.
        permutations: the number of permutations in the permutation test.
        seed: the seed of the new examples and of the tests.
    """
    network = run.best_generator
    limit = len(run.distribution.report) if isinstance(run.distribution, Examples) else max(sizes)
    for n in dict.fromkeys(min(n, limit) for n in sizes):
        real = examples_of(run.distribution, n, stream(seed, "evaluation_real", n))
        latents = normal(n, run.config["data"]["latent_dim"], generator=stream(seed, "evaluation_fake", n))
        fake = network(latents.to(next(network.parameters()))).float()
        energy, energy_p = energy_test(real, fake, permutations, stream(seed, "evaluation_permutations", n))
        with torch.enable_grad():
            classifier = classifier_test(real, fake, stream(seed, "evaluation_classifier", n))
        yield Verdict(n, energy, energy_p, classifier, _best(run, network, real, fake))


def smallest_rejected_n(verdicts: Sequence[Verdict], level: float = 0.05) -> int | None:
    """Return the smallest sample size n such that the permutation test detects a difference at n and all larger sizes.

    The test detects a difference if its p-value is at most `level`. If there is no such n, return None.

    Args:
        verdicts: the results of the tests, one entry for each sample size n.
        level: the significance level of the test.
    """
    smallest = None
    for verdict in sorted(verdicts, key=lambda verdict: -verdict.n):
        if not verdict.energy_p <= level:
            break
        smallest = verdict.n
    return smallest


def _best(run: Run, network: nn.Module, real: Tensor, fake: Tensor) -> Accuracy | None:
    learned = gaussian_density(network)
    if learned is None or not has_density(run.distribution):
        return None
    return best_accuracy(real, fake, lambda x: run.distribution.log_prob(x) - learned.log_prob(x.double()))
