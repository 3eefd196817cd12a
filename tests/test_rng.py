import numpy as np
import pytest
import torch
from scipy import stats

from gaussgan.rng import normal, stream, uniform


def test_a_stream_is_a_function_of_seed_purpose_and_epoch() -> None:
    """Also for seeds, purposes and epochs that are close to each other, or that give the same text without "/"."""
    keys = [*((seed, "data", epoch) for seed in range(4) for epoch in range(4)), (1, "latent", 0), (11, "data", 0)]
    draws = torch.stack([normal(50_000, generator=stream(*key)) for key in keys])
    assert torch.equal(draws, torch.stack([normal(50_000, generator=stream(*key)) for key in keys]))
    correlations = torch.corrcoef(draws.double()) - torch.eye(len(keys))
    assert correlations.abs().max() < 4.5 / 50_000**0.5


def test_reusing_a_generator_changes_nothing() -> None:
    rng = torch.Generator().manual_seed(1)
    normal(5, generator=rng)  # torch keeps one of a pair of normal numbers for the next call
    assert stream(7, "data", 2, reuse=rng) is rng
    assert torch.equal(normal(7, generator=rng), normal(7, generator=stream(7, "data", 2)))


def test_seeds_that_torch_confuses_differ() -> None:
    """Torch reads 32 bits of a seed. Here two states have no word in common."""
    pair = (0, 2**32)
    assert torch.equal(*(normal(9, generator=torch.Generator().manual_seed(seed)) for seed in pair))
    assert len({*_words(stream(0, "data")), *_words(stream(2**32, "data"))}) == 2 * 624


def test_torch_continues_as_numpys_mersenne_twister() -> None:
    """NumPy's generator with the same 624 words gives the same bits."""
    rng, twin = stream(5, "data", 2), np.random.MT19937()
    twin.state = {**twin.state, "state": {"key": _words(rng).astype(np.uint32), "pos": 624}}
    ours = torch.empty(3_000, dtype=torch.int64).random_(0, 2**16, generator=rng)
    assert np.array_equal(ours.numpy(), twin.random_raw(3_000) % 2**16)


def test_normal_numbers_are_normal() -> None:
    """Of 10⁶ numbers from 1,000 streams."""
    x = torch.cat([normal(1_000, generator=stream(seed, "latent")) for seed in range(1_000)]).double().numpy()
    assert stats.kstest(x, "norm").pvalue > 0.001
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert (x**power).mean() == pytest.approx(moment, abs=4 * (x**power).std() / 1_000)
    for bound in (2, 3, 4):
        expected = 1_000_000 * 2 * stats.norm.sf(bound)
        assert (abs(x) > bound).sum() == pytest.approx(expected, abs=4 * expected**0.5)


def test_permutations_are_uniform() -> None:
    """Each of the 120 orders of 5 examples, over streams of neighbouring epochs."""
    rng = torch.Generator()
    orders = [torch.randperm(5, generator=stream(0, "epoch", epoch, rng)).tolist() for epoch in range(12_000)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 120
    assert stats.chisquare(counts).pvalue > 0.001


def test_these_are_the_numbers_of_this_scheme() -> None:
    """If this fails, the draws have changed: `SCHEME` must increase, or torch has changed its generator."""
    assert torch.randperm(8, generator=stream(0, "epoch", 1)).tolist() == [5, 6, 1, 2, 7, 3, 4, 0]
    assert (uniform(3, generator=stream(0, "data")) * 2**24).tolist() == [6318079, 4095711, 16137995]


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    normal(10, generator=stream(0, "data"))
    assert torch.equal(before, torch.get_rng_state())


def _words(rng: torch.Generator) -> np.ndarray:
    return rng.get_state().numpy()[24 : 24 + 8 * 624].view(np.uint64)
