"""A run that starts from the networks of another run, with fresh or kept optimizers."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch.nn.functional import softplus

from conftest import ROOT
from gaussgan import load_run, simulate
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.config.recipe import fingerprint, settings
from gaussgan.runs.checkpoint import read_checkpoint
from gaussgan.runs.directory import BEST, LAST
from gaussgan.runs.record import read_record
from gaussgan.setup.assemble import assemble
from gaussgan.sweep.grouping import group_key, reason_alone
from gaussgan.sweep.together import train_together
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=40", "trainer.max_epochs=2", "~callbacks.pictures", "trainer.precision=64-true")
NOTHING_MOVES = ("optimizer_d.lr=1e-300", "optimizer_g.lr=1e-300")


def trained(directory: Path, *overrides: str) -> Path:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = hydra_compose("train", ["trainer=cpu", "trainer.enable_progress_bar=false", *SMALL, *overrides])
    cfg.run_dir = str(directory)
    train(cfg)
    return directory


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("single") / "run", "ema_half_life=3", "seed=7")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("several") / "run", "ema_half_life=3", "replicas=3", "seed=7")


def networks(directory: Path | str, replica: int | None = None) -> dict[str, torch.Tensor]:
    run = load_run(directory, replica=replica)
    modules = {"generator": run.generator, "discriminator": run.discriminator, "average": run.generator_ema}
    states = {name: module.state_dict() for name, module in modules.items() if module is not None}
    return {f"{name}.{key}": value for name, state in states.items() for key, value in state.items()}


@pytest.mark.parametrize("optimizers", ["fresh", "keep"])
@pytest.mark.parametrize("compiled", ["on", "off"])
def test_the_first_iteration_is_that_of_the_other_networks(
    compose: Compose, single: Path, optimizers: str, compiled: str
) -> None:
    """It is made by hand, with torch's Adam, from the parameters and moments in the checkpoint of the other run."""
    own = ("trainer.max_steps=1", "optimizer_d.lr=0.02", "optimizer_g.lr=0.03", f"compile={compiled}", "seed=1")
    cfg = compose(*SMALL, *own, f"init_from={single}", f"init_optimizers={optimizers}")
    train(cfg)
    other, saved = load_run(single), read_checkpoint(single / LAST)
    adams = []
    for network, lr, state in zip(
        (other.discriminator, other.generator), (0.02, 0.03), saved["optimizer_states"], strict=True
    ):
        parameters = [*network.parameters()]
        adam = torch.optim.Adam(parameters, lr, eps=cfg.optimizer_d.eps)
        if optimizers == "keep":
            sizes = [parameter.numel() for parameter in parameters]
            moments = {key: state["state"][0][key].split(sizes) for key in ("exp_avg", "exp_avg_sq")}
            step = torch.tensor(float(other.iterations))
            for i, parameter in enumerate(parameters):
                adam.state[parameter] = {"step": step.clone()}
                adam.state[parameter] |= {key: values[i].view_as(parameter) for key, values in moments.items()}
        adams.append(adam)
    epoch = instantiate(cfg.data, mix=False).draw(0)
    x, z = (rows[:8].double() for rows in (epoch.real, epoch.latent))
    g, d = other.generator, other.discriminator
    loss = ((softplus(-d(x)) + softplus(d(g(z).detach()))) / 2).mean()
    adams[0].zero_grad()
    loss.backward()
    adams[0].step()
    adams[1].zero_grad()
    softplus(-d(g(z))).mean().backward()
    adams[1].step()
    run = load_run(cfg.run_dir)
    assert run.iterations == 1
    for ours, expected in ((run.generator, g), (run.discriminator, d)):
        torch.testing.assert_close(ours.state_dict(), expected.state_dict(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("extra", [(), ("update=optimistic", "schedule=cosine", "init_optimizers=keep")])
def test_nothing_changes_if_nothing_moves(compose: Compose, single: Path, extra: tuple[str, ...]) -> None:
    train(cfg := compose(*SMALL, *NOTHING_MOVES, "ema_half_life=5", f"init_from={single}", *extra))
    ours, theirs, left = networks(cfg.run_dir), networks(single), 0.5 ** (10 / 5)
    for name in ours:
        if name.startswith("average."):  # of the average, 10 iterations leave δ¹⁰; the rest is the generator
            theirs[name] = left * theirs[name] + (1 - left) * theirs[name.replace("average", "generator")]
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_an_average_of_ones_own_begins_at_the_generator(compose: Compose, tmp_path: Path) -> None:
    other = trained(tmp_path / "other")
    train(cfg := compose(*SMALL, *NOTHING_MOVES, "ema_half_life=5", f"init_from={other}/{BEST}"))
    ours, best = networks(cfg.run_dir), load_run(other, BEST).generator.state_dict()
    for name, value in best.items():
        assert torch.equal(ours[f"average.{name}"], value)
        assert torch.equal(ours[f"generator.{name}"], value)


def test_buffers_are_copied_and_precisions_may_differ(compose: Compose, tmp_path: Path) -> None:
    more = ("generator=mlp", "generator.batch_norm=true", "discriminator.spectral_norm=true")
    other = trained(tmp_path / "other", *more)
    gan, *_ = assemble(compose(*SMALL, *more, f"init_from={other}"))
    theirs = read_checkpoint(other / LAST)["state_dict"]
    assert any("running_mean" in name for name in theirs)
    torch.testing.assert_close(dict(gan.state_dict()), dict(theirs), rtol=0, atol=0)
    gan, *_ = assemble(compose(*SMALL, *more, "trainer.precision=32-true", f"init_from={other}"))
    for name, value in gan.state_dict().items():
        assert torch.equal(value, theirs[name].to(value.dtype))


@pytest.mark.parametrize(
    "source, optimizers, compiled",
    [
        ("several", "keep", "on"),
        pytest.param("single", "keep", "on", marks=pytest.mark.extra),
        pytest.param("single", "keep", "off", marks=pytest.mark.extra),
        pytest.param("several", "fresh", "off", marks=pytest.mark.extra),
    ],
)
def test_replicas_start_as_single_runs_do(
    request: pytest.FixtureRequest, compose: Compose, source: str, optimizers: str, compiled: str
) -> None:
    other = request.getfixturevalue(source)
    more = (*SMALL, "ema_half_life=3", f"compile={compiled}", f"init_from={other}", f"init_optimizers={optimizers}")
    train(cfg := compose(*more, "replicas=3", "seed=20", "optimizer_d.lr=[0.01,0.02,0.03]", name="all"))
    for i in range(3):
        choice = [f"init_replica={i}"] if source == "several" else []
        train(one := compose(*more, *choice, f"seed={20 + i}", f"optimizer_d.lr={0.01 * (i + 1)}", name=f"{i}"))
        theirs, ours = networks(one.run_dir), networks(cfg.run_dir, replica=i)
        exact = {"rtol": 0.0, "atol": 0.0} if compiled == "on" else {"rtol": 1e-9, "atol": 1e-12}
        torch.testing.assert_close(ours, theirs, **exact)
    train(chosen := compose(*more, "replicas=2", "init_replica=0", *NOTHING_MOVES, name="chosen"))
    first = networks(other, replica=0)
    for i in range(2):
        ours = networks(chosen.run_dir, replica=i)
        assert all(torch.equal(ours[name], first[name]) for name in ours if not name.startswith("average"))


def test_a_resumed_run_ends_as_one_that_was_not_stopped(compose: Compose, single: Path, tmp_path: Path) -> None:
    other = shutil.copytree(single, tmp_path / "other")
    more = ("ema_half_life=3", f"init_from={other}", "init_optimizers=keep")
    train(whole := compose(*SMALL, *more, name="whole"))
    train(part := compose(*SMALL, *more, "trainer.max_steps=4", name="part"))
    shutil.rmtree(other)
    record = read_record(Path(part.run_dir))["started_from"]
    rest = compose(*SMALL, *more, f"ckpt_path={part.run_dir}/{LAST}", name="part")
    check(rest)
    train(rest)
    assert networks(whole.run_dir).keys() == networks(part.run_dir).keys()
    for name, value in networks(whole.run_dir).items():
        assert torch.equal(networks(part.run_dir)[name], value)
    assert read_record(Path(part.run_dir))["started_from"] == record == read_record(Path(whole.run_dir))["started_from"]
    with pytest.raises(ConfigError, match=r"comes from a run with init_from=.*other; a resumed run must keep it"):
        train(compose(*SMALL, "ema_half_life=3", f"ckpt_path={part.run_dir}/{LAST}", name="part"))


def test_the_record_says_what_was_read(compose: Compose, single: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(single.parent)
    train(cfg := compose(*SMALL, "init_from=run"))
    record = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    start = record["started_from"]
    assert (start["path"], start["iteration"]) == (str(single / LAST), 10)
    assert record["settings"]["init_from"] == str(single)
    assert "init_replica" not in record["settings"]
    assert load_run(cfg.run_dir).config["started_from"] == start
    train(again := compose(*SMALL, f"init_from={single}/{LAST}", name="again"))
    assert read_record(Path(again.run_dir))["started_from"] == start
    train(other := compose(*SMALL, f"init_from={cfg.run_dir}", name="other"))
    assert read_record(Path(other.run_dir))["started_from"]["sha256"] != start["sha256"]
    assert "started_from" not in json.loads((single / "metrics.json").read_text())


def test_settings_know_the_other_run_by_its_path(compose: Compose, tmp_path: Path, monkeypatch: Any) -> None:
    def of(*overrides: str) -> str:
        return fingerprint(settings(OmegaConf.to_container(compose(*overrides), resolve=True)))  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    names = [f"init_from={name}" for name in ("a", "./a/", f"{tmp_path}/a", f"a/{LAST}", f"b/../a/{LAST}")]
    assert len({of(name) for name in names}) == 1
    assert len({of(), of(names[0]), of("init_from=b"), of(f"init_from=a/{BEST}"), of(names[0], "init_replica=1")}) == 5
    plain: Any = OmegaConf.to_container(compose(), resolve=True)
    assert not [key for key in settings(plain) if key.startswith("init_")]


@pytest.mark.every_second
@pytest.mark.parametrize(
    "overrides, line",
    [
        ("init_from=nowhere", "init_from must be null, or the path of a run or of a checkpoint (got 'nowhere')"),
        ("init_from=.", "init_from must be .* (got '.'; the directory has no checkpoints/last.ckpt)"),
        ("init_from=7", "init_from must be null, or the path of a run or of a checkpoint (got 7)"),
        ("init_from=garbage", "init_from: .*garbage is damaged or is not a gaussgan checkpoint"),
        ("init_optimizers=keep", "init_optimizers needs init_from=RUN, the run from which this run starts (got keep)"),
        ("init_replica=0", "init_replica needs init_from=RUN, the run from which this run starts (got 0)"),
        ("init_optimizers=new", "init_optimizers must be fresh or keep (got 'new')"),
        ("init_replica=-1", "init_replica must be a whole number of at least 0, or null (got -1)"),
        (
            "init_from={single} discriminator.widths=[5,4]",
            "init_from: discriminator.2.weight has the shape [3, 5] in {single}/{last}, and has the shape [4, 5] in"
            " this run",
        ),
        (
            "init_from={single} discriminator.widths=[5,3,3]",
            "init_from: discriminator.4.weight has the shape [1, 3] in {single}/{last}, and has the shape [3, 3] in",
        ),
        (
            "init_from={single} +generator.bias=false",
            "init_from: generator.bias has the shape [2] in {single}/{last}, and does not exist in this run",
        ),
        ("init_from={single} init_replica=1", "init_replica must be a number from 0 to 0, .*replicas=1 (got 1)"),
        (
            "init_from={several}",
            "init_replica must choose one of the replicas 0 to 2 of {several}, .*replicas=1 (got null)",
        ),
        (
            "init_from={several} replicas=2",
            "init_replica must choose one .*, because this run has replicas=2 (got null)",
        ),
        (
            "init_from={several} replicas=3 discriminator.widths=[5,4]",
            "init_from: discriminator.2.weight has the shape [3, 5] in {several}/{last}, and has the shape [4, 5] in",
        ),
        (
            "init_from={single} init_optimizers=keep optimizer@optimizer_g=rmsprop",
            "init_optimizers must be fresh, because optimizer_g is gaussgan.gan.optimizers.Adam in .* (got .*RMSprop)",
        ),
    ],
)
def test_a_mistake_is_one_line(
    complaint: Callable[[str], str], tmp_path: Path, single: Path, several: Path, overrides: str, line: str
) -> None:
    (tmp_path / "garbage").write_text("garbage")
    places = {"single": single, "several": several, "last": LAST}
    pattern = ".*".join(map(re.escape, line.format(**places).split(".*")))
    precise = "trainer=cpu trainer.precision=64-true"
    assert re.match(pattern, complaint(f"{precise} {overrides.format(**places)}"))


@pytest.mark.parametrize(
    "theirs, ours, line", [(0.0, 0.5, "does not exist in .*, and has the shape"), (0.5, 0.0, "does not exist in this")]
)
def test_the_state_of_an_optimizer_must_fit(
    compose: Compose, tmp_path: Path, theirs: float, ours: float, line: str
) -> None:
    sgd = ("optimizer@optimizer_d=sgd", "optimizer_d.momentum=")
    other = trained(tmp_path / "other", sgd[0], f"{sgd[1]}{theirs}")
    keep = (f"init_from={other}", "init_optimizers=keep")
    with pytest.raises(ConfigError, match=f"must be fresh, because momentum_buffer of optimizer_d .*{line}"):
        assemble(compose(*SMALL, sgd[0], f"{sgd[1]}{ours}", *keep))


def test_an_optimizer_of_torch_is_kept_too(compose: Compose, tmp_path: Path) -> None:
    adamw = ("optimizer_g._target_=torch.optim.AdamW",)
    other = trained(tmp_path / "other", *adamw)
    keep = (f"init_from={other}", "init_optimizers=keep")
    train(cfg := compose(*SMALL, *adamw, *keep, "trainer.max_steps=1"))
    _, state = read_checkpoint(Path(cfg.run_dir) / LAST)["optimizer_states"]
    assert state["state"][0]["step"] == 11
    train(cfg := compose(*SMALL, *adamw, *keep, "trainer.max_steps=1", "replicas=2", name="two"))
    _, state = read_checkpoint(Path(cfg.run_dir) / LAST)["optimizer_states"]
    assert state["state"][0]["step"] == 11


def test_jobs_of_a_sweep_are_trained_together(compose: Compose, single: Path, several: Path) -> None:
    more = ("ema_half_life=3", f"init_from={single}", "init_optimizers=keep")
    jobs = [("seed=1", "optimizer_d.lr=0.01"), ("seed=1", "optimizer_d.lr=0.02"), ("seed=2", "optimizer_d.lr=0.02")]
    alone = [compose(*SMALL, *more, *job, name=f"a{i}") for i, job in enumerate(jobs)]
    joint = [compose(*SMALL, *more, *job, name=f"t{i}") for i, job in enumerate(jobs)]
    scores = [train(cfg) for cfg in alone]
    group = Path(joint[0].run_dir).with_name("group")
    configs: list[Any] = [OmegaConf.to_container(cfg, resolve=True) for cfg in joint]
    assert train_together(configs, group) == pytest.approx(scores, rel=1e-8)
    for one, other in zip(alone, joint, strict=True):
        torch.testing.assert_close(networks(one.run_dir), networks(other.run_dir), rtol=1e-9, atol=1e-12)
        ours, theirs = (read_record(Path(cfg.run_dir)) for cfg in (other, one))
        assert ours["started_from"] == theirs["started_from"]
        assert ours["settings"] == theirs["settings"]
    unclear: list[Any] = [{**config, "init_from": str(several)} for config in configs]
    with pytest.raises(ConfigError, match="init_replica must choose one of the replicas 0 to 2"):
        train_together(unclear, group.with_name("unclear"))


def test_jobs_from_different_runs_are_not_trained_together(compose: Compose) -> None:
    def key(*overrides: str) -> str:
        cfg = compose(*overrides)
        plain: Any = OmegaConf.to_container(cfg, resolve=False)
        plain["trainer"] |= {"log_every_n_steps": 0}
        assert reason_alone(plain) is None
        return group_key(plain, OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]

    a = ("init_from=a",)
    assert key(*a, "seed=1") == key(*a, "seed=2", "optimizer_d.lr=0.3")
    others = [key(*a), key(), key("init_from=b"), key(*a, "init_replica=1"), key(*a, "init_optimizers=keep")]
    assert len({*others}) == 5


def test_the_other_run_is_data_and_not_code(compose: Compose, single: Path, tmp_path: Path, monkeypatch: Any) -> None:
    checkpoint = read_checkpoint(single / LAST)
    for component in ("generator", "discriminator", "data", "objective"):
        checkpoint["config"][component]["_target_"] = "beside.Anything"
    torch.save(checkpoint, tmp_path / "forged.ckpt")
    (tmp_path / "beside.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    train(cfg := compose(*SMALL, *NOTHING_MOVES, f"init_from={tmp_path}/forged.ckpt", "init_optimizers=keep"))
    ours, theirs = networks(cfg.run_dir), networks(single)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not (tmp_path / "mark").exists()


def test_simulate_starts_from_it_too(single: Path) -> None:
    runs = simulate(
        [*SMALL[:2], SMALL[3], "trainer.accelerator=cpu", *NOTHING_MOVES, f"init_from={single}"], seeds=[3, 4]
    )
    theirs = networks(single)
    for name, values in runs.parameters.items():
        assert torch.equal(values, theirs[name].expand_as(values))


def test_replicas_that_diverged_are_named(compose: Compose, several: Path, tmp_path: Path, caplog: Any) -> None:
    checkpoint = read_checkpoint(several / LAST)
    checkpoint["diverged"] = {1: (5, "loss_g")}
    torch.save(checkpoint, tmp_path / "diverged.ckpt")
    with caplog.at_level("INFO"):
        assemble(compose(*SMALL, "replicas=3", f"init_from={tmp_path}/diverged.ckpt"))
        assert "; 1 of its replicas diverged" in caplog.text
        caplog.clear()
        assemble(compose(*SMALL, f"init_from={tmp_path}/diverged.ckpt", "init_replica=2"))
        assert "at iteration 10; the optimizers are fresh" in caplog.text
        assert "diverged, and" not in caplog.text
