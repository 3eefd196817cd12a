"""What is refused of data from files, in one line and before the run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    np.save(tmp_path / "ok.npy", x)
    np.save(tmp_path / "few.npy", x[:20])
    np.save(tmp_path / "pickled.npy", np.array([{}, 1], dtype=object))
    np.save(tmp_path / "nan.npy", np.where(np.arange(120).reshape(60, 2) == 7, np.nan, x))
    (tmp_path / "text.csv").write_text("a,b\n" + "1.5,red\n2.5,blue\n" * 30)
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n" + "1,2\n" * 60)
    (tmp_path / "folder").mkdir()


@pytest.mark.every_second
@pytest.mark.parametrize(
    "overrides, line",
    [
        ("data=file", "data.path must be set (it has no default)"),
        ("data=file data.path=nothing.npy", "data.path: there is no file nothing.npy"),
        ("data=file data.path=folder", "data.path"),
        ("data=file data.path=few.npy", "data.holdout must hold out at least 12 rows"),
        ("data=file data.path=pickled.npy", "data.path: pickled.npy"),
        ("data=file data.path=nan.npy", "data.path: nan.npy"),
        ("data=file data.path=text.csv", "data.exclude=[b]"),
        ("data=file data.path=ragged.csv", "every row must have as many cells as the first, 2 (line 3 has 1)"),
        ("data=file data.path=ok.npy data.columns=abc", "data.columns must be null, or a list"),
        ("data=file data.path=ok.npy data.batch_size=500", "batch_size must be at most num_examples"),
        ("data=file data.path=ok.npy data.fresh=true", "fresh must be false: a file has no new examples"),
        ("data=file data.path=ok.npy data.shape=[1,2,2]", "data.shape must have C · H · W = 2"),
        ("data=file data.path=ok.npy +data.labels=b", "data.exclude leaves out columns of labels"),
        ("data=file data.path=ok.npy data.holdout=0", "data.holdout must be a number above 0 and below 1"),
        ("data=file data.path=ok.npy +data.distribution.std=1", "data.distribution cannot be set"),
        (
            "experiment=d2l data=file data.path=ok.npy",
            "data.num_examples must be from 6 to 48, the rows to train on, or null",
        ),
        (
            "data=file data.path=ok.npy +features._target_=torch.nn.Flatten +features.start_dim=0",
            "features: Flatten must",
        ),
        ("data=image_folder data.path=folder", "data.path: folder must have at least 2 images"),
        ("data.num_examples=null", "data.num_examples must be a whole number of at least 1 for a known distribution"),
        ("generator=conv", "needs data.shape=[C,H,W]"),
    ],
)
def test_bad_data_is_refused_in_one_line(complaint: Callable[[str], str], overrides: str, line: str) -> None:
    assert line in complaint(overrides)
