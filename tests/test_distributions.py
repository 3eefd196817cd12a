import pytest
import torch
from scipy.stats import multivariate_normal

from gaussgan.distributions import AffineGaussian
from gaussgan.metrics import sample_moments
from gaussgan.streams import stream

LAWS = {
    "textbook": ([[1, 2], [-0.1, 0.5]], [1, 2]),
    "line": ([[2.0]], [-1.0]),
    "three dimensions": ([[1, 0, 0.5], [0, 2, 0], [0.3, 0, 1]], [0, 1, 2]),
    "latents wider than data": ([[1, 0], [0, 1], [0.5, -1]], [0, 0]),
}
laws = pytest.mark.parametrize("law", [AffineGaussian(*args) for args in LAWS.values()], ids=LAWS)


@laws
def test_density_is_that_of_scipy_and_integrates_to_one(law: AffineGaussian) -> None:
    x = law.sample(1000, stream(0, "test")).double()
    theirs = multivariate_normal(law.mean.numpy(), law.cov.numpy()).logpdf(x.numpy())
    torch.testing.assert_close(law.log_prob(x), torch.as_tensor(theirs).reshape(-1), rtol=1e-9, atol=1e-9)

    wide = torch.distributions.MultivariateNormal(law.mean, 1.5 * law.cov)
    proposals = wide.sample((100_000,))
    weights = (law.log_prob(proposals) - wide.log_prob(proposals)).exp()
    assert weights.mean().item() == pytest.approx(1, abs=5 * weights.std().item() / 100_000**0.5)


@laws
def test_sample_moments_are_the_laws(law: AffineGaussian) -> None:
    n = 400_000
    mean, cov = sample_moments(law.sample(n, stream(0, "test")))
    error = 5 * (law.cov.diagonal().max() / n**0.5).item()
    torch.testing.assert_close(mean, law.mean, rtol=0, atol=5 * (law.cov.diagonal().max() / n).sqrt().item())
    torch.testing.assert_close(cov, law.cov, rtol=0, atol=2 * error)


def test_textbook_covariance() -> None:
    law = AffineGaussian(*LAWS["textbook"])
    torch.testing.assert_close(law.cov, torch.tensor([[1.01, 1.95], [1.95, 4.25]], dtype=torch.float64))


@pytest.mark.parametrize(
    "A, b, message",
    [
        ([[1, 2], [3]], [0, 0], "A must be k rows of d numbers each"),
        ([1, 2], [0, 0], "A must be k rows of d numbers each"),
        ([[[1]]], [0], "A must be k rows"),
        ([[]], [], "A must be k rows"),
        ("abc", [0], "A must be k rows"),
        ([[1, float("nan")]], [0, 0], "A must be finite"),
        ([[1, 2]], [0, 0, 0], "b must have 2 numbers"),
        ([[1, 2]], [0, float("inf")], "b must be finite"),
        ([[1, 2]], 1.0, "b must be d numbers"),
    ],
)
def test_impossible_numbers_are_refused_by_name(A: object, b: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AffineGaussian(A, b)  # type: ignore[arg-type]
