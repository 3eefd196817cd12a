"""Neighbours agree with prdc and scikit-learn, and at equal distributions with the closed forms of the papers."""

import math

import pytest
import torch
from prdc import compute_prdc
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from gaussgan.evaluation import pairwise
from gaussgan.evaluation.neighbours import Neighbourhoods
from gaussgan.evaluation.pairwise import nearest, squared_distances
from gaussgan.evaluation.two_sample import energy_test
from gaussgan.rng import normal, stream

NAMES = ("precision", "recall", "density", "coverage")


def sample(purpose: str, n: int, d: int, seed: int = 0) -> Tensor:
    return normal(n, d, generator=stream(seed, purpose))


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("d", [1, 2, 64])
def test_the_four_measures_agree_with_prdc(k: int, d: int) -> None:
    x, y = sample("x", 300, d), 0.7 * sample("y", 200, d) + 0.3
    theirs = compute_prdc(x.double().numpy(), y.double().numpy(), nearest_k=k)
    ours = Neighbourhoods(x, k_precision=k, k_density=k)(y)
    assert {name: ours[name].item() for name in NAMES} == pytest.approx({name: float(theirs[name]) for name in NAMES})


def test_chunks_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sample("x", 300, 3), sample("y", 200, 3)
    whole = Neighbourhoods(x)(y), nearest(x, y)
    monkeypatch.setattr(pairwise, "PAIRS", 7 * 300)
    assert len([*squared_distances(x, y)]) == 30
    torch.testing.assert_close((Neighbourhoods(x)(y), nearest(x, y)), whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("n", "m"), [(60, 40), (30, 80)])
def test_density_and_coverage_at_equal_distributions(n: int, m: int) -> None:
    """E density = 1, and E coverage is 1 minus the probability that the 5 nearest of a real example are all real."""
    runs = [Neighbourhoods(sample("x", n, 2, seed))(sample("y", m, 2, seed)) for seed in range(300)]
    coverage = 1 - math.prod((n - i) / (n + m - i) for i in range(1, 6))
    for name, expected in {"density": 1, "coverage": coverage}.items():
        values = torch.stack([run[name] for run in runs])
        assert values.mean().item() == pytest.approx(expected, abs=4 * values.std().item() / math.sqrt(300))
        assert values.std().item() / math.sqrt(300) < 0.03


def test_precision_and_recall_see_what_they_are_named_for() -> None:
    modes = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    x = sample("x", 400, 2) + modes[torch.arange(400) % 2]
    one_mode, wide = Neighbourhoods(x)(sample("y", 200, 2)), Neighbourhoods(x)(100 * sample("y", 200, 2))
    assert one_mode["precision"] > 0.9 > 0.5 >= one_mode["recall"]
    assert one_mode["coverage"] <= 0.5
    assert wide["precision"] < 0.1
    swapped = Neighbourhoods(sample("y", 200, 2))(x)
    assert swapped["precision"] == one_mode["recall"]
    assert swapped["recall"] == one_mode["precision"]


def test_the_energy_is_that_of_the_test_and_of_a_sum_by_hand() -> None:
    x, y = sample("x", 150, 3), 1.5 * sample("y", 150, 3) + 0.2
    assert Neighbourhoods(x)(y)["energy"].item() == pytest.approx(energy_test(x, y, 1, stream(0, "p"))[0], rel=1e-5)
    few = y[:70].double()
    by_hand = 2 * cdist(x, few).mean() - cdist(x, x).mean() - cdist(few, few).mean()
    assert Neighbourhoods(x)(y[:70])["energy"].item() == pytest.approx(by_hand)
    assert Neighbourhoods(x)(x)["energy"] < 1e-7


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_ties_and_repeated_rows_are_inside(offset: float) -> None:
    """On a lattice, most distances tie. A sample and itself have precision, recall and coverage 1."""
    lattice = sample("x", 400, 2).round().double()
    x = (lattice * 0.1 + offset).float()
    values = Neighbourhoods(x)(x)
    assert [values[name].item() for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    squared = (lattice.unsqueeze(0) - lattice.unsqueeze(1)).square().sum(-1)
    radii = squared.clone().fill_diagonal_(torch.inf).sort(-1).values[:, 4]
    assert values["density"].item() == (squared <= radii.unsqueeze(-1)).sum() / (5 * 400)
    same = torch.ones(10, 3)  # all radii are 0
    assert [Neighbourhoods(same)(same)[name].item() for name in NAMES] == [1, 1, 2, 1]
    assert [Neighbourhoods(same)(same + 1e-6)[name].item() for name in NAMES] == [0, 0, 0, 0]


def test_examples_that_are_not_finite_are_far_away() -> None:
    x, y = sample("x", 100, 2), sample("y", 100, 2)
    y[3, 1], y[50] = torch.nan, torch.inf
    bad = torch.tensor([3, 50])
    values, good = Neighbourhoods(x)(y), Neighbourhoods(x)(y[[i for i in range(100) if i not in bad]])
    assert values["energy"].isnan()
    assert values["precision"].item() == pytest.approx(good["precision"].item() * 0.98)
    assert values["density"].item() == pytest.approx(good["density"].item() * 0.98)
    assert values["coverage"] == good["coverage"]
    assert values["recall"] == good["recall"]
    few = torch.full_like(y, torch.nan)
    few[:3] = x[:3]  # the third nearest of each is infinitely far, but its ball does not hold everything
    assert Neighbourhoods(x)(few)["recall"] == 0
    assert [Neighbourhoods(x)(torch.full_like(y, torch.nan))[name].item() for name in NAMES] == [0, 0, 0, 0]
    far = Neighbourhoods(x)(1e30 * y[:3].repeat(40, 1).nan_to_num(1.0))
    assert far["energy"].isfinite()
    assert far["precision"] == 0


def test_too_few_examples() -> None:
    with pytest.raises(ValueError, match="5 nearest neighbours need at least 6 real examples, not 5"):
        Neighbourhoods(sample("x", 5, 2))
    with pytest.raises(ValueError, match="3 nearest neighbours need at least 4 generated examples, not 3"):
        Neighbourhoods(sample("x", 6, 2))(sample("y", 3, 2))


@pytest.mark.parametrize("d", [1, 2, 30])
def test_nearest_agrees_with_scikit_learn(d: int) -> None:
    x, rows = sample("x", 200, d), sample("rows", 500, d) + 0.1
    theirs, index = NearestNeighbors(n_neighbors=1).fit(rows.double().numpy()).kneighbors(x.double().numpy())
    distance, ours = nearest(x, rows)
    assert ours.tolist() == index[:, 0].tolist()
    assert distance.numpy() == pytest.approx(theirs[:, 0], rel=1e-9)


def test_the_distance_from_an_equal_row_is_zero_also_far_from_the_origin() -> None:
    rows = sample("rows", 500, 100) + 1000
    assert (nearest(rows[::7], rows)[0] == 0).all()
    assert nearest(torch.tensor([[torch.nan] * 100]), rows)[0].isinf()
