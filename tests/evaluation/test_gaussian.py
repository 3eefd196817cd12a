import ot
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from gaussgan.data.distributions import AffineGaussian
from gaussgan.evaluation.gaussian import gaussian_kl, gaussian_w2
from gaussgan.rng import normal, stream


def gaussians(d: int, n: int, purpose: str) -> tuple[Tensor, Tensor]:
    rng = stream(0, purpose, d)
    factor = normal(n, d + 1, d, generator=rng).double()
    return normal(n, d, generator=rng).double(), factor.mT @ factor


@pytest.mark.parametrize("d", [1, 2, 5])
def test_w2_agrees_with_pot(d: int) -> None:
    p, q = gaussians(d, 20, "p"), gaussians(d, 20, "q")
    theirs = [
        float(ot.gaussian.bures_wasserstein_distance(*(x.numpy() for x in (p[0][i], q[0][i], p[1][i], q[1][i]))))
        for i in range(20)
    ]
    torch.testing.assert_close(gaussian_w2(*p, *q), torch.tensor(theirs, dtype=torch.float64), rtol=1e-9, atol=0)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_kl_agrees_with_torch(d: int) -> None:
    p, q = gaussians(d, 20, "p"), gaussians(d, 20, "q")
    theirs = kl_divergence(MultivariateNormal(*p), MultivariateNormal(*q))
    torch.testing.assert_close(gaussian_kl(*p, *q), theirs, rtol=1e-9, atol=0)


def test_w2_agrees_with_optimal_transport_between_samples() -> None:
    p, q = AffineGaussian([[1, 2], [-0.1, 0.5]], [1, 2]), AffineGaussian([[1, 0], [0.5, 1]], [-2, 1])
    n = 1500
    x, y = (
        distribution.sample(n, stream(0, purpose)).double().numpy() for distribution, purpose in ((p, "p"), (q, "q"))
    )
    sampled = ot.emd2([], [], ot.dist(x, y)) ** 0.5
    assert gaussian_w2(p.mean, p.cov, q.mean, q.cov).item() == pytest.approx(sampled, rel=0.05)


def test_kl_agrees_with_its_mean_over_samples() -> None:
    p, q = AffineGaussian([[1, 2], [-0.1, 0.5]], [1, 2]), AffineGaussian([[1, 1.8], [0.2, 0.7]], [1.2, 1.9])
    x = p.sample(200_000, stream(0, "p"))
    ratio = p.log_prob(x) - q.log_prob(x)
    exact = gaussian_kl(p.mean, p.cov, q.mean, q.cov).item()
    assert exact == pytest.approx(ratio.mean().item(), abs=5 * ratio.std().item() / 200_000**0.5)


def test_both_vanish_only_at_equality() -> None:
    mean, cov = gaussians(3, 4, "p")
    torch.testing.assert_close(gaussian_w2(mean, cov, mean, cov), torch.zeros(4).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(gaussian_kl(mean, cov, mean, cov), torch.zeros(4).double(), rtol=0, atol=1e-9)
    assert (gaussian_w2(mean, cov, mean + 0.1, cov) > 0.1).all()
    assert (gaussian_kl(mean, cov, mean + 0.1, cov) > 0).all()


def test_singular_distributions() -> None:
    mean, point, disc = torch.zeros(2), torch.zeros(2, 2), torch.eye(2)
    assert gaussian_w2(mean, disc, mean, point).item() == pytest.approx(2**0.5)
    assert gaussian_kl(mean, disc, mean, point).item() == torch.inf
    assert gaussian_kl(mean, point, mean, disc).item() == torch.inf


def test_a_diverged_replica_is_nan_and_does_not_change_the_others() -> None:
    (mean, cov), (other_mean, other_cov) = gaussians(2, 3, "p"), gaussians(2, 3, "q")
    for distance in (gaussian_w2, gaussian_kl):
        whole = distance(mean, cov, other_mean, other_cov)
        for spoilt_mean, spoilt_cov in ((torch.nan, 1.0), (0.0, torch.inf)):
            m, c = mean.clone(), cov.clone()
            m[1] += spoilt_mean
            c[1] *= spoilt_cov
            values = distance(m, c, other_mean, other_cov)
            assert values[1].isnan()
            torch.testing.assert_close(values[[0, 2]], whole[[0, 2]], rtol=1e-9, atol=1e-9)
