"""Measures against held-out examples agree with closed forms, within the errors of their samples.

Each mean over seeds must be within 4.5 standard errors of its expectation; the errors are those of the mean over seeds.
"""

import math

import pytest
import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.data.examples import Examples
from gaussgan.evaluation.held_out import HeldOut, held_out_of

SEEDS, N, D = 20, 200, 3
SCALES = torch.tensor([1.0, 10, 0.1]).double()
SHIFT = torch.tensor([5.0, -300, 0]).double()


def given(seed: int) -> tuple[Examples, HeldOut]:
    """Examples of N(SHIFT, diag(SCALES²)), half of which are held out: N to choose by, N to report by."""
    rows = torch.randn(4 * N, D, generator=torch.Generator().manual_seed(seed)).double() * SCALES + SHIFT
    examples = Examples(rows, ("a", "b", "c"), "points.npy", "", holdout=0.5, split_seed=seed)
    return examples, held_out_of(examples, 2_500)


def generated(examples: Examples, seed: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    """N examples of N(SHIFT + shift · SCALES, scale² diag(SCALES²)), in the units of the run."""
    z = torch.randn(N, D, generator=torch.Generator().manual_seed(1_000 + seed)).double()
    return examples.layout.standardised((scale * z + shift) * SCALES + SHIFT).float()


@pytest.fixture(scope="module")
def at_the_truth() -> dict[str, Tensor]:
    """All measures of a generator of the true distribution, and all baselines, [SEEDS] each."""
    rows = []
    for seed in range(SEEDS):
        examples, held_out = given(seed)
        fake = generated(examples, seed)
        rows.append(held_out.quality(fake) | held_out.quality(fake, "test") | held_out.baselines)
    return {tag: torch.stack([row[tag] for row in rows]) for tag in rows[0]}


def assert_mean(values: Tensor, expected: float) -> None:
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean() - expected) < 4.5 * error, f"{values.mean()} ± {error} is not {expected}"


@pytest.mark.parametrize("part", ["val", "test", "baseline/val", "baseline/test"])
def test_expectations_at_the_truth(at_the_truth: dict[str, Tensor], part: str) -> None:
    """Density has mean 1, and coverage 1 − Π (n − i)/(2n − i), i = 1, …, 5 (Naeem et al. 2020, eq. 8 and its text).

    For n examples of N(0, I_d) on either side, E F² ≈ (2/n) d (d + 5) / 4; see `frechet`.
    """
    assert_mean(at_the_truth[f"{part}/density"], 1)
    assert_mean(at_the_truth[f"{part}/coverage"], 1 - math.prod((N - i) / (2 * N - i) for i in range(1, 6)))
    assert_mean(at_the_truth[f"{part}/frechet"].square(), 2 / N * D * (D + 5) / 4)


@pytest.mark.parametrize("part", ["val", "test"])
def test_memorisation_at_the_truth_is_standard_normal(at_the_truth: dict[str, Tensor], part: str) -> None:
    assert abs(at_the_truth[f"{part}/memorisation"].mean()) < 4.5 / math.sqrt(SEEDS)
    assert (at_the_truth[f"{part}/memorisation_p"] > 1e-4).all()


def test_the_baseline_is_the_value_at_the_truth(at_the_truth: dict[str, Tensor]) -> None:
    """Training examples have the true distribution, so all measures but memorisation have the same distribution."""
    assert (at_the_truth["val/frechet"] != at_the_truth["test/frechet"]).all()  # the parts are two samples
    tags = [tag for tag in at_the_truth if tag.startswith("baseline/")]
    assert len(tags) == 14
    for tag in tags:
        ours, theirs = at_the_truth[tag], at_the_truth[tag.removeprefix("baseline/")]
        assert_mean(ours - theirs, 0)


@pytest.mark.parametrize("shift, scale", [(2.0, 1.0), (0.0, 3.0)])
def test_distances_of_known_gaussians(shift: float, scale: float) -> None:
    """In standardised units, the true distribution is N(0, I), up to the errors of the sample moments.

    From it, N(m, s² I) has W₂² = |m|² + (s − 1)² d and SW₂² = W₂² / d. The estimates of the squares are biased: that of
    F² by at most (s + 1)² d (d + 5) / (4 n), and that of SW₂² by less.
    """
    squares: dict[str, list[float]] = {"val/sliced_w2": [], "val/frechet": []}
    for seed in range(SEEDS):
        examples, held_out = given(seed)
        values = held_out.quality(generated(examples, seed, shift, scale))
        for tag, found in squares.items():
            found.append(values[tag].item() ** 2)
    w2 = D * shift**2 + (scale - 1) ** 2 * D
    for tag, known in (("val/frechet", w2), ("val/sliced_w2", w2 / D)):
        values = torch.tensor(squares[tag])
        bias = (scale + 1) ** 2 * D * (D + 5) / (4 * N)
        assert abs(values.mean() - known) < 4.5 * values.std() / math.sqrt(SEEDS) + bias, tag


def test_a_replay_is_flagged_in_every_seed_and_reaches_the_baseline() -> None:
    for seed in range(SEEDS):
        examples, held_out = given(seed)
        replayed = examples.train[torch.randint(2 * N, (N,), generator=torch.Generator().manual_seed(seed))]
        for part in ("val", "test"):
            values = held_out.quality(replayed, part)
            assert values[f"{part}/memorisation"] < -2
            assert values[f"{part}/memorisation_p"] < 1e-6
            assert values[f"{part}/density"] > 0.8  # no other measure sees it


def test_features_that_do_not_fit_are_refused_at_once() -> None:
    examples, _ = given(0)
    with pytest.raises(ConfigError, match="features: Linear fails for"):
        held_out_of(examples, 100, torch.nn.Linear(7, 2))
    with pytest.raises(ConfigError, match="must be at least 6"):
        held_out_of(examples, 5)
