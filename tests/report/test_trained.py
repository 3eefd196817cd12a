"""The report of runs that were really trained: learning curves, and figures drawn from checkpoints."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from gaussgan.report.collect import find_runs
from gaussgan.report.compare import compare
from gaussgan.report.factors import find_factors
from gaussgan.report.finals import final_figures
from gaussgan.report.frame import frame_of
from gaussgan.report.history import learning_curves
from gaussgan.report.write import write_report
from gaussgan.train import train

SHORT = ("trainer.max_epochs=2", "data.num_examples=40", "logger=none")


def test_replicas_have_curves_and_figures(compose: Callable[..., DictConfig], tmp_path: Path) -> None:
    train(compose("replicas=4", "seed=[0,0,1,1]", "optimizer_d.lr=[0.01,0.1,0.01,0.1]", *SHORT, name="replicas"))
    found = find_runs([tmp_path])
    frame, settings = frame_of(found)
    answer = compare(frame, find_factors(frame, settings, found.runs))
    assert [setting.n for setting in answer.settings] == [2, 2]
    curves = learning_curves(frame, found.runs, answer.settings, "val/w2")
    state = torch.load(tmp_path / "replicas" / "checkpoints" / "last.ckpt", weights_only=True)
    history = state["history"]["rows"][:, state["history"]["names"].index("val/w2")].numpy()
    for i, setting in enumerate(answer.settings):
        assert curves[i].iterations.tolist() == [5, 10]
        assert curves[i].median == pytest.approx(np.median(history[:, setting.rows], axis=1))
        assert curves[i].median[-1] == pytest.approx(setting.median)
    finals = [*final_figures(frame, found.runs)]
    assert [final.name for final in finals] == ["best", "median", "worst"]
    for final in finals:
        assert final.problem is None
        assert Image.open(io.BytesIO(final.png or b"")).width > 500
    assert frame["score"][finals[0].row] == frame["score"].min()
    assert frame["score"][finals[-1].row] == frame["score"].max()


def test_a_picture_from_a_checkpoint_is_the_one_that_the_run_drew(
    compose: Callable[..., DictConfig], tmp_path: Path
) -> None:
    train(compose("trainer.max_epochs=2", *SHORT[1:], "logger=tensorboard"))
    final = tmp_path / "run" / "figures" / "final.png"
    saved = np.asarray(Image.open(final).convert("RGB")).astype(int)
    final.unlink()
    found = find_runs([tmp_path])
    frame, _ = frame_of(found)
    compare(frame, [])
    (drawn,) = final_figures(frame, found.runs)
    ours = np.asarray(Image.open(io.BytesIO(drawn.png or b"")).convert("RGB")).astype(int)
    assert ours.shape == saved.shape
    assert (np.abs(ours - saved).max(-1) > 32).mean() < 0.002


def test_a_damaged_checkpoint_leaves_a_note(compose: Callable[..., DictConfig], tmp_path: Path) -> None:
    train(compose(*SHORT))
    (tmp_path / "run" / "figures" / "final.png").unlink(missing_ok=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"PK")
    page = write_report([tmp_path], tmp_path).page.read_text()
    assert "No figure could be drawn" in page
    assert "is damaged or is not a gaussgan checkpoint" in page


def test_a_report_that_cannot_be_written_is_one_line(compose: Callable[..., DictConfig], tmp_path: Path) -> None:
    from gaussgan.config.errors import ConfigError

    train(compose(*SHORT))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"report: cannot write to .*file"):
        write_report([tmp_path], tmp_path / "file" / "out")
