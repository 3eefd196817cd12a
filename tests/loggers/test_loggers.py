"""Several loggers get the same numbers, and continue their logs when a run is resumed."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from conftest import ROOT
from gaussgan.callbacks import evaluation
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import hyperparameters
from gaussgan.loggers.csv_logger import CSVLogger
from gaussgan.loggers.log import typed
from gaussgan.loggers.make import make_loggers
from gaussgan.setup.assemble import assemble
from gaussgan.sweep.grouping import reason_alone
from gaussgan.sweep.together import train_together
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=40", "trainer.max_epochs=2")  # 5 iterations an epoch
BOTH = "logger=[tensorboard,csv]"


class Mine(Logger):
    """A logger that a user wrote."""

    name, version = "mine", "0"
    calls: ClassVar[list[tuple[Any, ...]]] = []

    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]
        self.calls.append(("hyperparameters", params["seed"]))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # type: ignore[override]
        self.calls.append(("numbers", step, "val/w2" in metrics))

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        self.calls.append(("picture", step, key, images[0].shape[-1]))


def rows(directory: str | Path) -> list[dict[str, str]]:
    return [*csv.DictReader((Path(directory) / "metrics.csv").read_text().splitlines())]


def events(directory: str | Path) -> EventAccumulator:
    return EventAccumulator(str(directory)).Reload()


def experiment(directory: str | Path) -> Any:
    """Return the hyperparameters and metrics that HPARAMS shows."""
    content = events(directory).SummaryMetadata("_hparams_/experiment").plugin_data.content
    return HParamsPluginData.FromString(content).experiment


def kill_after_a_checkpoint(compose: Compose, *overrides: str) -> Path:
    """Train two epochs, log two more, and restore the checkpoint of epoch 2, as after a kill."""
    cfg = compose(*overrides)
    train(cfg)
    directory = Path(cfg.run_dir)
    last = directory / "checkpoints" / "last.ckpt"
    shutil.copy(last, directory / "saved.ckpt")
    train(compose(*overrides, "trainer.max_epochs=4", f"ckpt_path={last}"))
    shutil.copy(directory / "saved.ckpt", last)
    return last


def test_several_loggers_get_the_same_and_continue_after_a_kill(compose: Compose) -> None:
    last = kill_after_a_checkpoint(compose, *SMALL, BOTH)
    directory = last.parents[1]
    train(compose(*SMALL, BOTH, "trainer.max_epochs=5", f"ckpt_path={last}"))
    table, logged = rows(directory), events(directory)
    assert [int(row["step"]) for row in table] == [5, 10, 15, 20, 25]
    assert all(value != "" for row in table for value in row.values())
    assert {*table[0]} - {"step"} == {*logged.Tags()["scalars"]}
    for tag in {*table[0]} - {"step"}:
        points = {point.step: point.value for point in logged.Scalars(tag) if point.step}
        assert points == {int(row["step"]): pytest.approx(float(row[tag]), rel=1e-6) for row in table}
    assert [point.step for point in logged.Scalars("val/w2")] == [0, 5, 10, 15, 20, 25]
    assert [image.step for image in logged.Images("game")] == [5, 10, 25]
    assert len(logged.Tensors("config/text_summary")) == 1
    assert "optimizer_g.lr: 0.005" in (directory / "hparams.yaml").read_text()


def test_a_run_that_is_resumed_in_another_directory_has_its_own_log(compose: Compose) -> None:
    first = compose(*SMALL, BOTH, "~callbacks.pictures", name="first")
    train(first)
    checkpoint = f"ckpt_path={first.run_dir}/checkpoints/last.ckpt"
    second = compose(*SMALL, BOTH, "~callbacks.pictures", "trainer.max_epochs=3", checkpoint, name="second")
    train(second)
    assert [row["step"] for row in rows(second.run_dir)] == ["15"]
    assert [point.step for point in events(second.run_dir).Scalars("val/w2")] == [10, 15]
    assert experiment(second.run_dir).metric_infos[0].name.tag == "val/w2"


def test_a_row_of_the_csv_file_holds_all_numbers_of_an_iteration(tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path))
    logger.log_metrics({"a": 1.0}, step=5)
    logger.log_metrics({"a": 2.0}, step=10)
    logger.log_metrics({"b": float("inf")}, step=10)
    logger.log_metrics({"b": 3.0})
    logger.log_metrics({"a": 4.0, "b": 5.0}, step=15)
    first = [("5", "1.0", ""), ("10", "2.0", "3.0"), ("15", "4.0", "5.0")]
    assert [tuple(row.values()) for row in rows(tmp_path)] == first
    resumed = CSVLogger(str(tmp_path), purge_step=11)
    resumed.log_metrics({"c": 6.0}, step=20)
    assert [row["step"] for row in rows(tmp_path)] == ["5", "10", "20"]
    CSVLogger(str(tmp_path)).log_metrics({"a": 1.0}, step=1)
    assert [tuple(row.items()) for row in rows(tmp_path)] == [(("step", "1"), ("a", "1.0"))]


@pytest.mark.parametrize("overrides", [["logger=none"], ["~logger"], ["~logger.tensorboard"], ["logger=[none,none]"]])
def test_no_logger(compose: Compose, overrides: list[str]) -> None:
    assert assemble(compose(*overrides))[2].loggers == []


def test_the_users_own_logger_gets_everything(compose: Compose) -> None:
    Mine.calls.clear()
    train(compose(*SMALL, "logger=none", "+logger.mine._target_=test_loggers.Mine"))
    numbers = [("numbers", 5, True), ("picture", 5, "game", 3), ("numbers", 10, True), ("picture", 10, "game", 3)]
    assert Mine.calls == [("hyperparameters", 0), *numbers]


@pytest.mark.parametrize(
    "overrides, message",
    [
        ("+logger._target_=mine.Logger", r"logger\._target_ must be a mapping with a _target_ key"),
        ("+logger.save_dir=a", r"logger\.save_dir must be a mapping with a _target_ key"),
        ("logger.tensorboard=null", r"~logger\.tensorboard removes it \(got null\)"),
        ("+logger.a={save_dir:b}", r"logger\.a must be a component with a _target_"),
        ("+logger.tensorboard.log_graph=true", r"logger\.tensorboard\.log_graph must be false"),
        ("logger=wandb +logger.wandb.log_model=all", r"logger\.wandb\.log_model must be false: checkpoints stay"),
        ("logger=csv +logger.csv.flush=1", r"logger\.csv\.flush: CSVLogger has no argument flush"),
        ("logger=csv logger.csv.save_dir=/dev/null/a", r"logger\.csv: cannot write to /dev/null/a"),
    ],
)
def test_an_invalid_logger_is_refused(compose: Compose, overrides: str, message: str) -> None:
    cfg = compose(*overrides.split())
    with pytest.raises(ConfigError, match=message) as refused:
        check(cfg) or assemble(cfg)
    assert "\n" not in str(refused.value)
    assert not Path(cfg.run_dir).exists()


@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_an_extra_that_is_not_installed_gives_one_line(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str
) -> None:
    monkeypatch.setattr(f"pytorch_lightning.loggers.{package}._{package.upper()}_AVAILABLE", False)
    cfg = compose(f"logger=[csv,{package}]")
    with pytest.raises(ConfigError, match=rf"logger\.{package} needs .*: pip install .* -e '\.\[{package}\]'$"):
        assemble(cfg)
    jobs = [OmegaConf.to_container(cfg, resolve=True) | {"run_dir": f"{cfg.run_dir}/{seed}"} for seed in (1, 2)]
    with pytest.raises(ConfigError, match=f"logger.{package} needs"):  # before they are trained
        train_together(jobs, tmp_path / "group")  # type: ignore[arg-type]


def test_jobs_that_are_trained_together_log_the_same(compose: Compose, tmp_path: Path) -> None:
    double = (*SMALL, BOTH, "~callbacks.pictures", "trainer.precision=64-true")  # a game amplifies rounding
    overrides = [(*double, f"optimizer_d.lr={lr}") for lr in (0.01, 0.02)]
    alone = [compose(*each, name=f"alone{i}") for i, each in enumerate(overrides)]
    joint = [compose(*each, name=f"joint{i}") for i, each in enumerate(overrides)]
    assert reason_alone(OmegaConf.to_container(joint[0])) is None  # type: ignore[arg-type]
    for cfg in alone:
        train(cfg)
    train_together([OmegaConf.to_container(cfg, resolve=True) for cfg in joint], tmp_path / "group")  # type: ignore[misc]
    for ours, theirs in zip(joint, alone, strict=True):
        assert [row["step"] for row in rows(ours.run_dir)] == ["5", "10"]
        tables = [[{tag: float(v) for tag, v in row.items()} for row in rows(cfg.run_dir)] for cfg in (ours, theirs)]
        for mine, expected in zip(*tables, strict=True):
            del mine["perf/examples_per_second"], expected["perf/examples_per_second"]
            assert mine == pytest.approx(expected, rel=1e-6)
        orders = [[info.name for info in experiment(cfg.run_dir).hparam_infos] for cfg in (ours, theirs)]
        assert orders[0] == orders[1]


def test_hparams_shows_the_typed_keys_first(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["optimizer_d.lr", "logger.tensorboard.name", "data", "trainer.max_epochs", "objective"]
    monkeypatch.setattr(evaluation, "typed", lambda: keys)
    cfg = compose(*SMALL, "~callbacks.pictures", "replicas=3")
    train(cfg)
    shown = experiment(cfg.run_dir)
    names = [info.name for info in shown.hparam_infos]
    assert names[:4] == ["optimizer_d.lr", "trainer.max_epochs", "objective", "data.distribution"]
    assert "optimizer_g.lr" in names
    assert [info.name.tag for info in shown.metric_infos] == ["val/w2_median"]
    assert [point.step for point in events(cfg.run_dir).Scalars("val/w2_median")] == [0, 5, 10]
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    assert [*hyperparameters(config)][:2] == ["seed", "data.distribution"]


def test_the_keys_that_a_sweep_varies_come_first(tmp_path: Path) -> None:
    job = ["data.num_examples=40", "optimizer@optimizer_g=sgd", "+optimizer_d.foo=1", "seed=3", "optimizer_d.lr=0.1"]
    swept = [*job[:3], "seed=3,4", "optimizer_d.lr=0.1,0.2"]
    (tmp_path / "multirun.yaml").write_text(OmegaConf.to_yaml({"hydra": {"overrides": {"task": swept}}}))
    assert typed() == []
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        own = [f"hydra.sweep.dir={tmp_path}", "hydra.mode=MULTIRUN"]
        cfg = hydra.compose("train", [*job, *own], return_hydra_config=True)
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(cfg)
        assert typed() == ["seed", "optimizer_d.lr", "data.num_examples", "optimizer_g", "optimizer_d.foo"]
    finally:
        HydraConfig.instance().cfg = before


def wandb_records(directory: Path) -> Iterator[Any]:
    """Yield the records in the W&B files of a run. The files are in LevelDB's log format."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # its service may not have written all records before
    for path in sorted((directory / "wandb").glob("offline-run-*/*.wandb")):
        data, position, message = path.read_bytes(), 7, b""
        while position + 7 <= len(data):
            if (rest := 32768 - position % 32768) < 7:
                position += rest
                continue
            length, chunk_type = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
            message += data[position + 7 : position + 7 + length]
            position += 7 + length
            if chunk_type in (1, 4):  # a whole record, or its last chunk
                yield Record.FromString(message)
                message = b""


@pytest.mark.extra
def test_wandb_offline(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    overrides = (*SMALL, "logger=wandb", "logger.wandb.offline=true", "logger.wandb.project=mine")
    cfg, other = compose(*overrides), compose(*overrides, "seed=1", name="other")
    directory = Path(cfg.run_dir)
    train(cfg)
    train(other)  # in the same process, as a sweep's jobs are
    train(compose(*overrides, "trainer.max_epochs=3", f"ckpt_path={cfg.run_dir}/checkpoints/last.ckpt"))
    ids = [json.loads((Path(each.run_dir) / "loggers.json").read_text())["wandb"] for each in (cfg, other)]
    assert ids[0] != ids[1]
    records = [*wandb_records(directory)]
    runs = [record.run for record in records if record.HasField("run")]
    assert {run.run_id for run in runs} == {ids[0]}
    assert {run.project for run in runs} == {"mine"}
    keys = {item.key for record in records for item in [*record.run.config.update, *record.config.update]}
    assert {"seed", "optimizer_d.lr", "data.distribution"} <= keys
    steps: dict[str, list[int]] = {"val/w2": [], "train/loss_d": [], "game": []}
    for record in records:
        values = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
        for name in steps:
            if any(key == name or key.startswith(f"{name}/") for key in values):
                steps[name].append(int(values["trainer/global_step"]))
    assert steps == {"val/w2": [5, 10, 15], "train/loss_d": [5, 10, 15], "game": [5, 10, 15]}
    assert len([*directory.glob("wandb/offline-run-*/files/media/images/game*.png")]) == 3


@pytest.mark.extra
def test_wandb_without_a_key_gives_one_line(compose: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    import wandb

    wandb.teardown()  # it remembers the mode of earlier runs
    cfg = compose("logger=wandb")
    with pytest.raises(ConfigError, match=r"logger\.wandb: .*wandb login.* logger\.wandb\.offline=true$"):
        assemble(cfg)
    assert not Path(cfg.run_dir).exists()


@pytest.mark.extra
def test_mlflow_on_a_local_store(compose: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    overrides = (*SMALL, "logger=mlflow")
    last = kill_after_a_checkpoint(compose, *overrides)
    monkeypatch.setattr(evaluation, "typed", lambda: ["trainer.max_epochs"])  # MLflow cannot change this parameter
    train(compose(*overrides, "trainer.max_epochs=3", f"ckpt_path={last}"))
    train(compose(*overrides, "~callbacks.pictures", "seed=1", name="other"))
    client = MlflowClient("sqlite:///logs/mlflow.db")
    experiment = client.get_experiment_by_name("gaussgan")
    other, run = client.search_runs([experiment.experiment_id])
    assert (run.data.params["seed"], other.data.params["seed"]) == ("0", "1")
    assert run.data.params["optimizer_d.lr"] == "0.05"
    assert run.data.tags["run_dir"] == str(last.parents[1])
    assert run.info.status == "FINISHED"
    points = {(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "val/w2")}
    assert sorted(step for step, _ in points) == [5, 10, 15, 20]  # values that were logged twice are equal
    images = [path.name for path in (tmp_path / "logs" / "mlflow").glob(f"{run.info.run_id}/artifacts/images/*.png")]
    assert {name.partition("+timestamp")[0] for name in images} == {f"game+step+{step}" for step in (5, 10, 15, 20)}


def test_make_loggers_without_loggers() -> None:
    assert make_loggers({"run_dir": "none", "logger": None}) == []


def test_a_csv_file_has_one_row_per_step_and_drops_half_a_row(tmp_path: Path) -> None:
    from gaussgan.loggers.csv_logger import CSVLogger

    logger = CSVLogger(str(tmp_path))
    for step in (1, 2, 3):
        logger.log_metrics({"a": step}, step)
        logger.log_metrics({"b": -step}, step)
    logger.log_metrics({"a": 7}, 2)
    expected = ["step,a,b", "1,1,-1", "2,7,-2", "3,3,-3"]
    assert (tmp_path / "metrics.csv").read_text().splitlines() == expected
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("40")  # the start of 400,…, as after a kill
    CSVLogger(str(tmp_path), purge_step=1000).log_metrics({"a": 4}, 4)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [*expected, "4,4,"]


def test_a_resumed_run_logs_means_within_an_epoch_too(compose: Compose) -> None:
    recipe = ("data.num_examples=80", "trainer.max_epochs=2", "~callbacks.pictures", "logger=csv")
    every = (*recipe, "trainer.log_every_n_steps=4")
    alone, first = compose(*every, name="alone"), compose(*every, "trainer.max_steps=4", name="run")
    train(alone)
    train(first)
    train(compose(*every, f"ckpt_path={first.run_dir}/checkpoints/last.ckpt", name="run"))
    ours, theirs = (
        [*csv.DictReader(Path(cfg.run_dir, "metrics.csv").read_text().splitlines())] for cfg in (first, alone)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one["step"] == other["step"]
        for tag in ("train/loss_d_step", "train/loss_g_step"):
            assert one[tag] == other[tag] or float(one[tag]) == pytest.approx(float(other[tag]), rel=1e-5)
