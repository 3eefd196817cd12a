"""Exact measures agree with theory: at the truth, at the optimal discriminator, and away from both."""

import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from gaussgan.data.distributions import AffineGaussian, Dirac, Distribution, ring
from gaussgan.evaluation.chunked import ChunkedEvaluator, evaluator_of
from gaussgan.evaluation.dirac import equilibrium_distance
from gaussgan.evaluation.evaluator import Evaluator
from gaussgan.evaluation.gaussian import gaussian_kl, gaussian_w2
from gaussgan.evaluation.samples import mode_metrics, sliced_w2
from gaussgan.evaluation.scores import score
from gaussgan.networks import MLP, Linear, Location
from gaussgan.networks.moments import gaussian_density, has_closed_form
from gaussgan.rng import stream
from gaussgan.setup.assemble import assemble

TEXTBOOK = AffineGaussian([[1, 2], [-0.1, 0.5]], [1, 2])


def generator_of(distribution: AffineGaussian) -> Linear:
    generator = Linear(distribution.dim, distribution.dim, 0.02, stream(0, "init")).double()
    with torch.no_grad():
        generator.weight.copy_(distribution.A.T)
        generator.bias.copy_(distribution.mean)
    return generator


class Ratio(nn.Module):
    """The optimal discriminator, log p/q, plus a constant error."""

    def __init__(self, distribution: Distribution, generator: nn.Module, error: float = 0.0) -> None:
        super().__init__()
        self.error = nn.Parameter(torch.tensor(error, dtype=torch.float64))
        self.distribution, self.learned = distribution, gaussian_density(generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert self.learned is not None
        return (self.distribution.log_prob(x) - self.learned.log_prob(x.double()) + self.error).unsqueeze(-1)


def test_at_the_truth_everything_is_zero() -> None:
    evaluator, generator = Evaluator(TEXTBOOK, 2, seed=0), generator_of(TEXTBOOK)
    distances = evaluator.distances(generator)
    assert distances["val/w2"] < 1e-6
    assert distances["val/kl"].abs() < 1e-9
    flat = MLP(2, [3], 1, std=0.0, rng=stream(0, "init")).double()
    values = evaluator.optimality(generator, flat, logistic=True)
    assert all(abs(values[tag].item()) < 1e-9 for tag in ("val/js", "val/d_gap", "val/logit_error"))


@pytest.mark.parametrize("error", [-0.3, 0.0, 0.3])
def test_the_gap_is_zero_only_at_the_optimum(error: float) -> None:
    generator = generator_of(AffineGaussian([[1, 0], [0, 1]], [0, 0]))
    discriminator = Ratio(TEXTBOOK, generator, error)
    values = Evaluator(TEXTBOOK, 2, seed=0).optimality(generator, discriminator, logistic=True)
    assert values["val/logit_error"].item() == pytest.approx(abs(error), abs=1e-9)
    if error:
        assert 0 < values["val/d_gap"] < error**2 / 8 + 1e-9  # the loss curves by σ(1 − σ) ≤ 1/4
    else:
        assert values["val/d_gap"].item() == pytest.approx(0, abs=1e-9)


def test_js_between_shifted_gaussians() -> None:
    """The JS agrees with quadrature up to sampling error, also with p and q exchanged."""
    shift = 1.0
    p, q = AffineGaussian([[1.0]], [0.0]), AffineGaussian([[1.0]], [shift])
    x = torch.linspace(-9, 10, 20_001, dtype=torch.float64)
    densities = [distribution.log_prob(x.unsqueeze(-1)) for distribution in (p, q)]
    mixture = torch.logaddexp(*densities) - math.log(2)
    expected = sum(torch.trapezoid(d.exp() * (d - mixture), x) for d in densities) / 2
    flat = MLP(1, [3], 1, std=0.0, rng=stream(0, "init")).double()
    for distribution, other in ((p, q), (q, p)):
        value = Evaluator(distribution, 1, seed=0).optimality(generator_of(other), flat, logistic=False)
        assert list(value) == ["val/js"]
        assert value["val/js"].item() == pytest.approx(float(expected), abs=0.03)


def test_the_measures_depend_on_closed_forms() -> None:
    mlp, affine = MLP(2, [3], 2, 0.5, stream(0, "init")), generator_of(TEXTBOOK)
    discriminator = MLP(2, [3], 1, 0.5, stream(1, "init"))
    line = AffineGaussian([[1, 2]], [1, 2])
    for distribution, generator, distances, optimality in (
        (TEXTBOOK, affine, {"val/w2", "val/kl"}, {"val/js", "val/d_gap", "val/logit_error"}),
        (TEXTBOOK, mlp, {"val/w2", "val/kl"}, set()),
        (line, affine, {"val/w2", "val/kl"}, set()),
        (ring(8, 1, 0.01), mlp, {"val/sliced_w2", "val/modes", "val/high_quality", "val/reverse_kl"}, set()),
        (ring(8, 1, 0.01), affine, {"val/sliced_w2", "val/modes", "val/high_quality", "val/reverse_kl"},
         {"val/js", "val/d_gap", "val/logit_error"}),
    ):  # fmt: skip
        evaluator = Evaluator(distribution, 2, seed=0)
        assert evaluator.distances(generator).keys() == distances
        assert evaluator.optimality(generator, discriminator, logistic=True).keys() == optimality
    assert score({"val/sliced_w2": 1}) == "val/sliced_w2"
    assert score({"val/w2": 1, "val/sliced_w2": 1}) == "val/w2"


@pytest.mark.parametrize("replicas", [1, 2])
def test_it_uses_the_configured_number_of_samples(compose: Callable[..., DictConfig], replicas: int) -> None:
    gan, data, _ = assemble(compose("data=ring", "data.validation_samples=20", f"replicas={replicas}"))
    for i in range(replicas):
        generator = gan.generator if replicas == 1 else gan.generator.network(i)
        alone = Evaluator(data.distribution, 2, seed=i, samples=20)
        assert alone.real.shape == alone.generated(generator).shape == (20, 2)
        for tag, value in alone.distances(generator).items():
            ours = evaluator_of(data).distances(gan.generator)[tag].reshape(replicas)[i]
            torch.testing.assert_close(ours, value, rtol=1e-5, atol=0)


def test_a_mixture_is_measured_on_2500_real_and_2500_generated_samples() -> None:
    """docs/pieces.md says this number. Counts of modes can only be compared for the same number of samples."""
    distribution, generator = ring(8, 1, 0.01), MLP(2, [3], 2, 0.5, stream(0, "init"))
    evaluator = Evaluator(distribution, 2, seed=0)
    assert evaluator.real.shape == evaluator.generated(generator).shape == (2_500, 2)
    fake = evaluator.generated(generator).double()
    expected = {"val/sliced_w2": sliced_w2(evaluator.real.double(), fake, evaluator.directions)}
    expected |= mode_metrics(fake, distribution.modes, distribution.std)
    torch.testing.assert_close(evaluator.distances(generator), expected)


def test_a_singular_generator_is_always_detected() -> None:
    line = Linear(1, 2, std=1.0, rng=stream(0, "init"))
    values = Evaluator(TEXTBOOK, 1, seed=0).optimality(line, MLP(2, [3], 1, 0.0, stream(0, "init")), True)
    assert values["val/js"].item() == pytest.approx(math.log(2))
    assert values["val/d_gap"].item() == pytest.approx(math.log(2))  # the whole loss of a constant discriminator
    assert values["val/logit_error"].item() == torch.inf
    with torch.no_grad():
        line.weight.fill_(torch.nan)
    values = Evaluator(TEXTBOOK, 1, seed=0).optimality(line, MLP(2, [3], 1, 0.0, stream(0, "init")), True)
    assert all(value.isnan() for value in values.values())


def test_distance_from_the_dirac_gans_equilibrium() -> None:
    generator = Location(1, 1, std=0.0, rng=stream(0, "init"), mean=3.5)
    discriminator = Linear(1, 1, std=0.0, rng=stream(0, "init"), mean=4.0, bias=False)
    point = Dirac([0.5])
    assert equilibrium_distance(point, generator, discriminator)["val/distance"].item() == pytest.approx(5)
    assert Evaluator(point, 1, seed=0).distances(generator)["val/w2"].item() == pytest.approx(3)


def test_sample_moments_of_an_affine_generator_are_close_to_the_exact_moments() -> None:
    generator = generator_of(AffineGaussian([[1, 0], [0.5, 1]], [0, 1]))
    hidden = nn.Sequential(generator)
    assert has_closed_form(generator)
    assert not has_closed_form(hidden)
    evaluator = Evaluator(TEXTBOOK, 2, seed=0)
    exact, sampled = evaluator.distances(generator), evaluator.distances(hidden)
    assert sampled["val/w2"].item() == pytest.approx(exact["val/w2"].item(), rel=0.02)
    mean, cov = generator.moments()
    expected = {"val/w2": gaussian_w2, "val/kl": gaussian_kl}
    torch.testing.assert_close(exact, {tag: f(TEXTBOOK.mean, TEXTBOOK.cov, mean, cov) for tag, f in expected.items()})


@pytest.mark.parametrize("generator", ["linear", "mlp"])
def test_chunks_follow_the_networks_and_equal_single_runs(compose: Callable[..., DictConfig], generator: str) -> None:
    """The networks of a chunk are made once. They share the numbers of all networks, also after these have changed."""
    gan, data, _ = assemble(compose("replicas=3", f"generator={generator}"))
    singles = [Evaluator(data.distribution, data.latent_dim, seed, 1_000) for seed in data.seeds]
    parts = [slice(0, 2), slice(2, 3)]
    evaluator = ChunkedEvaluator(
        [(rows, Evaluator(data.distribution, data.latent_dim, data.seeds[rows], 1_000)) for rows in parts]
    )
    for change in (
        lambda p: p.mul_(9),
        lambda p: p.add_(0.1),
        lambda p: p.data.copy_(p),
        lambda p: setattr(p, "data", p * 2),
    ):
        with gan.evaluating():
            for parameter in gan.parameters():
                change(parameter)
            values = evaluator.distances(gan.generator)
            values |= evaluator.optimality(gan.generator, gan.discriminator, True)
            assert ("val/js" in values) == (generator == "linear")
            for i, single in enumerate(singles):
                networks = gan.generator.network(i), gan.discriminator.network(i)
                expected = single.distances(networks[0]) | single.optimality(*networks, True)
                assert {tag: value[i].item() for tag, value in values.items()} == pytest.approx(
                    {tag: value.item() for tag, value in expected.items()}, rel=1e-4, abs=1e-6
                )
