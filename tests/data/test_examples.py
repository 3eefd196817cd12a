"""Given examples: the split, the units, and the draws of an epoch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gaussgan.config.errors import ConfigError
from gaussgan.data import sampler
from gaussgan.data.examples import Examples
from gaussgan.data.files import file_data
from gaussgan.data.layout import Layout
from gaussgan.data.loader import Batch, BlockLoader

MODULE: dict[str, Any] = {"batch_size": 8, "steps_per_execution": 5, "fresh": False, "latent_dim": 3, "seed": 0}


def rows(n: int = 100, d: int = 3) -> torch.Tensor:
    """Rows that differ, in units far from those of a run."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 50 + 1_000


def examples(x: torch.Tensor, **changes: Any) -> Examples:
    arguments: dict[str, Any] = {"holdout": 0.3, "split_seed": 0, **changes}
    return Examples(x, tuple("abcdefgh"[: x.shape[1]]), "points.csv", "0", **arguments)


@pytest.fixture
def path(tmp_path: Path) -> str:
    np.save(tmp_path / "points.npy", rows(200).numpy())
    return f"{tmp_path}/points.npy"


def test_each_row_is_in_one_part() -> None:
    split = examples(rows())
    parts = (split.train, split.select, split.report)
    assert [len(part) for part in parts] == [70, 15, 15]
    original = torch.cat([split.layout.original(part) for part in parts])
    torch.testing.assert_close(original.sort(0).values, rows().sort(0).values, rtol=0, atol=1e-4)


def test_the_split_has_a_seed_of_its_own(path: str) -> None:
    first, same, other = (
        file_data(path, split_seed=split, **{**MODULE, "seed": seed}).distribution
        for split, seed in ((0, 0), (0, 1), (1, 0))
    )
    assert isinstance(first, Examples)
    assert isinstance(same, Examples)
    assert isinstance(other, Examples)
    assert torch.equal(first.select, same.select)
    assert not torch.equal(first.select, other.select)


def test_units_come_from_the_training_part_alone() -> None:
    split = examples(rows(), limit=40)
    torch.testing.assert_close(split.train.double().mean(0), torch.zeros(3).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(split.train.double().std(0, correction=0), torch.ones(3).double(), rtol=0, atol=1e-6)
    assert len(split.train) == 40
    assert not torch.allclose(split.select.mean(0), torch.zeros(3), atol=1e-3)


def test_without_standardisation_the_rows_are_kept_unless_float32_is_too_coarse() -> None:
    kept = examples(rows(), standardize=False)
    assert torch.equal(kept.layout.original(kept.train), kept.train.double())
    with pytest.raises(ValueError, match=r"data.standardize must be true: .* the column a"):
        examples(rows() + 1e9, standardize=False)


def test_a_constant_column_is_only_shifted() -> None:
    x = rows()
    x[:, 1] = 0.1  # whose mean over 70 rows is not exactly 0.1
    split = examples(x)
    assert torch.equal(split.train[:, 1], torch.zeros(70))
    assert torch.equal(split.layout.original(split.report)[:, 1], x[:15, 1])


def test_a_layout_survives_a_checkpoint(tmp_path: Path) -> None:
    layout = examples(rows(40, 4), shape=(1, 2, 2)).layout
    torch.save(layout.state(), tmp_path / "layout.pt")
    again = Layout.from_state(torch.load(tmp_path / "layout.pt", weights_only=True))
    assert (again.names, again.shape) == (layout.names, layout.shape)
    x = torch.randn(5, 4)
    assert torch.equal(again.original(x), layout.original(x))
    torch.testing.assert_close(again.standardised(again.original(x)), x.double())
    with pytest.raises(ValueError, match="4 numbers"):
        Layout.from_state({**layout.state(), "shift": torch.zeros(3)})


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"holdout": 0.1}, "data.holdout must hold out at least 12 rows, .* \\(got 0.1 of 100 rows: 10\\)"),
        ({"holdout": 0.95}, "data.holdout must leave at least 6 of 100 rows to train on"),
        ({"limit": 71}, "data.num_examples must be from 6 to 70"),
        ({"shape": (1, 2, 2)}, "data.shape must have C · H · W = 3"),
    ],
)
def test_too_few_rows_and_wrong_shapes_are_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        examples(rows(), **changes)


def test_rows_to_report_by_are_drawn_once_each() -> None:
    split = examples(rows())
    drawn = split.sample(15, torch.Generator())
    assert torch.equal(drawn.sort(0).values, split.report.sort(0).values)
    with pytest.raises(ValueError, match="only 15 rows to report by"):
        split.sample(16, torch.Generator())
    with pytest.raises(ConfigError, match="the file has changed"):
        split.check_same("1")


def epoch(data: Any, number: int = 0, **changes: Any) -> list[Batch]:
    loader = BlockLoader(
        data.draw, **{"iterations": data.iterations, "batch_size": 8, "steps_per_execution": 5, **changes}
    )
    for _ in range(number):
        list(loader)
    return [batch for block in loader for batch in block]


def test_an_epoch_is_a_shuffle_of_the_training_part(path: str) -> None:
    data: Any = file_data(path, **MODULE)
    first, second = (torch.cat([batch.real for batch in epoch(data, number)]) for number in (0, 1))
    for drawn in (first, second):
        assert torch.equal(drawn.sort(0).values, data.distribution.train.sort(0).values)
    assert not torch.equal(first, second)


def test_chunks_do_not_depend_on_blocks_and_resume_inside_an_epoch(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "CHUNK", 24)
    data: Any = file_data(path, instance_noise=0.1, perturbation=True, augment=2, **MODULE)
    whole = epoch(data, chunk=3, steps_per_execution=100)
    assert len(whole) == 20
    others = epoch(data, chunk=3, steps_per_execution=2)
    resumed = BlockLoader(data.draw, iterations=20, batch_size=8, steps_per_execution=5, chunk=3)
    resumed.load_state_dict({"epoch": 0, "position": 7, "blocks": 1})
    rest = [batch for block in resumed for batch in block]
    for ours, theirs in zip([*others, *rest], [*whole, *whole[7:]], strict=True):
        assert all(map(torch.equal, ours, theirs))
    latents = torch.cat([batch.latent for batch in whole])
    assert len(latents.unique(dim=0)) == 160  # no chunk repeats the draws of another


def test_replicas_share_the_rows_and_have_an_order_of_their_own(path: str) -> None:
    many: Any = file_data(path, instance_noise=0.1, perturbation=True, augment=2, **{**MODULE, "seed": [4, 5, 6]})
    alone = [
        file_data(path, instance_noise=0.1, perturbation=True, augment=2, **{**MODULE, "seed": seed})
        for seed in (4, 5, 6)
    ]
    assert many.examples().stride(0) == 0  # one copy for all
    columns = zip(*(single.draw(2) for single in alone), strict=True)
    assert all(map(torch.equal, many.draw(2), map(torch.stack, columns)))
    assert not torch.equal(many.draw(2).real[0], many.draw(2).real[1])
