"""The test of copying agrees with SciPy and has its level and its power."""

import math

import pytest
import torch
from scipy.stats import kstest, mannwhitneyu, norm
from sklearn.cluster import KMeans
from torch import Tensor

from gaussgan.data.distributions import ring
from gaussgan.evaluation import memorisation
from gaussgan.evaluation.memorisation import Copying, Memorisation, k_means, mann_whitney
from gaussgan.rng import normal, stream


def sample(purpose: str, n: int, d: int = 2, seed: int = 0) -> Tensor:
    return normal(n, d, generator=stream(seed, purpose))


def replay(train: Tensor, n: int, seed: int = 0) -> Tensor:
    return train[torch.randint(len(train), (n,), generator=stream(seed, "replay"))]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "m"), [(30, 50), (200, 7)])
def test_the_score_agrees_with_scipy(ties: bool, n: int, m: int) -> None:
    x, y = sample("x", n, 1)[:, 0].double(), sample("y", m, 1)[:, 0].double() + 0.3
    if ties:
        x, y = x.round(), y.round()
    theirs = mannwhitneyu(x, y, use_continuity=False, method="asymptotic", alternative="less").pvalue
    assert norm.cdf(mann_whitney(x, y)) == pytest.approx(theirs)
    assert mann_whitney(x, y) == pytest.approx(-mann_whitney(y, x))
    assert mann_whitney(torch.zeros(5), torch.zeros(3)) == 0


def test_the_cells_are_those_of_scikit_learn() -> None:
    rows = ring(3, 1, 0.2).sample(300, stream(0, "rows")).sort(0).values  # the first rows are in one cluster
    theirs = KMeans(3, init=rows[:3].double().numpy(), n_init=1, max_iter=20, tol=0).fit(rows.double().numpy())
    assert k_means(rows, 3).numpy() == pytest.approx(theirs.cluster_centers_)
    repeated = k_means(torch.ones(10, 2), 3)  # empty cells keep their centres
    assert (repeated == 1).all()


def test_several_cells_by_hand() -> None:
    """Two distant clusters are the two cells. In the second, the third part of held-out examples is compared."""
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0]])

    def clusters(purpose: str, n: int, m: int) -> list[Tensor]:
        return [sample(purpose, n), sample(f"{purpose}2", m) + centres[1]]

    train, held_out, fake = clusters("t", 100, 50), clusters("h", 60, 30), clusters("f", 40, 25)
    test = Memorisation(torch.cat(train), torch.cat(held_out), stream(0, "cells"), cells=2)
    result = test(torch.cat(fake))
    first, second = (
        mann_whitney(torch.cdist(f.double(), t.double()).amin(1), torch.cdist(h.double(), t.double()).amin(1))
        for t, h, f in zip(train, held_out, fake, strict=True)
    )
    assert result.c_t.item() == pytest.approx((60 * first + 30 * second) / 90)
    assert result.z.item() == pytest.approx((60 * first + 30 * second) / math.hypot(60, 30))
    assert result.p.item() == pytest.approx(norm.cdf(result.z.item()))
    assert test(torch.cat([fake[0], fake[1][:19]])).z.item() == pytest.approx(first)  # 19 are too few for a cell


def test_with_cells_copies_do_not_hide_where_training_examples_are_sparse() -> None:
    def clusters(purpose: str, dense: int, sparse: int) -> Tensor:
        return torch.cat([0.01 * sample(purpose, dense), sample(f"{purpose}2", sparse) + 50])

    train, held_out = clusters("t", 400, 400), clusters("h", 200, 200)
    noise = torch.tensor([0.0003, 0.03]).repeat_interleave(torch.tensor([40, 360])).unsqueeze(-1)
    near_copies = torch.cat([replay(train[:400], 40), replay(train[400:], 360)]) + noise * sample("noise", 400)
    one, two = (Memorisation(train, held_out, stream(0, "cells"), cells)(near_copies) for cells in (1, 2))
    assert one.z > 0
    assert two.p < 1e-6


def flagged(seeds: int, n: int, d: int) -> tuple[list[float], int]:
    """Return the p-values of the true distribution, and how many seeds flag a generator that replays its examples."""
    results: list[tuple[Copying, Copying]] = []
    for seed in range(seeds):
        train = sample("train", 4 * n, d, seed)
        test = Memorisation(train, sample("held_out", n, d, seed), stream(seed, "cells"))
        results.append((test(sample("fake", n, d, seed)), test(replay(train, n, seed))))
    return [true.p.item() for true, _ in results], sum(copy.p.item() <= 0.05 for _, copy in results)


@pytest.mark.parametrize(("n", "d"), [(20, 2), (100, 2), (450, 10)])
def test_level_and_power(n: int, d: int) -> None:
    p, copies = flagged(100, n, d)
    assert copies == 100
    assert kstest(p, "uniform").pvalue > 0.01
    # 5 are expected; with probability 0.996 at most 11.
    assert sum(each <= 0.05 for each in p) <= 11


def test_repeated_rows_do_not_spoil_the_level() -> None:
    """On a lattice most held-out examples equal a training example."""
    p = []
    for seed in range(200):
        train, held_out, fake = (sample(name, n, 2, seed).round() for name, n in (("t", 300), ("h", 100), ("f", 100)))
        p.append(Memorisation(train, held_out, stream(seed, "cells"))(fake).p.item())
    assert sum(each <= 0.05 for each in p) <= 18  # 10 are expected; with probability 0.993 at most 18
    assert sum(each <= 0.5 for each in p) == pytest.approx(100, abs=30)


def test_part_of_a_large_training_set_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many training examples, fewer examples are tested, but against all training examples."""
    monkeypatch.setattr(memorisation, "PAIRS", 100)
    train = ring(8, 1, 0.01).sample(5000, stream(0, "train"))
    test = Memorisation(train, ring(8, 1, 0.01).sample(1000, stream(0, "held_out")), stream(0, "cells"))
    assert len(test.distances) == memorisation.QUERIES
    assert test(train[-300:]).z == test(train[-300:-100]).z < -15


def test_examples_that_are_not_finite_are_left_out() -> None:
    train = sample("t", 300)
    test = Memorisation(train, sample("h", 100), stream(0, "cells"))
    copies = replay(train, 100)
    half = copies.clone()
    half[::2] = torch.nan
    assert test(half).z == test(copies[1::2]).z < -8
    nothing = test(torch.full((100, 2), torch.inf))
    assert all(value.isnan() for value in nothing)
