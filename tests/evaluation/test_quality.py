"""All measures of a sample, with the baseline, for one run and for replicas."""

import math

import pytest
import torch
from torch import Tensor

from gaussgan.data.gaussian import sample_moments
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.evaluation.quality import Quality
from gaussgan.rng import normal, stream

NAMES = {
    "sliced_w2", "frechet", "energy", "precision", "recall", "density", "coverage", "memorisation", "memorisation_p",
}  # fmt: skip


def sample(purpose: str, *shape: int) -> Tensor:
    return normal(*shape, generator=stream(0, purpose))


def quality(*shape: int, samples: int = 2_500, is_inception: bool = False) -> Quality:
    train, held_out = sample("train", *shape, 800, 3), sample("held_out", *shape, 300, 3)
    return Quality(train, held_out, samples, stream(0, "quality"), is_inception)


def test_a_perfect_generator_is_near_the_baseline_but_does_not_copy() -> None:
    measure = quality()
    values, baseline = measure(sample("fake", 300, 3)), measure.baseline
    assert values.keys() == baseline.keys() == NAMES
    assert all(value.dtype == torch.float64 and value.shape == () for value in values.values())
    for name in NAMES - {"memorisation", "memorisation_p"}:
        assert 0.6 * baseline[name] < values[name] < 1.6 * baseline[name], name
    assert values["memorisation"].abs() < 2.5
    assert baseline["memorisation"] < -15
    assert baseline["memorisation_p"] < 1e-20


def test_distances_from_known_gaussians() -> None:
    """For real and generated examples of two Gaussians, frechet is their W₂ and sliced_w2 at most that over √d."""
    scale, shift = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 0.0, 1.0])
    train, held_out = sample("train", 100, 3), sample("held_out", 40_000, 3)
    fake = sample("fake", 5_000, 3) * scale + shift
    measure = Quality(held_out, held_out, 5_000, stream(0, "quality"))
    zero, one = torch.zeros(3), torch.eye(3)
    exact = gaussian_w2(zero, one, shift, scale.square().diag()).item()
    values = measure(fake)
    assert values["frechet"].item() == pytest.approx(exact, abs=0.06)
    assert values["sliced_w2"].item() == pytest.approx(exact / math.sqrt(3), rel=0.1)
    assert Quality(train, held_out, 5_000, stream(0, "quality")).n == 100


@pytest.mark.parametrize("own_data", [True, False])
def test_replicas_have_the_numbers_of_single_runs(own_data: bool) -> None:
    fake = torch.stack([sample("a", 200, 3), 2 * sample("b", 200, 3), torch.full((200, 3), torch.nan)])
    together = quality(*([3] if own_data else []), samples=200)
    values = together(fake)
    assert all(value.shape == (3,) for value in values.values())
    for i in range(3):
        real = together.real[i] if own_data else together.real
        alone = Quality(torch.ones(200, 3), real, 200, stream(0, "quality"))
        alone.real, alone.directions = real, together.directions
        alone.memorisation = [together.memorisation[i if own_data else 0]]
        expected = alone(fake[i])
        if not own_data:  # `alone` has the same real examples in another order
            expected |= {name: together(fake[i])[name] for name in NAMES}
        for name in NAMES:
            torch.testing.assert_close(values[name][i], expected[name], equal_nan=True, rtol=1e-9, atol=1e-12)
    assert values["frechet"][2].isnan()
    assert values["coverage"][2] == 0
    shape = (3,) if own_data else ()
    assert all(value.shape == shape for value in together.baseline.values())


def test_the_cells_of_a_replica_are_those_of_a_single_run() -> None:
    train, held_out, fake = (sample(name, 800, 3) for name in ("train", "held_out", "fake"))
    alone = Quality(train, held_out, 800, stream(0, "quality"))
    together = Quality(train.expand(3, -1, -1), held_out, 800, stream(0, "quality"))
    assert len(alone.memorisation[0].centres) == 4
    assert together(fake)["memorisation"].tolist() == [alone(fake)["memorisation"].item()] * 3


def test_the_number_of_examples_must_agree() -> None:
    measure = quality(samples=100)
    assert measure.n == 100
    with pytest.raises(ValueError, match="100 real examples are compared with as many generated ones, not 99"):
        measure(sample("fake", 99, 3))


def test_the_fid_is_only_there_for_features_of_inception() -> None:
    fake = sample("fake", 300, 3)
    values = quality(is_inception=True)(fake)
    assert values.keys() == NAMES | {"fid"}
    measure = quality(is_inception=True)
    (mean, cov), (other, other_cov) = sample_moments(measure.real), sample_moments(fake)
    expected = gaussian_w2(mean, cov * 300 / 299, other, other_cov * 300 / 299).square()
    torch.testing.assert_close(values["fid"], expected)


def test_the_same_generator_of_random_numbers_gives_the_same_measures() -> None:
    fake = sample("fake", 100, 3)
    assert quality(samples=100)(fake) == quality(samples=100)(fake)
