"""Distances on samples agree with POT, with theory and with counts by hand."""

import math

import numpy as np
import ot
import pytest
import scipy.linalg
import torch

from gaussgan.data.distributions import grid, ring
from gaussgan.evaluation.samples import fid, frechet, mode_metrics, sliced_w2
from gaussgan.rng import normal, stream


def unit_vectors(k: int, d: int) -> torch.Tensor:
    directions = normal(k, d, generator=stream(0, "directions")).double()
    return directions / directions.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_sliced_w2_agrees_with_pot(d: int) -> None:
    x, y = (normal(300, d, generator=stream(0, name)).double() for name in "xy")
    directions = unit_vectors(64, d)
    theirs = ot.sliced_wasserstein_distance(x.numpy(), 2 * y.numpy() + 1, projections=directions.numpy().T)
    assert sliced_w2(x, 2 * y + 1, directions).item() == pytest.approx(float(theirs), rel=1e-9)


def test_sliced_w2_of_a_shift_is_its_mean_projection() -> None:
    """W₂ of θ·x and θ·(x + c) is |θ·c| for every direction. So SW₂² is the mean of the squares: |c|²/d."""
    x, shift = normal(100, 2, generator=stream(0, "x")).double(), torch.tensor([3.0, 4.0])
    angles = torch.arange(0, 360).double().deg2rad()
    directions = torch.stack([angles.cos(), angles.sin()], -1)
    assert sliced_w2(x, x + shift, directions).item() == pytest.approx(5 / math.sqrt(2))
    both = sliced_w2(torch.stack([x, x]), torch.stack([x + shift, x]), directions)
    torch.testing.assert_close(both, torch.tensor([5 / math.sqrt(2), 0.0]).double())
    assert sliced_w2(x.index_fill(0, torch.tensor([0]), torch.nan), x, directions).isnan()


def test_a_perfect_sampler() -> None:
    """In the plane, a proportion of 1 − e^{−9/2} is within three standard deviations."""
    n = 200_000
    for distribution in (ring(8, 1, 0.01), grid(5, 2, 0.05)):
        values = mode_metrics(distribution.sample(n, stream(0, "test")), distribution.modes, distribution.std)
        assert values["val/modes"] == len(distribution.modes)
        p = 1 - math.exp(-4.5)
        assert p == pytest.approx(0.98889, abs=1e-5)
        assert values["val/high_quality"].item() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / n))
        # 2 n KL is asymptotically χ² with m − 1 degrees of freedom.
        assert values["val/reverse_kl"] < 3 * (len(distribution.modes) - 1) / (2 * n)


def test_counting_by_hand() -> None:
    modes = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    x = torch.tensor([[0.0, 0.1], [0.2, 0.0], [0.0, 0.4], [9.9, 0.0]])  # 0.4 is four standard deviations away
    values = mode_metrics(x, modes, std=0.1)
    assert values["val/modes"] == 2
    assert values["val/high_quality"] == 0.75
    expected = 0.75 * math.log(4 * 0.75) + 0.25 * math.log(4 * 0.25)
    assert values["val/reverse_kl"].item() == pytest.approx(expected)
    batched = mode_metrics(torch.stack([x, x + 10]), modes, std=0.1)
    assert batched["val/modes"].tolist() == [2, 1]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_samples_that_are_not_finite(bad: float) -> None:
    distribution = ring(8, 1, 0.01)
    values = mode_metrics(torch.full((10, 2), bad), distribution.modes, distribution.std)
    assert (values["val/modes"], values["val/high_quality"]) == (0, 0)
    assert values["val/reverse_kl"].isnan()


def test_the_frechet_distance_of_a_shift_is_its_length() -> None:
    x, shift = normal(500, 2, generator=stream(0, "x")), torch.tensor([3.0, 4.0])
    torch.testing.assert_close(frechet(x, torch.stack([x + shift, x + 2 * shift])), torch.tensor([5.0, 10.0]).double())
    assert frechet(x, x.index_fill(0, torch.tensor([0]), torch.inf)).isnan()


@pytest.mark.parametrize(("n", "m"), [(400, 400), (300, 1200)])
def test_the_bias_of_the_frechet_distance(n: int, m: int) -> None:
    values = torch.tensor([0.5, 1.0, 1.0, 4.0])
    x, y = (normal(400, k, 4, generator=stream(0, name)) * values.sqrt() for k, name in ((n, "x"), (m, "y")))
    pairs = (values.unsqueeze(-1) * values / (values.unsqueeze(-1) + values)).sum()
    expected = (1 / n + 1 / m) * (1.25 * values.sum() + pairs / 2)
    squares = frechet(x, y).square()
    error = squares.std().item() / math.sqrt(400)
    assert squares.mean().item() == pytest.approx(expected.item(), abs=4 * error)
    assert error < 0.05 * expected


def test_the_fid_agrees_with_the_formula_of_other_software() -> None:
    """‖m_p − m_q‖² + tr(C_p + C_q − 2 (C_p C_q)^½), with covariances divided by n − 1."""
    x, y = normal(60, 5, generator=stream(0, "x")).double(), 2 * normal(40, 5, generator=stream(0, "y")).double() + 1
    p, q = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    theirs = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(p + q - 2 * scipy.linalg.sqrtm(p @ q).real)
    assert fid(x, y).item() == pytest.approx(float(theirs))
