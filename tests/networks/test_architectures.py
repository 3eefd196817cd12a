"""Networks work with any leading dimension. Their initial parameters depend only on the random generator."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from torch.nn.functional import normalize
from torch.nn.utils.parametrizations import spectral_norm

from gaussgan.data.distributions import AffineGaussian
from gaussgan.data.gaussian import sample_moments
from gaussgan.networks import MLP, Linear, Location, Maxout, Quadratic, SpectralLinear
from gaussgan.rng import normal, stream

MAKERS: dict[str, Callable[[torch.Generator], nn.Module]] = {
    "linear": lambda rng: Linear(3, 2, std=0.5, rng=rng),
    "linear without bias": lambda rng: Linear(3, 2, std=0.5, rng=rng, bias=False),
    "location": lambda rng: Location(3, 2, std=0.5, rng=rng),
    "mlp": lambda rng: MLP(3, [5, 4], 2, std=0.5, rng=rng),
    "mlp of relus": lambda rng: MLP(3, [5, 4], 2, std=0.5, rng=rng, activation=nn.ReLU()),
    "mlp, spectral norm": lambda rng: MLP(3, [5, 4], 2, std=0.5, rng=rng, spectral_norm=True),
    "quadratic": lambda rng: Quadratic(3, std=0.5, rng=rng),
    "maxout": lambda rng: Maxout(3, [5, 4], 3, 2, std=0.5, rng=rng),
}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@makers
def test_leading_dimensions_and_dtypes(make: Callable[[torch.Generator], nn.Module]) -> None:
    module = make(stream(0, "init")).double().eval()
    x = normal(4, 6, 3, generator=stream(0, "x")).double()
    together = module(x)
    assert together.shape[:-1] == (4, 6)
    for i in range(4):
        torch.testing.assert_close(together[i], module(x[i]))


@makers
def test_initial_parameters_depend_only_on_the_random_generator(make: Callable[[torch.Generator], nn.Module]) -> None:
    torch.manual_seed(0)
    first = make(stream(0, "init")).state_dict()
    torch.manual_seed(1)
    second, other = make(stream(0, "init")).state_dict(), make(stream(1, "init")).state_dict()
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


@pytest.mark.parametrize("name", ["linear", "linear without bias", "location"])
def test_moments_agree_with_samples(name: str) -> None:
    module = MAKERS[name](stream(0, "init"))
    with torch.no_grad():
        x = module(normal(400_000, 3, generator=stream(0, "z")))
    for ours, theirs in zip(module.moments(), sample_moments(x), strict=True):  # type: ignore[operator]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0.01)


def test_initial_parameters_have_their_mean_and_std() -> None:
    weights = Linear(300, 300, std=0.02, rng=stream(0, "init"), mean=-1.0).weight
    assert weights.mean().item() == pytest.approx(-1, abs=5 * 0.02 / 300)
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert Location(1, 3, std=0.0, rng=stream(0, "init"), mean=1.5).location.tolist() == [1.5] * 3


def test_batch_norm_starts_with_gain_1() -> None:
    module = MLP(2, [400], 2, std=2.0, rng=stream(0, "init"), batch_norm=True)
    norm = module[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert (norm.weight == 1).all()
    assert (norm.bias == 0).all()
    hidden = norm(module[0](normal(100, 2, generator=stream(0, "z"))))
    torch.testing.assert_close(hidden.std(0, correction=0), torch.ones(400), rtol=0, atol=0.1)


def test_spectral_norm_makes_the_norm_of_the_map_one() -> None:
    layer = SpectralLinear(3, 8, std=5.0, rng=stream(0, "init"))
    assert torch.linalg.matrix_norm(layer.weight, 2) > 2
    with torch.no_grad():
        slope = layer(torch.eye(3)) - layer(torch.zeros(3, 3))
    assert torch.linalg.matrix_norm(slope, 2).item() == pytest.approx(1, abs=1e-3)


def test_spectral_norm_equals_torchs() -> None:
    ours, theirs = SpectralLinear(3, 8, std=5.0, rng=stream(0, "init")), spectral_norm(nn.Linear(3, 8))
    parametrization = theirs.parametrizations.weight  # type: ignore[union-attr]
    with torch.no_grad():
        for vector in (ours.u, ours.v):  # far from convergence, so that one step and two steps differ
            vector.copy_(normalize(normal(len(vector), generator=stream(0, "start")), dim=0))
        parametrization.original.copy_(ours.weight)  # type: ignore[union-attr]
        theirs.bias.copy_(ours.bias)
        parametrization[0]._u.copy_(ours.u)  # type: ignore[index]
        parametrization[0]._v.copy_(ours.v)  # type: ignore[index]
    x = normal(5, 3, generator=stream(0, "x"))
    for training in (True, True, False, False):
        ours.train(training)
        theirs.train(training)
        loss, expected = ours(x).square().sum(), theirs(x).square().sum()
        torch.testing.assert_close(loss, expected)
        gradients = torch.autograd.grad(loss, [ours.weight, ours.bias])
        torch.testing.assert_close(
            gradients,
            torch.autograd.grad(expected, [parametrization.original, theirs.bias]),  # type: ignore[list-item]
        )


def test_a_quadratic_can_be_the_log_ratio_of_gaussians() -> None:
    p = AffineGaussian([[1, 2], [-0.1, 0.5]], [1, 2])
    q = MultivariateNormal(torch.tensor([0.5, 1.0]).double(), torch.tensor([[2.0, 0.3], [0.3, 1.0]]).double())
    module = Quadratic(2, std=1.0, rng=stream(0, "init")).double()
    precisions, means = (p.cov.inverse(), q.precision_matrix), (p.mean, q.mean)

    def constant(precision: Tensor, mean: Tensor) -> Tensor:
        return (precision.logdet() - mean @ precision @ mean) / 2

    with torch.no_grad():
        module.quadratic.copy_((precisions[1] - precisions[0]) / 2)
        module.linear.copy_(precisions[0] @ means[0] - precisions[1] @ means[1])
        module.constant.fill_(constant(precisions[0], means[0]) - constant(precisions[1], means[1]))
    x = q.sample((50,))
    torch.testing.assert_close(module(x).squeeze(-1), p.log_prob(x) - q.log_prob(x))


def test_maxout_is_the_maximum_of_its_pieces() -> None:
    module = Maxout(2, [4], 3, 1, std=1.0, rng=stream(0, "init"))
    x = normal(7, 2, generator=stream(0, "x"))
    pieces = module.hidden[0](x)
    expected = torch.stack([pieces[:, 3 * i : 3 * i + 3].max(-1).values for i in range(4)], -1)
    torch.testing.assert_close(module(x), module.output(expected))


@pytest.mark.parametrize("widths", ["abc", [0], [2.5], [True, -1]])
def test_impossible_widths_are_refused(widths: object) -> None:
    rng = stream(0, "init")
    for make in (lambda: MLP(2, widths, 1, 0.02, rng), lambda: Maxout(2, widths, 2, 1, 0.02, rng)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="widths must be a list of whole numbers of at least 1"):
            make()
    with pytest.raises(ValueError, match=r"pieces must be a whole number of at least 1 \(got 0\)"):
        Maxout(2, [3], 0, 1, 0.02, rng)
