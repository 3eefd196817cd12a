"""simulate returns the numbers of scripts/train.py as tensors, writes nothing, and disturbs nothing."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig

import gaussgan
from conftest import PATIENCE, ROOT
from gaussgan import simulate
from gaussgan.callbacks import evaluation
from gaussgan.config import compose
from gaussgan.config.errors import ConfigError
from gaussgan.runs.directory import LAST
from gaussgan.runs.load import read_checkpoint
from gaussgan.runs.record import read_record
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("trainer.accelerator=cpu", "data.num_examples=84", "data.batch_size=10", "trainer.max_epochs=2")
QUIET = "trainer.enable_progress_bar=false"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (directory := tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(directory)
    return directory


def test_it_equals_a_run_of_replicas_exactly(compose: Compose, nowhere: Path) -> None:
    lists = ("optimizer_d.lr=[0.05,1e38,0.1]", "ema_half_life=5")
    state = torch.random.get_rng_state()
    ours = simulate([*SMALL, QUIET, *lists], seeds=[4, 4, 9])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [*nowhere.iterdir()] == []
    cfg = compose(*SMALL, *lists, "replicas=3", "seed=[4,4,9]", "~callbacks.pictures")
    train(cfg)
    with (Path(cfg.run_dir) / "replicas.csv").open() as file:
        rows = [*csv.DictReader(file)]
    for tag in (tag for tag in rows[0] if tag.startswith(("val/", "train/"))):
        expected = torch.tensor([float(row[tag] or "nan") for row in rows], dtype=torch.float64)
        torch.testing.assert_close(ours.measures[tag][:, -1], expected, rtol=0, atol=0, equal_nan=True)
    assert ours.baseline is not None
    assert ours.baseline.tolist() == [float(row["mle/w2"]) for row in rows]
    checkpoint = read_checkpoint(Path(cfg.run_dir) / LAST)
    assert ours.parameters.keys() == {name.replace("stacked.", "") for name in checkpoint["state_dict"]}
    for name, value in checkpoint["state_dict"].items():
        assert torch.equal(ours.parameters[name.replace("stacked.", "")], value)
    history = checkpoint["history"]
    for tag, values in ours.measures.items():
        theirs = history["rows"][:, history["names"].index(tag)].mT
        torch.testing.assert_close(values, theirs, rtol=0, atol=0, equal_nan=True)
    assert (ours.seeds, ours.iterations.tolist()) == ([4, 4, 9], [9, 18])
    assert ours.diverged_at.tolist() == [0, checkpoint["diverged"][1][0], 0]


@pytest.mark.parametrize("overrides", [(), ("data=ring", "generator=mlp", "generator.widths=[4]")])
def test_in_float64_each_seed_is_its_single_run(compose: Compose, overrides: tuple[str, ...]) -> None:
    recipe = (*SMALL, "trainer.precision=64-true", *overrides)
    many = simulate([*recipe, QUIET], seeds=range(3, 5))
    for i, seed in enumerate((3, 4)):
        one = simulate([*recipe, QUIET], seeds=[seed])
        cfg = compose(*recipe, f"seed={seed}", "~callbacks.pictures", "logger=none", name=f"{seed}")
        train(cfg)
        record, state = read_record(Path(cfg.run_dir)), read_checkpoint(Path(cfg.run_dir) / LAST)["state_dict"]
        assert one.measures.keys() == many.measures.keys()
        for tag, values in one.measures.items():
            assert values.shape == (1, 2)
            torch.testing.assert_close(many.measures[tag][i], values[0], rtol=1e-7, atol=1e-9)
            assert record.get(tag, values[0, -1].item()) == values[0, -1].item()
        for name, value in state.items():
            assert torch.equal(one.parameters[name][0], value)
            torch.testing.assert_close(many.parameters[name][i], value, rtol=1e-7, atol=1e-9)
        if many.baseline is not None and one.baseline is not None:
            assert one.baseline.shape == (1,)
            assert many.baseline[i].item() == one.baseline.item() == record["mle/w2"]


def test_a_single_run_may_diverge() -> None:
    ours = simulate([*SMALL, QUIET, "optimizer_d.lr=1e38"])
    assert ours.diverged_at.shape == (1,)
    assert ours.diverged_at.item() > 0
    assert ours.iterations.shape == (0,)
    assert ours.measures == {}


def test_hydra_and_threads_are_as_before() -> None:
    threads = torch.get_num_threads()
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3", job_name="mine"):
        loader = GlobalHydra.instance().hydra
        for overrides in ([*SMALL, QUIET], ["no=1"]):
            try:
                simulate([*overrides, "threads=2"], seeds=[1, 2])
            except ConfigError:
                assert overrides == ["no=1"]
            assert GlobalHydra.instance().hydra is loader
            assert JobRuntime.instance().get("name") == "mine"
            assert hydra.compose("train", ["replicas=3"]).replicas == 3
            assert torch.get_num_threads() == threads
    assert not GlobalHydra.instance().is_initialized()
    assert not HydraConfig.initialized()


def test_ctrl_c_ends_it_and_python_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def press(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(evaluation.Evaluation, "on_train_batch_end", press)
        with pytest.raises(KeyboardInterrupt, match="SIGINT"):
            simulate([*SMALL, QUIET])
    assert signal.getsignal(signal.SIGINT) is handler
    assert simulate([*SMALL, QUIET]).iterations.tolist() == [9, 18]


@pytest.mark.parametrize(
    "overrides, seeds, words",
    [
        (["no=1"], [0], "unknown key no"),
        (["+no=1"], [0], "unknown key no"),
        (["optimizer_d.lr=abc"], [0], "optimizer_d.lr must be a finite number above 0 (got 'abc')"),
        (["generator=mpl"], [0], "generator must be one of conv, linear, location, mlp (got mpl)"),
        (["optimizer_d.lr=[1,2]"], [0, 1, 2], "optimizer_d.lr must have one entry for each of replicas=3 (got 2)"),
        (["optimizer_d.lr=1,2"], [0], "optimizer_d.lr=1,2 gives several values: put a list with"),
        (["a b"], [0], "a b must be key=value"),
        ("a=1", [0], "overrides must be a list of texts, such as ['optimizer_d.lr=0.1'] (got 'a=1')"),
        ([1], [0], "overrides must be a list of texts"),
        (["seed=3"], [0], "seed must not be set: the argument seeds sets it (got seed=3)"),
        (["++replicas=3"], [0], "replicas must not be set: the argument seeds sets it"),
        (["data.seed=3"], [0, 1], "data.seed must be left as ${seed} with replicas=2"),
        (["logger=csv"], [0], "logger must not be set: simulate writes no files (got logger=csv)"),
        (["~logger"], [0], "logger must not be set: simulate writes no files (got ~logger)"),
        (["callbacks=lean"], [0], "callbacks must not be set: simulate writes no files"),
        (["callbacks.record.history=false"], [0], "callbacks.record.history must not be set"),
        (["hydra.run.dir=x"], [0], "hydra.run.dir must not be set: simulate writes no files and runs one job"),
        (["hydra/launcher=vectorized"], [0], "hydra.launcher must not be set"),
        (["ckpt_path=x"], [0], "ckpt_path must not be set: simulate writes no files"),
        (["tags=[a]"], [0], "tags must not be set"),
        (["debug=profiler"], [0], "trainer.profiler must be null"),
        (["trainer.devices=2", "trainer.strategy=ddp_spawn"], [0], "trainer.devices must be 1: simulate uses one"),
        (["trainer.max_steps=null"], [0], "trainer.max_steps must be -1 (no limit) or a whole number"),
        ([], 5, "seeds must be a list of whole numbers, such as range(100) (got 5)"),
        ([], [1.5], "seeds must be a list of whole numbers"),
        ([], [], "seeds must be a list of at least one whole number"),
        ([], [-1], "seed must be a whole number of at least 0 (got -1)"),
    ],
)
def test_mistakes_are_one_line(nowhere: Path, overrides: list[str], seeds: list[int], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        simulate(overrides, seeds)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)
    assert [*nowhere.iterdir()] == []


def test_the_evaluation_may_be_changed() -> None:
    ours = simulate(["experiment=dirac", QUIET, "trainer.max_epochs=1"], seeds=[0, 1])
    assert ours.measures["val/distance"].shape == (2, 1)
    with pytest.raises(ConfigError, match=r"exact must be false"):
        simulate([*SMALL, "generator=mlp", "callbacks.evaluation.exact=true"])


def test_the_configuration_is_found_in_the_repository_and_in_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compose.conf_directory() == ROOT / "conf"
    for directory in (tmp_path / "site" / "gaussgan", tmp_path / "checkout" / "src" / "gaussgan"):
        directory.mkdir(parents=True)
        monkeypatch.setattr(compose, "__file__", str(directory / "config" / "compose.py"))
        with pytest.raises(ConfigError, match="the configuration files are missing"):
            simulate()
    for conf in (directory.parents[1] / "conf", directory / "conf"):
        conf.mkdir()
        (conf / "train.yaml").touch()
        assert compose.conf_directory() == conf


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, gaussgan; assert 'torch' not in sys.modules; assert 'simulate' in gaussgan.__all__"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
    assert gaussgan.simulate is simulate
