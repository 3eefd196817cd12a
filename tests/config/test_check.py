"""A mistake of the user prints one line that names the key, and leaves no files."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from omegaconf import DictConfig

from conftest import PATIENCE, ROOT
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.runs.record import read_record
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]


def run_script(*arguments: str, cwd: Path, script: str = "train.py", **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / script), *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.every_second
@pytest.mark.parametrize(
    "arguments, words",
    [
        (["optimizer_d.lrr=1"], ["optimizer_d.lrr", "optimizer_d.lr"]),
        (["objective=nosuch"], ["objective must be one of", "nonsaturating", "(got nosuch)"]),
        (["~optimizer_d.lr"], ["optimizer_d.lr must be a finite number above 0 (it was removed)"]),
        (["ckpt_path=nosuch.ckpt"], ["ckpt_path must be null, or the path of an existing checkpoint", "'nosuch.ckpt'"]),
        (["init_from=nosuch"], ["init_from must be null, or the path of a run or of a checkpoint", "'nosuch'"]),
        (["optimizer_d.lr=abc"], ["optimizer_d.lr must be a finite number above 0", "'abc'"]),
        (["-m", "optimizer_d.lr=abc,-1"], ["optimizer_d.lr must be a finite number above 0", "'abc'", "-1"]),
        (["seed"], ["seed"]),
        (["optimizer_d.lr=${nope}"], ["optimizer_d.lr: ", "'nope' not found"]),
        (["hydra.run.dir="], ["hydra.run.dir must be the name of a directory (got '')"]),
    ],
)
def test_a_mistake_is_found_before_torch_is_imported(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    without_torch = tmp_path / "path"
    without_torch.mkdir()
    (without_torch / "torch.py").write_text("raise ImportError('torch was imported')")
    result = run_script(*arguments, cwd=tmp_path, PYTHONPATH=f"{without_torch}{os.pathsep}{ROOT / 'src'}")
    assert "torch was imported" not in result.stderr
    assert result.returncode != 0
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.stderr
    if "-m" not in arguments:
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert [*tmp_path.iterdir()] == [without_torch]
    for record in tmp_path.rglob("metrics.json"):
        assert json.loads(record.read_text())["error"].startswith(arguments[1].partition("=")[0])
    assert len([*tmp_path.rglob("metrics.json")]) == (2 if "-m" in arguments else 0)


UNKNOWN = "unknown key"
OPTIMIZERS = "one of adam, optimistic_adam, rmsprop, sgd"


@pytest.mark.every_second
@pytest.mark.parametrize(
    "arguments, line",
    [
        # removed keys
        ("~generator.in_features", "data.latent_dim: Interpolation key 'generator.in_features' not found"),
        ("~data.distribution.A", "data.distribution.A must be given: AffineGaussian needs it"),
        ("~generator.std", "generator.std must be given: Linear needs it"),
        ("~player_d", "player_d must be a mapping of keys to values, such as player_d.clip_gradient=1 (got nothing)"),
        ("~ckpt_path", "ckpt_path cannot be removed (it is null)"),
        ("~player_d.clip_gradient", "player_d.clip_gradient cannot be removed (it is null)"),
        ("~run_dir", "run_dir cannot be removed (it is ${hydra:runtime.output_dir})"),
        ("~nosuch", f"{UNKNOWN} nosuch"),
        # unknown keys and arguments
        ("+player_d.foo=1", "player_d.foo: Player has no argument foo"),
        ("+generator.rng=1", "generator.rng: Linear has no argument rng"),
        (
            "+trainer.max_epoch=1",
            "trainer.max_epoch: Trainer has no argument max_epoch; did you mean trainer.max_epochs",
        ),
        ("nosuch=1", f"{UNKNOWN} nosuch"),
        ("seed=3 optimizer_d.lrr=1", f"{UNKNOWN} optimizer_d.lrr; did you mean optimizer_d.lr or "),
        ("hydra.run.dirr=a", f"{UNKNOWN} hydra.run.dirr; did you mean hydra.run.dir or "),
        (
            "discriminator=maxout discriminator.spectral_norm=true",
            "discriminator.spectral_norm: Maxout has no argument spectral_norm",
        ),
        ("+optimizer_d.lr=1", "optimizer_d.lr already exists: leave out the + (got +optimizer_d.lr=1)"),
        ("run_dir=logs/a", "run_dir must not be set: it follows hydra.run.dir"),
        ("-m run_dir=logs/a,logs/b", "run_dir must not be set: it follows hydra.sweep.dir"),
        # options of groups
        ("optimizer_d=foo", f"optimizer_d must be .* as optimizer@optimizer_d=NAME, {OPTIMIZERS} (got foo)"),
        ("optimizer_d=sgd optimizer_d.lr=1", f"optimizer_d must be .* {OPTIMIZERS} (got sgd)"),
        (
            "optimizer=sgd",
            f"as optimizer@optimizer_d=NAME or optimizer@optimizer_g=NAME, {OPTIMIZERS} (got optimizer",
        ),
        (
            "optimizer@optimizer_d=foo",
            "optimizer@optimizer_d must be one of adam, optimistic_adam, rmsprop, sgd (got foo)",
        ),
        ("generator=foo", "generator must be one of conv, linear, location, mlp (got foo)"),
        ("generatr=mlp", f"{UNKNOWN} generatr; did you mean generator?"),
        ("data=3", "data must be one of affine_gaussian, .* (got 3)"),
        ("logger=null", "logger must be one of csv, mlflow, none, tensorboard, wandb (got null)"),
        (
            "penalty=[]",
            "penalty must be .* as penalty=NAME, one of consistency, .*, zero_centred (got nothing)",
        ),
        ("penalty=[r1,nosuch]", "penalty must be one of consistency, .*, zero_centred (got "),
        ("+penalty=r1", "penalty is already chosen: leave out the + (got +penalty=r1)"),
        ("-m seed=0,1 generator=mlp,foo", "generator must be one of conv, linear, location, mlp (got foo)"),
        # directories, launchers and strategies
        ("-m seed=0,1 hydra.sweep.dir=/dev/null/x", "hydra.sweep.dir: cannot write to /dev/null/x (Not a directory)"),
        ("-m seed=0,1 hydra.sweep.dir=", "hydra.sweep.dir must be the name of a directory (got '')"),
        ("hydra.run.dir=null", "hydra.run.dir: .* not Optional"),
        (
            "-m seed=0,1 hydra/launcher=vectorized hydra.launcher.max_replicas=abc",
            "hydra.launcher.max_replicas must be a whole number of at least 1, or null (got abc)",
        ),
        (
            "trainer.strategy=foo",
            "trainer.strategy must be auto, ddp or another ddp strategy of Lightning, such as ddp_spawn (got foo)",
        ),
    ],
)
def test_a_mistake_prints_one_line_and_leaves_no_files(
    complaint: Callable[[str], str], arguments: str, line: str
) -> None:
    message = complaint(arguments)
    assert re.search(re.escape(line).replace(r"\.\*", ".*"), message), message


def test_help_and_cfg_do_not_import_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')")
    for flags in (["--help"], ["--cfg", "job"], ["--cfg", "job", "--resolve", "experiment=ring", "debug=profiler"]):
        result = run_script(*flags, cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT / 'src'}")
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("\noptimizer_d:") == 1 or flags == ["--help"]


@pytest.mark.every_second
@pytest.mark.parametrize(
    "override, message",
    [
        (
            "~trainer.accelerator",
            "trainer.accelerator must be auto, or the name of an .* \\(it was removed",
        ),
        ("~trainer.enable_progress_bar", "trainer.enable_progress_bar must be true or false \\(it was removed"),
        ("~data._target_", "data._target_ must be the dotted name of a class or function \\(it was removed"),
        ("~trainer._target_", "trainer._target_ must be the dotted name of a class or function \\(it was removed"),
        ("~callbacks.pictures._target_", "callbacks.pictures must be a component with a _target_ \\(got none\\)"),
        ("~logger.tensorboard._target_", "logger.tensorboard must be a component with a _target_ \\(got none\\)"),
        ("~optimizer_d._target_", "optimizer_d._target_ must be the dotted name of a class or function"),
        ("~optimizer_d._partial_", "optimizer_d._partial_ must be true"),
        ("~data.seed", "data.seed must be a whole number of at least 0 \\(it was removed"),
        ("~data.latent_dim", "data.latent_dim must be a whole number of at least 1 \\(it was removed"),
        ("optimizer_d.lr=${nope}", "optimizer_d.lr: Interpolation key 'nope' not found"),
        ("optimizer_d.lr=0", "optimizer_d.lr must be a finite number above 0"),
        ("optimizer_g.lr=-0.1", "optimizer_g.lr must be a finite number above 0"),
        ("optimizer_g.lr=nan", "optimizer_g.lr must be a finite number above 0"),
        ("optimizer_d.betas=[0.9,1.0]", "optimizer_d.betas must be two numbers"),
        ("optimizer_d=sgd", "optimizer_d must be chosen as optimizer@optimizer_d=NAME"),
        ("~callbacks", "callbacks must be chosen as callbacks=NAME"),
        ("data=base", "data.distribution must be chosen as data=NAME"),
        ("~callbacks.record", "callbacks.record must be chosen as callbacks=NAME"),
        ("~callbacks.checkpoints", "callbacks.checkpoints must be chosen as callbacks=NAME"),
        ("~seed", "seed must be a whole number of at least 0 \\(it was removed"),
        ("trainer.max_epochs=null", "trainer.max_epochs or trainer.max_steps must be a whole number of at least 1"),
        ("seed=-1", "seed must be a whole number of at least 0"),
        ("seed=1.5", "seed must be a whole number of at least 0"),
        ("data.validation_samples=0", "data.validation_samples must be a whole number from 1 to 10,000"),
        ("data.batch_size=0", "data.batch_size must be a whole number of at least 1"),
        ("data.num_examples=0", "data.num_examples must be a whole number of at least 1"),
        ("data.batch_size=1001", "data.batch_size must be at most data.num_examples = 1000"),
        ("data.steps_per_execution=two", "data.steps_per_execution must be a whole number"),
        ("data.fresh=maybe", "data.fresh must be true or false"),
        ("trainer.max_epochs=-1", "trainer.max_epochs must be a whole number of at least 1"),
        ("trainer.max_steps=0", "trainer.max_steps must be -1"),
        ("trainer.devices=0", "trainer.devices must be auto, -1 \\(all of them\\), a whole number"),
        ("trainer.devices=abc", "trainer.devices must be auto, -1"),
        ("trainer.devices=[]", "trainer.devices must be auto, -1"),
        (
            "+trainer.gradient_clip_val=1",
            "trainer.gradient_clip_val must be null: .* player_d.clip_gradient and player_g",
        ),
        ("+trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches must be 1: data.batch_size"),
        ("discriminator.spectral_norm=maybe", "discriminator.spectral_norm must be true or false"),
        ("+discriminator.bias=maybe", "discriminator.bias must be true or false"),
        ("+generator.batch_norm=maybe", "generator.batch_norm must be true or false"),
        ("+generator.mean=nan", "generator.mean must be a finite number"),
        ("+generator.mean=abc", "generator.mean must be a finite number"),
        ("+discriminator.mean=nan", "discriminator.mean must be a finite number"),
        ("+data.distribution.seed=abc", "data.distribution.seed must be a whole number of at least 0"),
        ("+data.distribution.seed=-1", "data.distribution.seed must be a whole number of at least 0"),
        ("+player_g.clip_weights=-1", "player_g.clip_weights must be a finite number above 0, or null"),
        ("+schedule={_target_:gaussgan.gan.schedules.Cosine,end:5}", "schedule.end must be a number from 0 to 1"),
        ("trainer.limit_train_batches=3", "trainer.limit_train_batches must be 1.0"),
        ("trainer.precision=16", "trainer.precision must be a precision without loss scaling"),
        ("trainer.precision=16-mixed", "trainer.precision must be a precision without loss scaling"),
        ("trainer.precision=foo", "trainer.precision must be a precision without loss scaling: 32-true, 64-true"),
    ],
)
def test_values_out_of_range(compose: Compose, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        check(compose(override))
    assert "\n" not in str(error.value)


def test_replicas_draw_their_data_by_their_own_seeds(compose: Compose) -> None:
    """A seed of the data that is set apart would be ignored."""
    check(compose("data.seed=7"))
    check(compose("replicas=2", "seed=[3,4]"))
    with pytest.raises(ConfigError, match=r"data.seed must be left as \$\{seed\} with replicas=2: .* \(got 7\)"):
        check(compose("data.seed=7", "replicas=2"))


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["data.distribution.A=[[1,2],[3]]"], "data.distribution: A must be k rows of d numbers each"),
        (["data.distribution.A=[1,2]"], "data.distribution: A must be k rows"),
        (["data.distribution.A=[[1,nan],[0,1]]"], "data.distribution: A must be finite"),
        (["data.distribution.A=[[1e300,1],[0,1]]"], "data.distribution: A must be finite in float32"),
        (["data.distribution.A=[[true,1],[0,1]]"], "data.distribution: A must be k rows"),
        (["data.distribution.b=[1,2,3]"], "data.distribution: b must have 2 numbers"),
        (["discriminator.widths=abc"], "discriminator: widths must be a list of whole numbers of at least 1"),
        (["discriminator.widths=[0]"], "discriminator: widths must be a list of whole numbers of at least 1"),
        (["discriminator.widths=[true]"], "discriminator: widths must be a list of whole numbers of at least 1"),
        (["discriminator=maxout", "discriminator.pieces=true"], "discriminator: pieces must be a whole number"),
        (["data.latent_dim=3"], "generator.in_features must be 3, data.latent_dim \\(got 2\\)"),
        (["discriminator.widths=${nope}"], "discriminator.widths: Interpolation key 'nope' not found"),
        (["generator.out_features=3"], "generator.out_features must be 2"),
        (["generator.in_features=0"], "must be at least 1"),
        (["discriminator.in_features=3"], "discriminator.in_features must be 2, .* \\(got 3\\)"),
        (["discriminator.out_features=2"], "discriminator.out_features must be 1"),
        (["trainer.accelerator=gpu"], "trainer.accelerator must be one of auto, cpu"),
        (["trainer.accelerator=cpv"], "trainer.accelerator must be one of auto, cpu"),
        (["trainer.devices=3"], "data.batch_size must give 3 devices equal shards"),
    ],
)
def test_components_that_cannot_be_made_or_do_not_fit(compose: Compose, overrides: list[str], message: str) -> None:
    if "trainer.accelerator=gpu" in overrides and __import__("torch").cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ConfigError, match=message) as error:
        assemble(compose(*overrides))
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_is_damaged_or_of_another_run(compose: Compose, tmp_path: Path) -> None:
    small = ["data.num_examples=16", "trainer.max_epochs=1", "~callbacks.pictures"]
    train(compose(*small))
    whole = tmp_path / "run" / "checkpoints" / "last.ckpt"
    for name, content in {
        "truncated": whole.read_bytes()[:2000],
        "empty": b"",
        "text": b"not a checkpoint",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=f"ckpt_path: .*{name} is damaged or is not a gaussgan checkpoint"):
            train(compose(*small, f"ckpt_path={tmp_path / name}", name="other"))
    for change, key in (
        ("discriminator.widths=[4]", "discriminator.widths"),
        ("seed=1", "seed"),
        ("trainer.precision=64-true", "trainer.precision"),
    ):
        with pytest.raises(ConfigError, match=f"ckpt_path: .* comes from a run with {key}="):
            train(compose(*small, change, f"ckpt_path={whole}", name="other"))
    with pytest.raises(ConfigError, match=r"is at iteration 2, after the end of this run: trainer.max_steps=1"):
        train(compose(*small, "trainer.max_steps=1", f"ckpt_path={whole}", name="other"))
    longer = ["data.num_examples=16", "trainer.max_epochs=3", "~callbacks.pictures"]
    train(compose(*longer, name="longer"))
    with pytest.raises(ConfigError, match=r"is at iteration 6, after the end of this run: trainer.max_epochs=1"):
        train(compose(*small, f"ckpt_path={tmp_path}/longer/checkpoints/last.ckpt", name="other"))
    assert not (tmp_path / "other" / "checkpoints").exists()


def test_a_directory_belongs_to_one_run(compose: Compose, tmp_path: Path) -> None:
    small = ["data.num_examples=16", "trainer.max_epochs=1", "~callbacks.pictures"]
    train(compose(*small))
    before = (tmp_path / "run" / "metrics.json").read_bytes()
    with pytest.raises(ConfigError, match=r"hydra.run.dir: .* already holds a run"):
        train(compose(*small, "seed=1"))
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before


def test_a_refused_run_leaves_the_directory_as_it_was(
    compose: Compose, complaint: Callable[[str], str], tmp_path: Path
) -> None:
    recipe, directory = ("trainer=cpu", "trainer.max_steps=2", "~callbacks.pictures"), tmp_path / "run"
    train(compose(*recipe))
    run, resumed = (f"hydra.run.dir={directory}", *recipe), f"ckpt_path={directory}/checkpoints/last.ckpt"
    assert "already holds a run" in complaint(shlex.join([*run, "seed=1"]))
    for key, value in {"batch_size": "0", "distribution.A": "[[1,2],[3]]"}.items():
        assert complaint(shlex.join([*run, resumed, f"data.{key}={value}"])).startswith("data")
    assert "comes from a run with discriminator.widths=" in complaint(
        shlex.join([*run, resumed, "discriminator.widths=[7]"])
    )
    with FileLock(directory / ".lock"):
        result = run_script(*run, resumed, cwd=tmp_path)
    message = f"hydra.run.dir: another run is under way in {directory}"
    assert (result.returncode, result.stderr.splitlines()[-1]) == (1, message)  # after the warnings of libraries


def test_a_failure_is_recorded_and_the_directory_can_be_used_again(compose: Compose, tmp_path: Path) -> None:
    for b in ("[1]", "[1,2,3]"):
        with pytest.raises(ConfigError):
            train(compose(f"data.distribution.b={b}"))
        record = read_record(tmp_path / "run")
        assert (record["status"], record["iterations"]) == ("failed", None)
        assert (
            record["error"] == f"data.distribution: b must have 2 numbers, one for each column of A (got {len(b) // 2})"
        )
    with pytest.raises(ConfigError):
        train(compose("data.distribution.b=[1]", "replicas=2", "seed=[3,5]"))
    assert read_record(tmp_path / "run")["seed"] == [3, 5]
    train(compose("data.num_examples=16", "trainer.max_epochs=1", "~callbacks.pictures"))
    assert read_record(tmp_path / "run")["status"] == "completed"


def test_a_run_that_cannot_be_assembled_leaves_no_files(complaint: Callable[[str], str], tmp_path: Path) -> None:
    for override, words in {
        "data.distribution.A=[[1,2],[3]]": "data.distribution: A must be k rows",
        "generator.out_features=3": "generator.out_features must be 2",
    }.items():
        assert complaint(shlex.join(["trainer=cpu", override, f"hydra.run.dir={tmp_path / 'run'}"])).startswith(words)
        assert not [*tmp_path.iterdir()]


def test_a_sweeps_directory(complaint: Callable[[str], str], tmp_path: Path) -> None:
    """It is a new or an empty one, or that of an earlier sweep, and belongs to one process at a time."""
    (tmp_path / "file").touch()
    other, running = tmp_path / "other", tmp_path / "running"
    for directory in (other, running):
        directory.mkdir()
    for name in ("a.txt", "b.txt"):
        (other / name).touch()
    (running / "multirun.yaml").write_text("as before")
    with FileLock(running / ".lock"):
        for name, words in {
            "file": f" must be a directory (got the file {tmp_path / 'file'})",
            "other": f" must be a new or empty directory, or that of an earlier sweep; {other} holds a.txt and 1 more",
            "running": f": another sweep is under way in {running}",
        }.items():
            message = complaint(shlex.join(["-m", "seed=0,1", f"hydra.sweep.dir={tmp_path / name}"]))
            assert message == f"hydra.sweep.dir{words}"
        message = complaint(f"hydra.run.dir={running / '0'}")
        assert message == f"hydra.run.dir: {running / '0'} belongs to a sweep that is under way"
    assert (running / "multirun.yaml").read_text() == "as before"


def test_a_sweep_that_does_not_begin_leaves_no_files(complaint: Callable[[str], str], tmp_path: Path) -> None:
    for name in ("new", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        message = complaint(shlex.join(["-m", "objective=hinge,none_such", f"hydra.sweep.dir={tmp_path / name}"]))
        assert "none_such" in message
        assert not (tmp_path / name).exists()


def test_a_directory_that_cannot_be_written(complaint: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = complaint(shlex.join([f"hydra.run.dir={tmp_path / 'file' / 'run'}"]))
    assert message.startswith(f"hydra.run.dir: cannot write to {tmp_path / 'file'}")


@pytest.mark.extra  # it takes long
def test_a_sweep_goes_on_after_a_bad_job(tmp_path: Path) -> None:
    result = run_script(
        "-m",
        "trainer=cpu",
        "trainer.max_steps=2",
        "data.batch_size=8,0",
        "seed=0,1",
        "~callbacks.pictures",
        cwd=tmp_path,
    )
    assert result.returncode == 1
    statuses = [read_record(path.parent)["status"] for path in sorted(tmp_path.rglob("metrics.json"))]
    assert statuses == ["completed", "completed", "failed", "failed"]
    assert result.stderr.count("data.batch_size must be a whole number of at least 1 (got 0)") == 2


def test_evaluating_a_directory_without_a_run(tmp_path: Path) -> None:
    result = run_script(str(tmp_path), cwd=tmp_path, script="evaluate.py")
    assert result.returncode != 0
    message = f"{tmp_path} is not a run directory: it has no checkpoints/last.ckpt"
    assert result.stderr.splitlines()[-1] == message
