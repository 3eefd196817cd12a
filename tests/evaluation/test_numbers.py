"""Measures are correct at the limits of precision, and distributions that float32 cannot hold are refused."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from gaussgan.callbacks.evaluation import evaluation_of
from gaussgan.data.distributions import AffineGaussian, Dirac, GaussianMixture, has_density, random_gaussian, ring
from gaussgan.data.gaussian import gaussian_log_prob, is_singular, sample_moments
from gaussgan.evaluation.baseline import mle_w2
from gaussgan.evaluation.chunked import evaluator_of
from gaussgan.evaluation.evaluator import Evaluator
from gaussgan.evaluation.gaussian import gaussian_kl, gaussian_w2
from gaussgan.networks import Linear
from gaussgan.networks.moments import gaussian_density
from gaussgan.rng import normal, stream
from gaussgan.runs.table import measures
from gaussgan.setup.assemble import assemble

Compose = Callable[..., DictConfig]
DIMENSIONS = (2, 3, 5, 10, 20)


def draw(*shape: int, of: str = "test") -> Tensor:
    return normal(*shape, generator=stream(0, of, sum(shape)))


def covariance(weight: Tensor) -> Tensor:
    return weight.double() @ weight.double().mT


@pytest.mark.parametrize("d", DIMENSIONS)
def test_kl_is_infinite_only_if_the_rank_is_too_low(d: int) -> None:
    mean, whole = torch.zeros(d).double(), covariance(draw(50, d, d, of="p"))
    scales = 10 ** draw(50, d, 1, of="scales").mul(4)
    for rank in range(1, d + 1):
        for weight in (draw(50, d, rank), draw(50, d, rank) * scales):
            singular = is_singular(covariance(weight))
            assert (singular == (rank < d)).all()
            for kl in (
                gaussian_kl(mean, whole, mean, covariance(weight)),
                gaussian_kl(mean, covariance(weight), mean, whole),
            ):
                assert (kl.isinf() == singular).all()


@pytest.mark.parametrize("d", DIMENSIONS)
def test_kl_does_not_depend_on_coordinates(d: int) -> None:
    p, q, turn = (draw(50, d, 2 * d, of=name) for name in "pqt")
    mean_p, mean_q = p[..., :1].double(), q[..., :1].double()
    cov_p, cov_q, turn = covariance(p), covariance(q), covariance(turn)
    expected = gaussian_kl(mean_p.squeeze(-1), cov_p, mean_q.squeeze(-1), cov_q)
    for change in (turn, torch.diag_embed(10 ** draw(50, d).double().mul(6))):
        moments = [((change @ m).squeeze(-1), change @ c @ change.mT) for m, c in ((mean_p, cov_p), (mean_q, cov_q))]
        torch.testing.assert_close(gaussian_kl(*moments[0], *moments[1]), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "cov",
    [
        [[1.0, 0.0], [0.0, 1e-12]],
        [[1e-16, 0.0], [0.0, 4e-16]],
        [[1e30, 0.0], [0.0, 1e-30]],
        [[1.0, 1 - 1e-10], [1 - 1e-10, 1.0]],
    ],
)
def test_a_narrow_covariance_is_not_singular(cov: list[list[float]]) -> None:
    mean, q = torch.zeros(2).double(), torch.tensor(cov, dtype=torch.float64)
    assert not is_singular(q)
    assert gaussian_kl(mean, torch.eye(2).double(), mean, q).isfinite()
    assert gaussian_log_prob(torch.zeros(1, 2), mean, q).isfinite().all()


def test_one_singular_replica_does_not_change_the_kl_of_the_others() -> None:
    weight = draw(4, 3, 3)
    weight[1, 2] = weight[1, 0] + weight[1, 1]
    weight[2] *= 1e-8
    mean = torch.zeros(3).double()
    kl = gaussian_kl(mean, torch.eye(3).double(), mean, covariance(weight))
    assert kl.isinf().tolist() == [False, True, False, False]


def test_a_generator_with_too_few_latents_has_infinite_kl(compose: Compose) -> None:
    few = ("data=random_gaussian", "data.distribution.dim=5", "generator.in_features=4")
    for replicas in (1, 2):
        gan, data, _ = assemble(compose(*few, f"replicas={replicas}"))
        values = evaluator_of(data).distances(gan.generator)
        assert (values["val/kl"] == torch.inf).all()
        assert values["val/w2"].isfinite().all()
        js = evaluator_of(data).optimality(gan.generator, gan.discriminator, True)["val/js"]
        torch.testing.assert_close(js, torch.full_like(js, math.log(2)))
    assert gaussian_density(assemble(compose(*few))[0].generator) is None


def test_the_table_shows_infinite_and_small_numbers() -> None:
    values = {"val/w2": 3e-5, "val/kl": None, "val/js": 0.7, "val/logit_error": None, "mle/w2": 0.1}  # as recorded
    record: dict[str, Any] = {**values, "val/distance": 8.5e-17}
    rows = {name: value for name, value, _ in measures(record, AffineGaussian([[1.0]], [0.0]), exact=True)}
    assert rows["KL(true ‖ learned), nats"] == rows["error of D's logit"] == "infinite"
    assert rows["w2 to the true distribution"] == "3e-05"
    assert rows["distance from equilibrium"] == "8.5e-17"
    assert not any("KL" in name for name, *_ in measures(record, Dirac([0.0]), exact=True))


def test_the_test_of_memorisation_has_no_baseline_in_the_table() -> None:
    values = {"val/coverage": 0.9, "baseline/val/coverage": 0.95, "val/memorisation": 0.1, "val/memorisation_p": 0.54}
    rows = {name: best for name, _, best in measures(values, ring(8, 1, 0.01), exact=False)}
    assert rows == {"coverage": "0.9500", "memorisation z (low: too close)": "", "memorisation p": ""}


@pytest.mark.parametrize("shift", [0.0, 1e3])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_rank_of_a_generator_is_found_from_its_samples(shift: float, rank: int) -> None:
    distribution = AffineGaussian(torch.eye(3), [0, 0, 0])
    rng = stream(0, "init")
    generator = nn.Sequential(Linear(3, rank, 1.0, rng), nn.Tanh(), Linear(rank, 3, 1.0, rng, mean=0.0))
    with torch.no_grad():
        generator[-1].bias += shift
    kl = Evaluator(distribution, 3, seed=0).distances(generator)["val/kl"]
    assert kl.isinf() == (rank < 3)


def test_w2_of_equal_distributions_is_below_its_resolution() -> None:
    for d in DIMENSIONS:
        weight, mean = draw(100, d, d).double(), draw(100, d, of="mean").double()
        turn = torch.linalg.qr(draw(d, d, of="turn").double()).Q
        spread = covariance(weight).diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()
        w2 = gaussian_w2(mean, covariance(weight), mean, covariance(weight @ turn))
        assert (w2 < 3e-7 * spread).all()
        for change in (1e-5, 1e-4):
            w2 = gaussian_w2(mean, covariance(weight), mean, covariance(weight * (1 + change)))
            torch.testing.assert_close(w2, change * spread, rtol=1e-3, atol=0)


TEXTBOOK = [[1, 2], [-0.1, 0.5]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: AffineGaussian(TEXTBOOK, [1e8, 2]),
        lambda: AffineGaussian(TEXTBOOK, [2, -1e5]),
        lambda: AffineGaussian([[1, 2]], [1e8, 2]),  # one direction, which float32 rounds too much
        lambda: AffineGaussian([[1, 0]], [1e8, 0]),
        lambda: AffineGaussian([[1, 0], [0, 1e-42]], [0, 0]),  # 1e-42 is 0 in float32
        lambda: AffineGaussian([[1, 1], [1, 1 + 1e-6]], [0, 0]),  # A itself is rounded, too
        lambda: AffineGaussian([[1e38]], [0]),
        lambda: AffineGaussian([[1e36]], [3.4e38]),
        lambda: random_gaussian(2, 1e14, 0),
        lambda: ring(8, 1e6, 0.01),
        lambda: GaussianMixture([[0, 0], [0, 1e8]], 1.0),
        lambda: GaussianMixture([[0, 0]], 1e-40),
    ],
)
def test_a_distribution_that_float32_cannot_hold_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="float32") as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "distribution",
    [
        AffineGaussian(TEXTBOOK, [1e4, 2]),
        AffineGaussian([[1, 2]], [1, 2]),
        AffineGaussian([[1, 0]], [1, 1e8]),
        AffineGaussian([[1, 0], [0, 1e-9]], [0, 0]),
        AffineGaussian([[1e15, 0], [0, 1e-15]], [1e15, 0]),
        AffineGaussian([[0, 0]], [1e8, 2]),
        random_gaussian(2, 1e8, 0),
        random_gaussian(50, 1e4, 0),
    ],
    ids=str,
)
def test_samples_of_other_distributions_have_their_moments(distribution: AffineGaussian) -> None:
    n = 200_000
    mean, cov = sample_moments(distribution.sample(n, stream(0, "test")))
    unit = distribution.cov.diagonal().sqrt().clamp(min=1e-300)
    torch.testing.assert_close((mean - distribution.mean) / unit, torch.zeros_like(mean), rtol=0, atol=0.02)
    if has_density(distribution):
        scale = torch.linalg.cholesky(distribution.cov / unit / unit.unsqueeze(-1))
        white = torch.linalg.solve_triangular(scale, cov / unit / unit.unsqueeze(-1), upper=False)
        white = torch.linalg.solve_triangular(scale, white.mT, upper=False)
        torch.testing.assert_close(white, torch.eye(distribution.dim).double(), rtol=0, atol=0.03)


@pytest.mark.parametrize("objective, probability", [("nonsaturating", True), ("wasserstein", False), ("hinge", False)])
def test_the_verdict_of_a_critic_is_logged_unchanged(compose: Compose, objective: str, probability: bool) -> None:
    short = ("data.num_examples=16", "trainer.max_epochs=1", "trainer.max_steps=1", "~callbacks.pictures")
    gan, data, trainer = assemble(compose(f"objective={objective}", *short, "discriminator.std=1"))
    logits = gan.discriminator(data.draw(0).real[:8])  # of the first step, before any update
    expected = logits.sigmoid().mean() if probability else logits.mean()
    trainer.fit(gan, data)
    assert evaluation_of(trainer).history[-1]["train/d_real"] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("num_examples, dim", [(1, 2), (2, 5), (60, 50)])
def test_the_baseline_of_few_examples_is_a_number(compose: Compose, num_examples: int, dim: int) -> None:
    distribution = ("data=random_gaussian", f"data.distribution.dim={dim}", f"generator.in_features={dim}")
    _, data, _ = assemble(compose(*distribution, f"data.num_examples={num_examples}", "data.batch_size=1"))
    mle = mle_w2(data, 1)
    assert mle is not None
    assert 0 < mle < 5


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_numbers_of_any_scale_are_finite(compose: Compose, scale: float) -> None:
    distribution = (f"data.distribution.A=[[{scale},0],[0,{scale}]]", "data.distribution.b=[0,0]")
    gan, data, _ = assemble(compose(*distribution))
    values = evaluator_of(data).distances(gan.generator)
    values |= evaluator_of(data).optimality(gan.generator, gan.discriminator, True)
    assert all(value.isfinite() for value in values.values())
