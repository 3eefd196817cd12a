"""history.csv: a line for each epoch, the same whether a run is left alone, resumed, or trained with others."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from gaussgan.data.datamodule import DataModule
from gaussgan.runs.directory import LAST
from gaussgan.runs.history import pack, unpack, write_history
from gaussgan.runs.record import read_record
from gaussgan.sweep.together import train_together
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=84", "data.batch_size=10", "data.steps_per_execution=4", "trainer.max_epochs=3")


def table(directory: Path | str, *timed: str) -> list[dict[str, float]]:
    """The table without the columns that measure speed. An empty field is NaN."""
    with (Path(directory) / "history.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert all(None not in row and None not in row.values() for row in rows)
    return [
        {tag: float(value or "nan") for tag, value in row.items() if not tag.startswith(("perf/", *timed))}
        for row in rows
    ]


def same(ours: list[dict[str, float]], theirs: list[dict[str, float]], rel: float) -> bool:
    return len(ours) == len(theirs) and all(
        a == pytest.approx(b, rel=rel, abs=0, nan_ok=True) for a, b in zip(ours, theirs, strict=True)
    )


def test_a_diverged_replica_counts_from_its_iteration_on(tmp_path: Path) -> None:
    nan = torch.nan
    history = [
        {"iteration": 4.0, "epoch": 1.0, "val/w2": torch.tensor([1.0, 2, 3]), "perf/examples_per_second": 5.0},
        {"iteration": 8.0, "epoch": 2.0, "val/w2": torch.tensor([1.0, nan, 3]), "perf/examples_per_second": 5.0},
    ]
    write_history(tmp_path, history, {1: 7})
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,iteration,val/w2,val/w2_p10,val/w2_median,val/w2_p90,perf/examples_per_second"
    assert lines[1] == "1,4,2.0,1.2,2.0,2.8,5.0"
    assert lines[2] == "2,8,2.0,1.4,3.0,inf,5.0"  # of 1, 3 and infinity


def test_a_row_from_a_checkpoint_gives_the_same_line(tmp_path: Path) -> None:
    """A checkpoint holds float64, and a mean in float32 is another number."""
    row = {"iteration": 1, "epoch": 1, "val/distance": torch.tensor([0.1, 0.2, 0.4])}
    lines = []
    for rows in ([row], unpack(pack([row]))):
        write_history(tmp_path, rows, {})
        lines.append((tmp_path / "history.csv").read_text())
    assert lines[0] == lines[1]


def test_no_epoch_and_no_number(tmp_path: Path) -> None:
    write_history(tmp_path, [], {})
    assert (tmp_path / "history.csv").read_text() == "epoch,iteration\n"
    write_history(tmp_path, [{"iteration": 3, "epoch": 1, "val/kl": math.inf, "train/loss_d": math.nan}], {})
    assert (tmp_path / "history.csv").read_text() == "epoch,iteration,val/kl,train/loss_d\n1,3,inf,\n"


@pytest.mark.parametrize(
    "recipe", [(), ("replicas=3", "optimizer_d.lr=[0.05,1e38,0.01]", "ema_half_life=5")], ids=["single", "replicas"]
)
@pytest.mark.parametrize("stop", [9, 13])
def test_a_resumed_run_has_the_same_history(compose: Compose, recipe: tuple[str, ...], stop: int) -> None:
    recipe = (*SMALL, "~callbacks.pictures", *recipe)
    train(compose(*recipe, name="whole"))
    train(compose(*recipe, f"trainer.max_steps={stop}", name="part"))
    cfg = compose(*recipe, name="part")
    whole, part = (Path(cfg.run_dir).with_name(name) for name in ("whole", "part"))
    assert [row["iteration"] for row in table(part)] == [9.0, stop][: 1 + (stop > 9)]
    train(compose(*recipe, f"ckpt_path={part / LAST}", name="part"))
    ours = table(part)
    assert [(row["epoch"], row["iteration"]) for row in ours] == [(1, 9), (2, 18), (3, 27)]
    if stop == 9:  # at the end of an epoch
        assert same(ours, table(whole), rel=0)
    assert same(*(table(each, "train/") for each in (part, whole)), rel=0)
    assert same(ours, table(whole), rel=1e-6)  # sums over an epoch that was left are rounded otherwise
    record, last = read_record(whole), table(whole)[-1]
    for tag in (tag for tag in record if tag.startswith(("val/", "train/"))):
        assert record[tag] == (last[tag] if math.isfinite(last[tag]) else None), tag


def test_runs_that_are_trained_together_have_their_own_histories(compose: Compose, tmp_path: Path) -> None:
    common = (*SMALL, "~callbacks.pictures", "trainer.precision=64-true", "penalty=r1", "data.batch_size=30")
    jobs = [("seed=1",), ("seed=2", "optimizer_g.lr=0.05"), ("penalty.weight=1e160", "optimizer_d.lr=0.03")]
    alone, joint = ([compose(*common, *job, name=f"{way}{i}") for i, job in enumerate(jobs)] for way in "aj")
    for cfg in alone:
        train(cfg)
    configs = [OmegaConf.to_container(cfg, resolve=True) for cfg in joint]
    train_together(configs, tmp_path / "group")  # type: ignore[arg-type]
    tables = [(table(ours.run_dir), table(theirs.run_dir)) for ours, theirs in zip(joint, alone, strict=True)]
    assert [len(ours) for ours, _ in tables] == [3, 3, 1]  # the last job diverges in its second epoch
    assert all(same(ours, theirs, rel=1e-6) for ours, theirs in tables)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_any_end_leaves_a_history(compose: Compose, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    draw = DataModule.draw

    def stop(data: DataModule, epoch: int, rows: slice) -> object:
        if epoch == 2:
            raise error
        return draw(data, epoch, rows)

    monkeypatch.setattr(DataModule, "draw", stop)
    cfg = compose(*SMALL, "~callbacks.pictures")
    with pytest.raises((error, RuntimeError)):  # a call of sys.exit, which Lightning makes here too, is an error
        train(cfg)
    assert [row["iteration"] for row in table(cfg.run_dir)] == [9, 18]
    assert not [*Path(cfg.run_dir).rglob("*.tmp")]
