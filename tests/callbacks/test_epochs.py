"""Which epochs are evaluated, and what a thinned history still says."""

import csv
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import Checkpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaussgan.callbacks.epochs import is_evaluated, passes, series
from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import recipe, settings
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.runs.directory import BEST, LAST
from gaussgan.runs.history import unpack
from gaussgan.runs.record import read_record
from gaussgan.setup.assemble import assemble
from gaussgan.simulation import simulate
from gaussgan.train import train

Compose = Callable[..., DictConfig]
TINY = ("data.num_examples=24", "~callbacks.pictures", "~logger")  # 3 iterations in an epoch
DENSITIES = ("val/js", "val/logit_error", "val/d_gap")


class Stop(Callback):
    """Ends the run after an epoch, as a callback that a user wrote."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: Trainer, gan: Any) -> None:
        trainer.should_stop |= trainer.current_epoch + 1 == self.epoch


class LateStop(Stop, Checkpoint):
    """The same, after all other callbacks."""


class Send(Callback):
    """Sends this process a signal in an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch + 1 == self.epoch:
            signal.raise_signal(signal.SIGTERM)


def stop(name: str, epoch: int) -> str:
    return f"+callbacks.mine={{_target_: test_epochs.{name}, epoch: {epoch}}}"


def table(cfg: DictConfig) -> list[dict[str, str]]:
    with (Path(cfg.run_dir) / "history.csv").open() as file:
        return [*csv.DictReader(file)]


def epochs(cfg: DictConfig) -> list[int]:
    return [int(row["epoch"]) for row in table(cfg)]


def without_speed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if not key.startswith("perf/")} for row in rows]


def test_the_grid() -> None:
    grid = [epoch for epoch in range(1, 20_001) if is_evaluated(epoch, None)]
    assert grid[:41] == [*range(1, 41), 42]
    assert {round(lead * 10**k) for lead in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 8) for k in range(2, 5)} & {
        *range(1, 20_001)
    }
    assert {50, 100, 125, 150, 200, 250, 400, 500, 1000, 1200, 1500, 2000, 2500, 10_000, 20_000} <= {*grid}
    for start in (40, 64, 100, 700, 1000, 5000):
        assert 20 <= sum(start < epoch <= 2 * start for epoch in grid) <= 25
    assert len([epoch for epoch in grid if epoch <= 2000]) == 160
    assert [epoch for epoch in range(1, 13) if is_evaluated(epoch, 5)] == [5, 10]


def test_series_and_the_first_epoch_at_or_after_each_number() -> None:
    numbers = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    assert [series(epoch) for epoch in range(1000)] == [sum(n <= epoch for n in numbers) for epoch in range(1000)]
    rows = [{"epoch": epoch} for epoch in (3, 6, 9, 12, 15, 18, 21)]
    assert [rows[i]["epoch"] for i in range(7) if passes(rows[: i + 1], series)] == [3, 6, 12, 21]


@pytest.mark.parametrize("ending", ["trainer.max_epochs=5", "+trainer.min_epochs=1 trainer.max_steps=14"])
def test_the_last_epoch_is_evaluated_and_best_is_the_best_of_all_rows(compose: Compose, ending: str) -> None:
    cfg = compose(*TINY, "evaluate_every=2", *ending.split())
    train(cfg)
    assert epochs(cfg) == [2, 4, 5]
    directory, rows = Path(cfg.run_dir), table(cfg)
    assert read_record(directory)["val/w2"] == float(rows[-1]["val/w2"])
    complete = [row for row in rows if int(row["iteration"]) % 3 == 0]
    best = min(complete, key=lambda row: float(row["val/w2"]))
    assert read_checkpoint(directory / BEST)["global_step"] == int(best["iteration"])


@pytest.mark.parametrize("name", ["Stop", "LateStop", "Send"])
def test_a_run_that_ends_elsewhere_is_evaluated_there_and_goes_on_as_if_it_had_not(compose: Compose, name: str) -> None:
    recipe = (*TINY, "evaluate_every=8", "trainer.max_epochs=16")
    whole, part = compose(*recipe, name="whole"), compose(*recipe, stop(name, 13), name="part")  # one block
    train(whole)
    if name == "Send":
        with pytest.raises(SystemExit):
            train(part)
    else:
        train(part)
    assert epochs(part) == [8, 13]
    directory = Path(part.run_dir)
    assert read_record(directory)["val/w2"] == float(table(part)[-1]["val/w2"])
    assert read_checkpoint(directory / LAST)["global_step"] == 39
    assert read_checkpoint(directory / BEST)["global_step"] == 24
    train(compose(*recipe, f"ckpt_path={directory / LAST}", name="part"))
    ours, theirs = (read_checkpoint(Path(cfg.run_dir) / LAST) for cfg in (part, whole))
    assert all(torch.equal(value, theirs["state_dict"][key]) for key, value in ours["state_dict"].items())
    if name != "LateStop":  # nothing tells in time that the run ends
        assert without_speed(table(part)) == without_speed(table(whole))


def test_an_end_counts_as_best_where_nothing_else_was_evaluated(compose: Compose) -> None:
    cfg = compose(*TINY, "evaluate_every=4", "trainer.max_epochs=8", stop("Stop", 2))
    train(cfg)
    assert epochs(cfg) == [2]
    assert read_checkpoint(Path(cfg.run_dir) / BEST)["global_step"] == 6


def test_a_resumed_run_may_be_evaluated_at_other_epochs(compose: Compose) -> None:
    cfg = compose(*TINY, "trainer.max_epochs=2", name="run")
    train(cfg)
    train(compose(*TINY, "trainer.max_epochs=7", "evaluate_every=3", f"ckpt_path={cfg.run_dir}/{LAST}", name="run"))
    assert epochs(cfg) == [1, 2, 3, 6, 7]


def test_the_key_is_part_of_a_jobs_identity_but_not_of_its_recipe(compose: Compose) -> None:
    plain, other = (OmegaConf.to_container(compose(*each), resolve=True) for each in ((), ("evaluate_every=3",)))
    assert recipe(plain) == recipe(other)
    assert settings(other) == {**settings(plain), "evaluate_every": 3}


@pytest.mark.parametrize("callback", ["EarlyStopping", "ModelCheckpoint"])
def test_a_callback_that_reads_metrics_sees_every_epoch(
    compose: Compose, callback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaussgan.callbacks.evaluation.is_evaluated", lambda epoch, every: epoch % (every or 3) == 0)
    reader = f"+callbacks.reader={{_target_: pytorch_lightning.callbacks.{callback}, monitor: val/w2, mode: min}}"
    plain, cfg = compose(*TINY, "trainer.max_epochs=4"), compose(*TINY, "trainer.max_epochs=4", reader, name="reader")
    train(plain)
    train(cfg)
    assert (epochs(plain), epochs(cfg)) == ([3, 4], [1, 2, 3, 4])
    with pytest.raises(ConfigError, match=r"^evaluate_every must be null or 1, because callbacks.reader.monitor uses"):
        assemble(compose(*TINY, reader, "evaluate_every=2"))


def test_replicas_measure_densities_at_fewer_epochs(compose: Compose) -> None:
    recipe = (*TINY[:2], "trainer.max_epochs=6", "replicas=3", "optimizer_d.lr=[0.05,1e38,0.01]")
    cfg, all_ = compose(*recipe), compose(*recipe, "callbacks.evaluation.all_densities=true", name="all")
    train(cfg)
    train(all_)
    measured = [1, 2, 5, 6]
    for ours, theirs in zip(without_speed(table(cfg)), without_speed(table(all_)), strict=True):
        if int(ours["epoch"]) not in measured:
            for tag in DENSITIES:
                assert {theirs.pop(key) for key in (f"{tag}{end}" for end in ("", "_p10", "_median", "_p90"))} != {""}
                assert {ours.pop(key) for key in (f"{tag}{end}" for end in ("", "_p10", "_median", "_p90"))} == {""}
        assert ours == theirs
    records = [read_record(Path(each.run_dir)) for each in (cfg, all_)]
    for key in records[0].keys() - {"seconds", "examples_per_second"}:
        assert records[0][key] == records[1][key], key
    events = EventAccumulator(cfg.run_dir).Reload()
    for tag in DENSITIES:
        for name in (tag, f"{tag}_median"):
            assert [event.step for event in events.Scalars(name)] == [3 * epoch for epoch in measured]
            assert all(math.isfinite(event.value) for event in events.Scalars(name))


def test_an_end_elsewhere_measures_what_was_left_out(compose: Compose) -> None:
    recipe = (*TINY, "trainer.max_epochs=6", "replicas=2")
    cfg, end = compose(*recipe, stop("Stop", 4)), compose(*recipe, "trainer.max_epochs=4", name="end")
    train(cfg)
    train(end)
    assert without_speed(table(cfg)) == without_speed(table(end))
    rows = unpack(read_checkpoint(Path(cfg.run_dir) / LAST)["history"])
    assert [bool(row["val/js"].isnan().all()) for row in rows] == [False, False, True, True]
    runs = simulate(["data.num_examples=24", "trainer.max_epochs=4", "trainer.accelerator=cpu"], range(2))
    assert runs.measures["val/js"].isnan().all(0).tolist() == [False, False, True, False]
