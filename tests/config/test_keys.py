"""An unknown key is refused with the most similar key, and a recommended override works; tags, debug and ddp."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from conftest import PATIENCE, ROOT
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import differences, hyperparameters
from gaussgan.networks import Linear
from gaussgan.runs.load import read_checkpoint
from gaussgan.runs.record import read_record
from gaussgan.setup.arguments import check_arguments
from gaussgan.sweep.together import train_together
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=40", "data.steps_per_execution=5", "trainer.max_epochs=2")
QUICK = (*SMALL, "~callbacks.pictures")
UNKNOWN = "unknown key"


class HandsOn(Linear):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)


def check_all(cfg: DictConfig) -> None:
    check(cfg)
    check_arguments(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]


@pytest.mark.every_second
@pytest.mark.parametrize(
    "overrides, words",
    [
        # at the top level
        ("+compile_=true", f"{UNKNOWN} compile_"),
        ("+optimiser_d.lr=0.5", f"{UNKNOWN} optimiser_d.lr; did you mean optimizer_d.lr or optimizer_g.lr?"),
        ("+weight_decay=0.5", f"{UNKNOWN} weight_decay"),
        ("+Seed=1", f"{UNKNOWN} Seed; did you mean seed?"),
        ("+foo={}", f"{UNKNOWN} foo"),
        ("+foo=null", f"{UNKNOWN} foo"),
        ("+foo={a:1}", f"{UNKNOWN} foo.a"),
        ("++_target_=a", f"{UNKNOWN} _target_"),
        ("+d=1", f"{UNKNOWN} d"),  # %d occurs in ${now:%Y-%m-%d}, but not as a key
        # next to components
        ("+penalty.foo=1", f"{UNKNOWN} penalty.foo"),
        ("+penalty.weight=3", f"{UNKNOWN} penalty.weight"),
        ("+penalty._target_=gaussgan.gan.penalties.R1", f"{UNKNOWN} penalty._target_"),
        ("+penalty.r1.foo=1", "penalty.r1 must be a component with a _target_ (got none)"),
        (
            "+callbacks.foo=1",
            "callbacks.foo must be a component with a _target_ (got 1); ~callbacks.foo removes it",
        ),
        ("+callbacks.foo={bar:'${seed}'}", "callbacks.foo must be a component with a _target_ (got none)"),
        ("callbacks.pictures=null", "callbacks.pictures must be a component with a _target_ (got null)"),
        ("+schedule.end=0.1", f"{UNKNOWN} schedule.end"),
        ("+schedule.foo={_target_:gaussgan.gan.schedules.Cosine}", f"{UNKNOWN} schedule.foo"),
        ("+player_d._target_=foo", f"{UNKNOWN} player_d._target_"),
        # inside components
        ("+data.foo=1", "data.foo: DataModule has no argument foo"),
        ("+data.latents=1", "data.latents: DataModule has no argument latents"),  # latents=NAME chooses them
        ("+generator._foo_=1", "generator._foo_: Linear has no argument _foo_"),
        ("penalty=r1 +penalty.r1.foo=1", "penalty.r1.foo: R1 has no argument foo"),
        ("+callbacks.pictures.foo=1", "callbacks.pictures.foo: Pictures has no argument foo"),
        ("+callbacks.pictures.draw.foo=1", "callbacks.pictures.draw.foo: game has no argument foo"),
        (
            "+callbacks.x={_target_:types.SimpleNamespace,_args_:[{_target_:gaussgan.gan.schedules.Cosine,foo:1}]}",
            "callbacks.x._args_.0.foo: Cosine has no argument foo",
        ),
        # a class that passes its arguments to another class
        (
            "+callbacks.x={_target_:pytorch_lightning.callbacks.ModelSummary,foo:1}",
            "callbacks.x.foo: ModelSummary has no argument foo",
        ),
        (
            "+callbacks.x={_target_:pytorch_lightning.loggers.TensorBoardLogger,save_dir:x,foo:1}",
            "callbacks.x.foo: TensorBoardLogger has no argument foo",
        ),
        ("+objective._partial_=true", "objective._partial_ must be false"),
        ("+callbacks.record._partial_=true", "callbacks.record._partial_ must be false"),
        # keys that only unused keys refer to
        ("+a=1 +b=${a}", f"{UNKNOWN} a"),
        ("+my={a:0.1,b:2} optimizer_d.lr=${my.a}", f"{UNKNOWN} my.b"),
        ("+my={a:0.1,b:'${.a}'}", f"{UNKNOWN} my.a"),
    ],
)
def test_a_key_that_nothing_reads(compose: Compose, overrides: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_all(compose(*overrides.split()))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "overrides",
    [
        "+lr=0.1 optimizer_d.lr=${lr} optimizer_g.lr=${lr}",
        "+my.width=7 generator=mlp generator.widths=[${my.width}]",
        "+b=${a} +a=0.1 optimizer_d.lr=${b}",
        "+my={a:0.1,b:'${.a}',c:{d:'${..b}'}} optimizer_d.lr=${my.c.d}",
        "+a=0.1 +which=a optimizer_d.lr='${${which}}'",
        "+k=1 update.d_steps=${oc.select:k,1}",
        "+penalty.foo=3 penalty=r1 penalty.r1.weight=${penalty.foo}",
        "+my={_target_:pytorch_lightning.callbacks.Timer} +callbacks.timer=${my}",
        "generator._target_=test_keys.HandsOn +generator.bias=true",  # **arguments accepts any name
        "optimizer_d._target_=torch.optim.Adam +optimizer_d.weight_decay=0.1",
    ],
)
def test_a_key_that_a_component_reads(compose: Compose, overrides: str) -> None:
    check_all(compose(*overrides.split()))


def test_a_table_whose_entry_is_chosen_by_another_key(compose: Compose) -> None:
    cfg = compose("+rates={slow:0.01,fast:0.1}", "+pace=fast")
    cfg.optimizer_d.lr = "${rates.${pace}}"
    check(cfg)
    assert cfg.optimizer_d.lr == 0.1


def test_a_key_that_is_only_interpolated_is_not_in_the_recipe(compose: Compose) -> None:
    one, other = (
        OmegaConf.to_container(compose(*overrides), resolve=True)
        for overrides in (["+lr=0.1", "optimizer_d.lr=${lr}"], ["optimizer_d.lr=0.1", "tags=[a]"])
    )
    assert not differences(one, other)  # type: ignore[arg-type]
    assert "lr" not in hyperparameters(one)  # type: ignore[arg-type]


@pytest.mark.every_second
@pytest.mark.parametrize(
    "arguments, words",
    [
        # a + is not recommended if the key would have no effect
        ("test=true", f"{UNKNOWN} test"),
        ("model=mlp", f"{UNKNOWN} model; did you mean generator or discriminator?"),
        ("lr=0.1", f"{UNKNOWN} lr; did you mean optimizer_d.lr or optimizer_g.lr?"),
        ("batch_size=16", f"{UNKNOWN} batch_size; did you mean data.batch_size?"),
        ("epochs=5", f"{UNKNOWN} epochs; did you mean trainer.max_epochs?"),
        ("print_config=true", f"{UNKNOWN} print_config; did you mean --cfg job?"),
        ("trainer.gpus=1", "trainer.gpus: Trainer has no argument gpus; did you mean trainer.devices?"),
        ("trainer.max_epoch=3", f"{UNKNOWN} trainer.max_epoch; did you mean trainer.max_epochs?"),
        ("generator={width:[3]}", "generator.width: Linear has no argument width"),
        ("penalty.r1.weight=1", "penalty.r1 must be a component with a _target_ (got none); penalty=r1 adds it"),
        (
            "callbacks.early_stopping.patience=3",
            "callbacks.early_stopping must be a component with a _target_ (got none);"
            " callbacks=[default,early_stopping] adds it",
        ),
        # a + that works is recommended
        (
            "trainer.max_time=00:00:01:00",
            "trainer.max_time is not in this configuration: +trainer.max_time=00:00:01:00",
        ),
        ("generator.mean=0.3", "generator.mean is not in this configuration: +generator.mean=0.3 adds it"),
        (
            "callbacks.mine={_target_:pytorch_lightning.callbacks.Timer}",
            "callbacks.mine._target_ is not in this configuration: +callbacks.mine=",
        ),
        (
            "schedule={_target_:gaussgan.gan.schedules.Cosine,end:0}",
            "schedule._target_ is not in this configuration: +schedule={_target_:gaussgan.gan.schedules.Cosine,end:0} ",
        ),
        # options of groups
        ("callbacks=logit", "callbacks.evaluation must be included, as in callbacks=[default,logit]"),
        ("callbacks=[logit,spectrum]", "callbacks.evaluation must be included, as in callbacks=[default,…]"),
        ("data/distribution=ring", "unknown group data/distribution; did you mean data?"),
        ("trainer=gpuu", "trainer must be one of cpu, ddp, default, gpu, mps (got gpuu)"),
        (
            "hydra/launcher=none_such",
            "hydra/launcher must be one of basic, joblib, ray, submitit_local, submitit_slurm, vectorized (got",
        ),
        (
            "hydra.launcher=joblib",
            "hydra.launcher must be chosen as hydra/launcher=NAME, one of basic, joblib, ray, submitit_local, submitit",
        ),
        ("-m hydra.sweeper=optuna seed=0,1", "hydra.sweeper must be chosen as hydra/sweeper=NAME, one of basic"),
        ("+hydra.job.foo=1", f"{UNKNOWN} hydra.job.foo"),
        ("-m +hydra.foo=1 seed=0,1", f"{UNKNOWN} hydra.foo"),
        # syntax
        ("seed=[0,1]", "seed must be a whole number of at least 0 (got [0, 1]); a list needs replicas=2"),
        ("seed=0,1", "seed=0,1 gives several values: add -m for a sweep, or put a list in brackets"),
        ("-m seed=0,1 foo=1", f"{UNKNOWN} foo"),
        ("--seed=3", "--seed=3 cannot be here: write keys as key=value, without dashes"),
        ("seed=0,1 -m trainer=cpu", "trainer=cpu cannot be here: keys must stand together"),
        ("seed:3", "seed:3 must be key=value; a value with = or spaces needs its own quotes"),
        ("'data.distribution.A=[[1,2],[3,4]'", "data.distribution.A=[[1,2],[3,4] must be key=value"),
        ("~optimizer_d.foo", f"{UNKNOWN} optimizer_d.foo"),
        ("generator._target_=nosuch.Net", "generator: Error loading 'nosuch.Net'"),
        # tags
        ("tags=abc", "tags must be a list of words, such as [a,b] (got 'abc')"),
        ("tags=[1,2]", "tags must be a list of words, such as [a,b] (got [1, 2])"),
    ],
)
def test_a_hint(
    complaint: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    assert words in complaint(arguments)
    assert not capfd.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("launcher", ["basic", "vectorized"])
def test_a_sweeps_jobs_are_checked(tmp_path: Path, launcher: str) -> None:
    keys = ("seed=0,1", "+name=x", "+rate=0.1,0.2", "+foo=1")
    used = ("hydra.sweep.subdir=${name}_${hydra:job.num}", "optimizer_d.lr=${rate}")
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "-m", f"hydra/launcher={launcher}", *keys, *used]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines().count(f"{UNKNOWN} foo") == 4, result.stderr
    records = [read_record(path.parent) for path in tmp_path.rglob("metrics.json")]
    assert [record["error"] for record in records] == [f"{UNKNOWN} foo"] * 4


def test_a_run_from_python_is_checked(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=UNKNOWN):
        train(compose("+foo=1", "tags=[a]"))
    record = read_record(tmp_path / "run")
    assert (record["status"], record["error"], record["tags"]) == ("failed", f"{UNKNOWN} foo", ["a"])


def test_tags_are_recorded_and_may_change(compose: Compose, tmp_path: Path) -> None:
    cfg = compose(*QUICK, "tags=[paper,baseline]", "trainer.max_steps=5")
    train(cfg)
    record = read_record(tmp_path / "run")
    assert record["tags"] == ["paper", "baseline"]
    assert [*record][:4] == ["status", "error", "tags", "seed"]
    assert "paper" in str(hyperparameters(OmegaConf.to_container(cfg, resolve=True))["tags"])  # type: ignore[arg-type]
    last = f"ckpt_path={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}"
    train(compose(*QUICK, "tags=[other]", "replicas=1", last))
    record = read_record(tmp_path / "run")
    assert (record["status"], record["iterations"], record["tags"]) == ("completed", 10, ["other"])


def test_jobs_that_are_trained_together_have_tags(compose: Compose, tmp_path: Path) -> None:
    jobs = [compose(*QUICK, "tags=[a,b]", f"seed={seed}", name=f"job{seed}") for seed in (1, 2)]
    train_together([OmegaConf.to_container(cfg, resolve=True) for cfg in jobs], tmp_path / "group")  # type: ignore[misc]
    assert [read_record(tmp_path / f"job{seed}")["tags"] for seed in (1, 2)] == [["a", "b"]] * 2


def test_early_stopping_stops(compose: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    patient = ("callbacks.early_stopping.patience=1", "+callbacks.early_stopping.min_delta=100")
    quick = [each for each in QUICK if not each.startswith("trainer.max_epochs")]
    train(compose(*quick, "callbacks=[default,early_stopping]", *patient))
    record = read_record(tmp_path / "run")
    assert (record["status"], record["iterations"]) == ("completed", 10)  # two epochs of twenty
    assert "ended the run, at iteration 10 of 100" in caplog.text


def test_learning_rates_are_monitored(compose: Compose, tmp_path: Path) -> None:
    train(compose(*QUICK, "callbacks=[default,lr_monitor]", "schedule=cosine"))
    assert read_record(tmp_path / "run")["status"] == "completed"


@pytest.mark.parametrize("experiment", ["d2l", "grid"])
def test_debug_default_goes_through_everything(compose: Compose, tmp_path: Path, experiment: str) -> None:
    train(compose(f"experiment={experiment}", "debug=default"))
    record = read_record(tmp_path / "run")
    assert (record["status"], record["iterations"]) == ("completed", 16)
    figures = {"final.png"} | ({"logit.png", "spectrum.png"} if experiment == "d2l" else set())
    assert {path.name for path in (tmp_path / "run" / "figures").iterdir()} == figures
    assert {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}


def test_debug_anomaly_stops_at_the_first_nan(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="returned nan values"):
        train(compose(*QUICK, "debug=anomaly", "penalty=r1", "optimizer_d.lr=1e30", "optimizer_g.lr=1e30"))
    assert read_record(tmp_path / "run")["status"] == "failed"


def test_debug_profiler_leaves_its_report(compose: Compose, tmp_path: Path) -> None:
    train(compose(*QUICK, "debug=profiler"))
    assert "run_training_epoch" in (tmp_path / "run" / "fit-profile.txt").read_text()


@pytest.mark.extra  # it takes long
def test_ddp_from_the_command_line(compose: Compose, tmp_path: Path) -> None:
    ranks = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.enable_progress_bar=false")
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *ranks, *QUICK]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    (directory,) = (tmp_path / "logs" / "runs").iterdir()
    assert read_record(directory)["status"] == "completed"
    assert result.stdout.count("completed after 10 iterations") == 1
    train(compose(*QUICK))
    shared, alone = (
        read_checkpoint(path / "checkpoints" / "last.ckpt")["state_dict"] for path in (directory, tmp_path / "run")
    )
    torch.testing.assert_close(shared, alone, rtol=1e-3, atol=1e-4)
