from itertools import islice
from math import ceil

import pytest
import torch
from scipy.stats import kstest

from gaussgan.data.datamodule import DataModule
from gaussgan.data.distributions import AffineGaussian
from gaussgan.data.gaussian import sample_moments
from gaussgan.data.loader import Batch, BlockLoader
from gaussgan.evaluation.chunked import evaluator_of
from gaussgan.rng import normal, stream

DISTRIBUTION = AffineGaussian([[1, 2], [-0.1, 0.5]], [1, 2])


def data_module(**changes: object) -> DataModule:
    defaults = {
        "distribution": DISTRIBUTION, "num_examples": 20, "batch_size": 6, "steps_per_execution": 3, "fresh": False,
        "latent_dim": 3, "seed": 0,
    }  # fmt: skip
    return DataModule(**{**defaults, **changes})  # type: ignore[arg-type]


def loader(data: DataModule, **changes: int) -> BlockLoader:
    defaults = {"iterations": data.iterations, "batch_size": data.batch_size, "steps_per_execution": 3}
    return BlockLoader(data.draw, **{**defaults, **changes})


def flat(blocks: list[list[Batch]]) -> list[Batch]:
    return [batch for block in blocks for batch in block]


def test_an_epoch_has_every_example_once_in_a_new_order() -> None:
    data = data_module()
    first, second = (torch.cat([batch.real for batch in flat(list(source))]) for source in [loader(data)] * 2)
    for epoch in (first, second):
        assert torch.equal(epoch.sort(0).values, data.examples().sort(0).values)
    assert not torch.equal(first, second)


def test_another_seed_draws_other_numbers() -> None:
    first, second = (
        data_module(seed=seed, instance_noise=0.1, perturbation=True, augment=2).draw(0) for seed in (0, 1)
    )
    assert not any(torch.equal(ours, theirs) for ours, theirs in zip(first, second, strict=True))
    evaluators = [evaluator_of(data_module(seed=seed)) for seed in (0, 1)]
    for name in ("real", "latents", "sample_latents", "directions"):
        assert not torch.equal(*(getattr(evaluator, name) for evaluator in evaluators)), name


@pytest.mark.parametrize("threads", [1, 2, 5, 9])
def test_a_replica_draws_what_a_run_alone_draws(threads: int) -> None:
    """Bit for bit, in any number of threads."""
    more = {"instance_noise": 0.1, "num_examples": 1000, "perturbation": True, "augment": 2}
    data = data_module(seed=[*range(7)], threads=threads, **more)
    alone = [data_module(seed=seed, **more) for seed in range(7)]
    for epoch in (3, 0):
        columns = zip(*(single.draw(epoch) for single in alone), strict=True)
        assert all(map(torch.equal, data.draw(epoch), map(torch.stack, columns)))
    for ours, theirs in zip(data.moments(9), zip(*(single.moments(9) for single in alone), strict=True), strict=True):
        torch.testing.assert_close(ours, torch.stack(theirs), rtol=0, atol=1e-14)


def test_without_mix_all_else_is_drawn_alike() -> None:
    ours, theirs = (data_module(instance_noise=0.1, mix=mix).draw(1) for mix in (False, True))
    assert ours.mix is None
    for name in ("real", "latent", "noise"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name))


def test_perturbations_are_standard_normal_and_change_nothing_else() -> None:
    more = {"instance_noise": 0.1, "num_examples": 4_000, "seed": [3, 4]}
    ours, theirs = (data_module(**more, perturbation=perturbation).draw(1) for perturbation in (True, False))
    assert theirs.perturbation is None
    assert ours.perturbation is not None
    assert all(torch.equal(a, b) for a, b in zip(ours[:4], theirs[:4], strict=True))
    own = [normal(4_000, 2, generator=stream(seed, "perturbation", 1)) for seed in (3, 4)]
    assert torch.equal(ours.perturbation, torch.stack(own))
    for own in (*ours.perturbation.unbind(), data_module(**more, perturbation=True).draw(2).perturbation[0]):
        assert kstest(own.flatten().numpy(), "norm").pvalue > 1e-3
    columns = torch.stack([*ours.perturbation.flatten(1), *ours.real.flatten(1)])
    assert torch.corrcoef(columns).fill_diagonal_(0)[:2].abs().max() < 0.06  # independent of examples and other seeds


def test_examples_are_in_float32_or_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = AffineGaussian.sample
    for drawn, kept in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        monkeypatch.setattr(AffineGaussian, "sample", lambda *args, to=drawn: sample(*args).to(to))
        assert data_module().draw(0).real.dtype == kept


def test_the_last_smaller_batch_is_kept() -> None:
    batches = flat(list(loader(data_module())))
    assert [len(batch.real) for batch in batches] == [len(batch.latent) for batch in batches] == [6, 6, 6, 2]


def test_fresh_draws_new_examples_every_epoch() -> None:
    fixed, fresh = data_module(), data_module(fresh=True)
    assert torch.equal(fixed.examples(0), fixed.examples(1))
    assert torch.equal(fixed.examples(0), fresh.examples(0))
    assert not torch.equal(fresh.examples(0), fresh.examples(1))


def test_moments_pool_all_drawn_examples() -> None:
    fixed, fresh = data_module(), data_module(fresh=True)
    for ours, theirs in zip(fixed.moments(40), sample_moments(fixed.examples()), strict=True):
        torch.testing.assert_close(ours, theirs)
    pooled = torch.cat([fresh.examples(epoch) for epoch in range(3)])
    for ours, theirs in zip(fresh.moments(9), sample_moments(pooled), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("k", [1, 3, 4, 100])
def test_k_changes_the_blocks_but_not_the_batches(k: int) -> None:
    blocks = list(loader(data_module(), steps_per_execution=k))
    assert len(blocks) == ceil(4 / k)
    for ours, theirs in zip(flat(blocks), flat(list(loader(data_module()))), strict=True):
        assert torch.equal(ours.real, theirs.real)
        assert torch.equal(ours.latent, theirs.latent)


@pytest.mark.parametrize("max_steps", range(1, 9))
def test_a_block_ends_at_max_steps(max_steps: int) -> None:
    source, ends = loader(data_module(), max_steps=max_steps), []
    for _ in range(2):
        assert len(source) == sum(1 for block in source if not ends.append(len(block)))  # type: ignore[func-returns-value]
    assert max_steps in torch.tensor(ends).cumsum(0)


@pytest.mark.parametrize("stop", range(5))
def test_a_loader_resumes_where_its_state_was_saved(stop: int) -> None:
    data = data_module()
    whole = loader(data, steps_per_execution=1)
    batches = flat(list(whole)) + flat(list(whole))
    first = loader(data, steps_per_execution=1)
    seen = flat(list(islice(first, stop)))
    second = loader(data, steps_per_execution=2)  # other blocks, the same batches
    second.load_state_dict(first.state_dict())
    rest = flat(list(second)) + flat(list(second))
    for ours, theirs in zip([*seen, *rest][:8], batches, strict=True):
        assert torch.equal(ours.real, theirs.real)
        assert torch.equal(ours.latent, theirs.latent)


def test_examples_are_counted_with_the_smaller_batches() -> None:
    assert [data_module().examples_seen(n) for n in range(6)] == [0, 6, 12, 18, 20, 26]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_examples": 0}, "num_examples must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 21}, "batch_size must be at most num_examples / batches_per_iteration = 20"),
        ({"batch_size": 4, "batches_per_iteration": 6}, "batch_size must be at most .* = 3"),
        ({"steps_per_execution": 0}, "steps_per_execution must be at least 1"),
    ],
)
def test_impossible_counts_are_refused_by_name(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_module(**change)
