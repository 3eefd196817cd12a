import math

import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from gaussgan.data.distributions import (
    AffineGaussian,
    Dirac,
    Distribution,
    GaussianMixture,
    grid,
    random_gaussian,
    ring,
)
from gaussgan.data.gaussian import sample_moments
from gaussgan.rng import stream

TEXTBOOK = AffineGaussian([[1, 2], [-0.1, 0.5]], [1, 2])
DENSE: dict[str, Distribution] = {
    "textbook": TEXTBOOK,
    "line": AffineGaussian([[2.0]], [-1.0]),
    "three dimensions": AffineGaussian([[1, 0, 0.5], [0, 2, 0], [0.3, 0, 1]], [0, 1, 2]),
    "latents wider than data": AffineGaussian([[1, 0], [0, 1], [0.5, -1]], [0, 0]),
    "random": random_gaussian(4, 100, seed=0),
    "ring": ring(8, 1, 0.01),
    "grid": grid(3, 2, 0.5),
    "mixture on a line": GaussianMixture([[-1], [0], [3]], 0.7),
}
SINGULAR: dict[str, Distribution] = {
    "low rank": AffineGaussian([[1, 2]], [1, 2]),
    "low rank up to rounding": AffineGaussian([[0.1, 0.3], [0.7, 2.1]], [0, 0]),
    "dirac": Dirac([1, -2]),
}
dense = pytest.mark.parametrize("distribution", DENSE.values(), ids=DENSE)
singular = pytest.mark.parametrize("distribution", SINGULAR.values(), ids=SINGULAR)
every = pytest.mark.parametrize("distribution", [*DENSE.values(), *SINGULAR.values()], ids=[*DENSE, *SINGULAR])


def components(distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Return the means, [m, d], and the common covariance, [d, d], of the Gaussians in a mixture with equal weights."""
    if isinstance(distribution, GaussianMixture):
        return distribution.modes, distribution.std**2 * torch.eye(distribution.dim, dtype=torch.float64)
    return distribution.mean.unsqueeze(0), distribution.cov


def by_torch(distribution: Distribution, widened: float) -> MixtureSameFamily:
    means, cov = components(distribution)
    return MixtureSameFamily(Categorical(torch.ones(len(means))), MultivariateNormal(means, widened * cov))


@dense
def test_log_prob_equals_scipys(distribution: Distribution) -> None:
    x, (means, cov) = distribution.sample(1000, stream(0, "test")).double(), components(distribution)
    theirs = [multivariate_normal(mean.numpy(), cov.numpy()).logpdf(x.numpy()).reshape(-1) for mean in means]
    expected = torch.as_tensor(logsumexp(theirs, axis=0) - math.log(len(means)))
    for ours in (distribution.log_prob(x), distribution.log_prob(x.reshape(10, 100, -1)).flatten()):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@dense
def test_density_integrates_to_one(distribution: Distribution) -> None:
    torch.manual_seed(0)
    wide = by_torch(distribution, widened=1.5)
    proposals = wide.sample((100_000,))
    weights = (distribution.log_prob(proposals) - wide.log_prob(proposals)).exp()
    assert weights.mean().item() == pytest.approx(1, abs=5 * weights.std().item() / 100_000**0.5)


@dense
def test_log_likelihoods_of_samples_agree_with_torch(distribution: Distribution) -> None:
    torch.manual_seed(0)
    n = 100_000
    ours, theirs = (
        distribution.log_prob(x)
        for x in (distribution.sample(n, stream(0, "test")), by_torch(distribution, widened=1).sample((n,)))
    )
    assert ours.mean().item() == pytest.approx(theirs.mean().item(), abs=5 * (2 * theirs.var().item() / n) ** 0.5)
    assert ours.var().item() == pytest.approx(theirs.var().item(), rel=0.05)


@every
def test_sample_moments_agree_with_mean_and_cov(distribution: Distribution) -> None:
    n = 400_000
    x = distribution.sample(n, stream(0, "test"))
    assert (x.shape, x.dtype, distribution.mean.dtype, distribution.cov.dtype) == (
        (n, distribution.dim),
        torch.float32,
        *[torch.float64] * 2,
    )
    mean, cov = sample_moments(x)
    largest = distribution.cov.diagonal().max().item()
    torch.testing.assert_close(mean, distribution.mean, rtol=0, atol=5 * (largest / n) ** 0.5 + 1e-6)
    torch.testing.assert_close(cov, distribution.cov, rtol=0, atol=10 * largest / n**0.5)


@every
def test_samples_are_a_function_of_the_generator_alone(distribution: Distribution) -> None:
    before = torch.get_rng_state()
    assert torch.equal(distribution.sample(100, stream(0, "test")), distribution.sample(100, stream(0, "test")))
    assert torch.equal(before, torch.get_rng_state())


@singular
def test_a_singular_distribution_has_no_density(distribution: Distribution) -> None:
    with pytest.raises(ValueError, match="has no density: its covariance is singular"):
        distribution.log_prob(distribution.mean)


def test_which_distributions_are_gaussian() -> None:
    gaussian = {name for name, distribution in {**DENSE, **SINGULAR}.items() if distribution.gaussian}
    assert gaussian == {*DENSE, *SINGULAR} - {"ring", "grid", "mixture on a line"}
    single, twin = GaussianMixture([[1, 2]], 0.5), AffineGaussian([[0.5, 0], [0, 0.5]], [1, 2])
    x = twin.sample(100, stream(0, "test"))
    assert single.gaussian
    torch.testing.assert_close(single.log_prob(x), twin.log_prob(x))


def test_textbook_covariance() -> None:
    torch.testing.assert_close(TEXTBOOK.cov, torch.tensor([[1.01, 1.95], [1.95, 4.25]], dtype=torch.float64))


def test_a_random_gaussian_has_its_eigenvalues_and_uniform_directions() -> None:
    distribution = random_gaussian(5, 1e4, seed=3)
    expected = torch.tensor([1e-4, 1e-3, 1e-2, 1e-1, 1], dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.eigvalsh(distribution.cov), expected, rtol=1e-9, atol=0)
    assert str(distribution) == str(random_gaussian(5, 1e4, seed=3)) != str(random_gaussian(5, 1e4, seed=4))

    # In the plane, the first axis of a Haar-random basis has a uniform angle in [0, 2π).
    n, distributions = 2000, [random_gaussian(2, 100, seed) for seed in range(2000)]
    axes = torch.stack([distribution.A[0] for distribution in distributions])
    angles = torch.atan2(axes[:, 1], axes[:, 0])
    for harmonic in (1, 2, 3, 4):
        assert torch.polar(torch.ones_like(angles), harmonic * angles).mean().abs() < 3 / n**0.5
    means = torch.stack([distribution.mean for distribution in distributions])
    torch.testing.assert_close(means.T.cov(), torch.eye(2, dtype=torch.float64), rtol=0, atol=5 * (2 / n) ** 0.5)


def test_modes_have_the_right_positions_and_equal_weights() -> None:
    modes = ring(6, 2, 0.01).modes
    torch.testing.assert_close(modes.norm(dim=-1), torch.full((6,), 2.0).double())
    torch.testing.assert_close((modes - modes.roll(1, 0)).norm(dim=-1), torch.full((6,), 2.0).double())  # a hexagon
    assert grid(3, 2, 0.1).modes.tolist() == [[x, y] for x in (-2, 0, 2) for y in (-2, 0, 2)]
    assert grid(2, 3, 0.1).modes.tolist() == [[x, y] for x in (-1.5, 1.5) for y in (-1.5, 1.5)]

    distribution, n = ring(8, 1, 0.01), 80_000
    proportions = (
        torch.cdist(distribution.sample(n, stream(0, "test")).double(), distribution.modes)
        .argmin(-1)
        .bincount(minlength=8)
        / n
    )
    torch.testing.assert_close(proportions, torch.full((8,), 1 / 8), rtol=0, atol=4 * (7 / 64 / n) ** 0.5)


@pytest.mark.parametrize(
    "A, b, message",
    [
        ([[1, 2], [3]], [0, 0], "A must be k rows of d numbers each"),
        ([1, 2], [0, 0], "A must be k rows of d numbers each"),
        ([[[1]]], [0], "A must be k rows"),
        ([[]], [], "A must be k rows"),
        ("abc", [0], "A must be k rows"),
        (None, [0], "A must be k rows"),
        ([[1, float("nan")]], [0, 0], "A must be finite"),
        ([[1, 2]], [0, 0, 0], "b must have 2 numbers"),
        ([[1, 2]], [0, float("inf")], "b must be finite"),
        ([[1, 2]], 1.0, "b must be d numbers"),
    ],
)
def test_impossible_numbers_are_refused_by_name(A: object, b: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AffineGaussian(A, b)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make, arguments, message",
    [
        (random_gaussian, (0, 100, 0), r"dim must be a whole number of at least 1 \(got 0\)"),
        (random_gaussian, (2, 0.5, 0), r"condition_number must be at least 1 \(got 0.5\)"),
        (random_gaussian, (2, math.inf, 0), r"condition_number must be finite in float32 \(got inf\)"),
        (GaussianMixture, ([[0, 1], [2]], 1), "means must be m rows of d numbers each"),
        (GaussianMixture, ([[0, math.nan]], 1), "means must be finite"),
        (GaussianMixture, ([[0]], -1), r"std must be above 0 \(got -1\)"),
        (GaussianMixture, ([[0]], math.nan), r"std must be finite in float32 \(got nan\)"),
        (GaussianMixture, ([[0]], "wide"), r"std must be a number \(got wide\)"),
        (ring, (0, 1, 0.01), r"modes must be a whole number of at least 1 \(got 0\)"),
        (ring, (2.5, 1, 0.01), r"modes must be a whole number of at least 1 \(got 2.5\)"),
        (ring, (8, 0, 0.01), r"radius must be above 0 \(got 0\)"),
        (ring, (8, 1, 0), r"std must be above 0 \(got 0\)"),
        (grid, (-1, 2, 0.05), r"side must be a whole number of at least 1 \(got -1\)"),
        (grid, (5, -2, 0.05), r"spacing must be above 0 \(got -2\)"),
        (grid, (5, 2, -1), r"std must be above 0 \(got -1\)"),
        (Dirac, (0.0,), r"point must be d numbers \(got 0.0\)"),
        (Dirac, ([math.inf],), "point must be finite"),
        (AffineGaussian, ([[1e300]], [0]), "A must be finite in float32"),  # AᵀA is infinite even in float64
        (AffineGaussian, ([[True]], [0]), "A must be k rows of d numbers each"),
        (Dirac, ([True],), "point must be d numbers"),
    ],
)
def test_impossible_distributions_are_refused_by_name(make: type, arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(*arguments)
