"""Distances on samples agree with POT, with theory and with counts by hand."""

import math

import ot
import pytest
import torch

from gaussgan.data.distributions import grid, ring
from gaussgan.evaluation.samples import mode_metrics, sliced_w2
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
