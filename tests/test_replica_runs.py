"""Row i of a run of replicas is the single run of its seed, and one that diverges disturbs no other."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gaussgan import load_run
from gaussgan.callbacks import drawing as pictures
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.config.per_replica import of_replica
from gaussgan.gan.divergence import Diverged
from gaussgan.runs.directory import LAST
from gaussgan.runs.load import read_checkpoint
from gaussgan.runs.replica_checkpoint import single_checkpoint
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]
R = 3
SMALL = ("data.num_examples=84", "data.batch_size=10", "data.steps_per_execution=4", "trainer.max_epochs=2", "seed=7")
DOUBLE = "trainer.precision=64-true"
# Where a loss does not depend on a bias, Adam would make much of the rounding of its gradient.
EPS = ("optimizer_d.eps=1e-4", "optimizer_g.eps=1e-4")
VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "maxout, instance noise": ("discriminator=maxout", "discriminator.widths=[4]", "data.instance_noise=[0.1,0,0.3]"),
    "mlp generator": ("generator=mlp", "generator.widths=[4]", "generator.std=[0.1,0.2,0.3]", "data.fresh=true"),
    "batch norm": ("generator=mlp", "generator.widths=[4]", "generator.batch_norm=true", "data.num_examples=80", *EPS),
    "spectral norm": ("discriminator.spectral_norm=true", "objective=hinge", "update=simultaneous"),
    "ring": (
        "data=ring",
        "generator=mlp",
        "discriminator=quadratic",
        "objective=least_squares",
        "ema_half_life=[5,1,9]",
    ),
    "wgan": ("objective=wasserstein", "penalty=wgan_gp", "penalty.weight=[0,1,10]", "update.d_steps=2"),
    "weight clipping": ("objective=wasserstein", "player_d.clip_weights=[0.01,0.1,1]", "optimizer@optimizer_d=rmsprop"),
    "r3gan": ("objective=relativistic", "penalty=r1_r2", "penalty.weight=[0.1,0.2,0.3]", "schedule=cosine", *EPS),
    "consensus": ("update=consensus", "update.weight=[0,0.5,1]", "optimizer@optimizer_g=sgd"),
    "optimistic": ("update=optimistic", "player_d.clip_gradient=[0.1,0.2,0.3]", "player_g.clip_gradient=0.1"),
    "extragradient": ("update=extragradient", "objective=minimax", "penalty=zero_centred"),
    "lookahead": (
        "update=lookahead",
        "update@update.inner=consensus",
        "update.inner.weight=[0,0.5,1]",
        "update.k=[2,3,4]",
    ),
    "cgd": ("update=cgd", "update.iterations=3", "optimizer@optimizer_d=sgd", "optimizer_d.lr=[0.05,0.1,0.2]"),
    "follow the ridge": ("update=follow_the_ridge", "update.damping=[0.1,1,10]", "penalty=r1"),
    "unrolled": ("update=unrolled", "update.steps=2", "objective=minimax", "player_d.clip_gradient=[0.1,0.2,0.3]"),
    "sga": ("update=sga", "update.weight=[0,0.5,1]"),
    "rates": ("optimizer_d.lr=[0.05,0.01,0.1]", "optimizer_g.lr=[0.005,0.01,0.02]", "schedule=linear"),
    "moments": ("optimizer_d.betas=[[0.9,0.5,0.1],0.99]", "optimizer_g.eps=[1e-9,1e-8,1e-3]", "seed=[5,1,9]"),
    "torch's own optimizer": ("optimizer_d._target_=torch.optim.AdamW", "optimizer_d.eps=1e-4"),
    "momentum": ("optimizer@optimizer_d=sgd", "optimizer@optimizer_g=sgd", "optimizer_g.momentum=[-0.5,0.1,0.5]"),
    "dirac": ("data=dirac", "generator=location", "discriminator=linear", "discriminator.bias=false"),
}


def single(cfg: DictConfig, i: int, directory: Path) -> DictConfig:
    """The configuration of replica i alone, in another directory."""
    alone = OmegaConf.create(of_replica(OmegaConf.to_container(cfg, resolve=True), i))
    return OmegaConf.create(OmegaConf.to_yaml(alone).replace(cfg.run_dir, str(directory)))


def rows(directory: str) -> list[dict[str, str]]:
    with (Path(directory) / "replicas.csv").open() as file:
        return [*csv.DictReader(file)]


@pytest.mark.every_second
@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS)
def test_each_replica_is_its_single_run(compose: Compose, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    cfg = compose(*SMALL, DOUBLE, "~callbacks.pictures", f"replicas={R}", *overrides)
    check(cfg)
    train(cfg)
    table = rows(cfg.run_dir)
    for i in range(R):
        train(single(cfg, i, tmp_path / f"{i}"))
        ours = single_checkpoint(read_checkpoint(Path(cfg.run_dir) / LAST), i)
        theirs = read_checkpoint(tmp_path / f"{i}" / LAST)
        assert ours["state_dict"].keys() == theirs["state_dict"].keys()
        for part in ("state_dict", "optimizer_states", "memory", "epoch_sums"):
            torch.testing.assert_close(ours[part], theirs[part], rtol=0, atol=1e-10)
        for schedule, expected in zip(ours["lr_schedulers"], theirs["lr_schedulers"], strict=True):
            assert schedule["base_lrs"] == pytest.approx(expected["base_lrs"])
        record = json.loads((tmp_path / f"{i}" / "metrics.json").read_text())
        assert table[i]["seed"] == str(record["seed"])
        assert table[i]["status"] == record["status"] == "completed"
        for tag in ("val/w2", "val/kl", "mle/w2", "train/loss_d", "train/loss_g", "val/d_gap", "val/sliced_w2"):
            expected = record.get(tag)
            assert (table[i].get(tag, "") in ("", "inf")) == (expected is None), tag
            if expected is not None:
                assert float(table[i][tag]) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_an_optimizer_that_mixes_replicas_is_refused(compose: Compose) -> None:
    mixing = ("optimizer@optimizer_d=sgd", "~optimizer_d.momentum", "optimizer_d._target_=torch.optim.Adafactor")
    assemble(compose(*mixing))
    words = "optimizer_d must not mix replicas in a step, but Adafactor does"
    with pytest.raises(ConfigError, match=words):
        assemble(compose(*mixing, "replicas=2"))


def test_draws_are_equal_exactly_and_float32_agrees(compose: Compose, tmp_path: Path) -> None:
    short = ("trainer.max_steps=10", "~callbacks.pictures")  # a game amplifies rounding, the more the longer it lasts
    cfg = compose("replicas=3", "seed=4", *short)
    gan, data, _ = assemble(cfg)
    train(cfg)
    for i in range(3):
        alone = compose(f"seed={4 + i}", *short, name=f"{i}")
        gan_alone, data_alone, _ = assemble(alone)
        for epoch in range(2):
            for ours, theirs in zip(data.draw(epoch), data_alone.draw(epoch), strict=True):
                assert (ours is None and theirs is None) or torch.equal(ours[i], theirs)
        assert torch.equal(data.examples()[i], data_alone.examples())
        for name in ("generator", "discriminator"):
            start = getattr(gan, name).network(i).state_dict()
            assert all(torch.equal(start[key], value) for key, value in getattr(gan_alone, name).state_dict().items())
        train(alone)
        ours, theirs = load_run(cfg.run_dir, replica=i), load_run(alone.run_dir)
        for name in ("generator", "discriminator"):
            torch.testing.assert_close(
                getattr(ours, name).state_dict(), getattr(theirs, name).state_dict(), rtol=0, atol=1e-3
            )
        assert ours.config["seed"] == 4 + i


@pytest.mark.parametrize("stop", [1, 7, 9])
def test_a_resumed_run_of_replicas_is_the_unresumed(compose: Compose, stop: int) -> None:
    recipe = (*SMALL, "~callbacks.pictures", "replicas=3", "optimizer_d.lr=[0.05,1e38,0.01]")
    train(compose(*recipe, name="whole"))
    train(compose(*recipe, f"trainer.max_steps={stop}", name="part"))
    cfg = compose(*recipe, name="part")
    train(compose(*recipe, f"ckpt_path={cfg.run_dir}/{LAST}", name="part"))
    whole, part = (read_checkpoint(Path(cfg.run_dir).with_name(name) / LAST) for name in ("whole", "part"))
    assert [*whole["diverged"]] == [*part["diverged"]] == [1]
    for i in (0, 2):
        for key in ("state_dict", "optimizer_states"):
            ours, theirs = (single_checkpoint(checkpoint, i)[key] for checkpoint in (whole, part))
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    for key in ("names", "own"):
        assert whole["history"][key] == part["history"][key]
    timed = whole["history"]["names"].index("perf/examples_per_second")
    keep = [i for i in range(len(whole["history"]["names"])) if i != timed]
    assert whole["history"]["rows"].shape == part["history"]["rows"].shape
    torch.testing.assert_close(
        whole["history"]["rows"][:, keep], part["history"]["rows"][:, keep], rtol=1e-5, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("update", ["alternating", "optimistic"])
def test_a_single_run_goes_on_from_a_replicas_checkpoint(compose: Compose, tmp_path: Path, update: str) -> None:
    recipe = (*SMALL, DOUBLE, "~callbacks.pictures", f"update={update}", "ema_half_life=5")
    cfg = compose(*recipe, "replicas=3", "optimizer_d.lr=[0.05,0.02,0.1]", "trainer.max_steps=12", name="many")
    train(cfg)
    single = (*recipe, "seed=9", "optimizer_d.lr=0.1")
    train(compose(*single, name="whole"))
    torch.save(single_checkpoint(read_checkpoint(Path(cfg.run_dir) / LAST), 2), tmp_path / "2.ckpt")
    train(compose(*single, f"ckpt_path={tmp_path / '2.ckpt'}", name="rest"))
    whole, rest = (read_checkpoint(tmp_path / name / LAST) for name in ("whole", "rest"))
    for key in ("state_dict", "optimizer_states", "memory"):
        torch.testing.assert_close(rest[key], whole[key], rtol=0, atol=1e-10)
    records = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "rest")]
    assert records[0]["train/loss_d"] == pytest.approx(records[1]["train/loss_d"], rel=1e-9)
    assert records[0]["val/w2"] == pytest.approx(records[1]["val/w2"], rel=1e-9)


def test_a_diverging_replica_is_frozen_and_disturbs_no_other(compose: Compose) -> None:
    recipe = (*SMALL, f"replicas={R}")
    well, ill = (compose(*recipe, f"optimizer_d.lr=[0.05,{lr},0.05]", name=f"{lr}") for lr in ("0.01", "1e38"))
    train(well)
    value = train(ill)
    healthy, table = rows(well.run_dir), rows(ill.run_dir)
    assert [row["status"] for row in table] == ["completed", "diverged", "completed"]
    assert (table[1]["val/w2"], table[1]["train/loss_d"]) == ("", "")
    for i in (0, 2):
        assert table[i] == healthy[i]
    record = json.loads((Path(ill.run_dir) / "metrics.json").read_text())
    assert (record["status"], record["share_diverged"]) == ("completed", pytest.approx(1 / 3))
    scores = [float(table[i]["val/w2"]) for i in (0, 2)]
    assert record["val/w2"] == pytest.approx(sum(scores) / 2)
    assert value == record["val/w2_median"]
    assert record["val/w2_median"] == pytest.approx(max(scores))  # the infinite one counts
    assert record["val/w2_p90"] is None
    frozen = load_run(ill.run_dir, replica=1)
    assert all(value.isfinite().all() for value in frozen.discriminator.state_dict().values())
    alone = compose(*SMALL, "seed=8", "optimizer_d.lr=1e38", name="alone")
    assert train(alone) == math.inf
    error = read_checkpoint(Path(ill.run_dir) / LAST)["diverged"][1]
    told = json.loads((Path(alone.run_dir) / "metrics.json").read_text())
    assert told["error"] == f"diverged: {error[1]} is not finite at iteration {error[0]}"


def test_a_frozen_replica_stays_frozen_and_alone(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that would be well again; nor is it drawn as one that learned."""
    drawn: list[Any] = []
    monkeypatch.setattr(pictures.figures, "replicas_figure", lambda **kwargs: drawn.append(kwargs) or Figure())
    gan, data, trainer = assemble(compose(*SMALL, "replicas=3"))
    configure = gan.configure_optimizers

    def configure_with_one_diverged() -> Any:
        optimizers = configure()
        gan.state = gan.state._replace(diverged={1: Diverged(1, "a parameter")})
        return optimizers

    monkeypatch.setattr(gan, "configure_optimizers", configure_with_one_diverged)
    start = gan.generator.network(1).state_dict()
    trainer.fit(gan, data)
    assert [*gan.diverged] == [1]
    torch.testing.assert_close(gan.generator.network(1).state_dict(), start, rtol=0, atol=0)
    assert drawn[-1]["alive"] == [0, 2]
    torch.testing.assert_close(drawn[-1]["learned"], gan.generator.moments())


def test_when_all_diverge_so_does_the_run(compose: Compose) -> None:
    cfg = compose(*SMALL, "replicas=2", "optimizer_d.lr=1e38", "optimizer_g.lr=1e38")
    assert train(cfg) == math.inf
    record = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert (record["status"], record["share_diverged"], record["val/w2"]) == ("diverged", 1.0, None)
    assert [row["status"] for row in rows(cfg.run_dir)] == ["diverged"] * 2
    assert (Path(cfg.run_dir) / "figures" / "final.png").exists()


def test_what_a_run_of_replicas_says(compose: Compose, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = compose(*SMALL, "replicas=5", "optimizer_d.lr=[0.01,0.02,0.03,0.04,0.05]")
    train(cfg)
    record = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    table = rows(cfg.run_dir)
    w2, mle = (torch.tensor([float(row[tag]) for row in table]).double() for tag in ("val/w2", "mle/w2"))
    assert record["replicas"] == 5
    assert record["examples"] == 5 * 84 * 2
    assert record["val/w2"] == pytest.approx(w2.mean().item(), rel=1e-6)
    assert record["val/w2_median"] == pytest.approx(w2.median().item(), rel=1e-6)
    assert record["val/w2_p90"] == pytest.approx(w2.quantile(0.9).item(), rel=1e-6)
    assert record["efficiency"] == pytest.approx((mle.square().mean() / w2.square().mean()).item(), rel=1e-5)
    rates = [0.01, 0.02, 0.03, 0.04, 0.05]
    assert [float(row["optimizer_d.lr"]) for row in table] == rates
    assert list(table[0])[:8] == [
        "replica",
        "seed",
        "status",
        "val/w2",
        "val/kl",
        "mle/w2",
        "train/loss_d",
        "train/loss_g",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "5 replicas in 5 groups, completed after 18 iterations"
    best = [line.split() for line in lines if line.strip().startswith("0.0")]
    assert [float(row[0]) for row in best] == [rate for _, rate in sorted(zip(w2.tolist(), rates, strict=True))]
    assert [float(row[3]) for row in best] == pytest.approx(w2.sort().values.tolist(), abs=1e-4)


def test_numbers_of_replicas_are_in_the_networks_precision(compose: Compose) -> None:
    """As one's number is: a float64 tensor would make all that it meets float64."""
    overrides = ("penalty.weight=[1,2,3]", "update.weight=[1,2,3]", "player_d.clip_gradient=[1,2,3]")
    cfg = compose(*SMALL, "replicas=3", "penalty=r1", "update=consensus", *overrides, "~callbacks.pictures")
    gan, data, trainer = assemble(cfg)
    trainer.fit(gan, data)
    numbers = (gan.update.weight, gan.game.penalties[0].weight, gan.discriminator_player.clip_gradient)  # type: ignore[attr-defined]
    assert all(number.dtype == torch.float32 for number in numbers)
    assert gan.game.discriminator_loss(data.draw(0)).values.dtype == torch.float32


def test_tensorboard_shows_their_median_and_band(compose: Compose) -> None:
    cfg = compose(*SMALL, "replicas=3", "~callbacks.pictures")
    train(cfg)
    events = EventAccumulator(cfg.run_dir).Reload()
    table = [float(row["val/w2"]) for row in rows(cfg.run_dir)]
    assert events.Scalars("val/w2_median")[-1].value == pytest.approx(sorted(table)[1], rel=1e-6)
    low, high = (events.Scalars(f"val/w2_{name}")[-1].value for name in ("p10", "p90"))
    assert min(table) < low < high < max(table)
    assert "custom_scalars__config__" in events.Tags()["tensors"]


def test_replicas_share_one_device(compose: Compose) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.devices must be 1 with replicas=2"):
        assemble(compose("replicas=2", "trainer.devices=2", "trainer.strategy=ddp_spawn"))


def test_a_replica_must_be_there(compose: Compose) -> None:
    cfg = compose(*SMALL, "replicas=2", "~callbacks.pictures")
    train(cfg)
    for replica in (None, 2, -1):
        with pytest.raises(ConfigError, match="replica must be a number from 0 to 1"):
            load_run(cfg.run_dir, replica=replica)


@pytest.mark.extra  # it takes long
def test_seeds_may_repeat_so_that_settings_share_them(compose: Compose, tmp_path: Path) -> None:
    cfg = compose(*SMALL, DOUBLE, "replicas=4", "optimizer_d.lr=[0.05,0.1,0.05,0.1]", "seed=[3,3,5,5]")
    check(cfg)
    gan, data, _ = assemble(cfg)
    for one, other in ((0, 1), (2, 3)):
        for column in data.draw(1):
            assert column is None or torch.equal(column[one], column[other])
        for network in (gan.generator, gan.discriminator):
            torch.testing.assert_close(network.network(one).state_dict(), network.network(other).state_dict())
    assert not torch.equal(data.examples()[0], data.examples()[2])
    train(cfg)
    table = rows(cfg.run_dir)
    for i in range(4):
        record = train(alone := single(cfg, i, tmp_path / f"{i}"))
        assert record == pytest.approx(float(table[i]["val/w2"]), rel=1e-9)
        assert alone.data.seed == alone.seed == [3, 3, 5, 5][i]
    assert table[0]["mle/w2"] == table[1]["mle/w2"] != table[2]["mle/w2"]


def test_groups_are_summarised_like_runs_of_their_own(compose: Compose) -> None:
    """Each line of groups.csv equals the record of a run with this group's replicas alone."""
    recipe, lr = (*SMALL, DOUBLE, "~callbacks.pictures"), [0.05, 1e300, 0.01]
    betas = "optimizer_g.betas=[[0.5,0.5,0.5,0.5,0.9,0.9],0.999]"
    rates = f"optimizer_d.lr={[lr[0], lr[1], lr[0], lr[2], lr[2], lr[2]]}".replace(" ", "")
    cfg = compose(*recipe, "replicas=6", rates, betas, "seed=[0,0,1,1,0,1]")
    train(cfg)
    with (Path(cfg.run_dir) / "groups.csv").open() as file:
        table = [*csv.DictReader(file)]
    assert [*table[0]][:4] == ["optimizer_d.lr", "optimizer_g.betas", "n", "share_diverged"]
    groups = [([0, 2], 0.05, 0.5), ([3], 0.01, 0.5), ([4, 5], 0.01, 0.9)]
    lost = table.pop(1)
    assert (lost["optimizer_d.lr"], lost["share_diverged"]) == ("1e+300", "1.0")
    assert (lost["val/w2"], lost["val/w2_median"], lost["efficiency"]) == ("", "inf", "0.0")
    for row, (members, rate, beta) in zip(table, groups, strict=True):
        assert (float(row["optimizer_d.lr"]), row["optimizer_g.betas"]) == (rate, f"[{beta}, 0.999]")
        assert int(row["n"]) == len(members)
        seeds = [[0, 0, 1, 1, 0, 1][i] for i in members]
        n, seed = max(2, len(seeds)), seeds * (2 // len(seeds))  # replicas=2 at least; a repeated seed changes nothing
        alone = (f"replicas={n}", f"seed={seed}".replace(" ", ""), f"optimizer_d.lr={rate}")
        of_group = compose(*recipe, *alone, f"optimizer_g.betas=[{beta},0.999]", name=f"{members}")
        train(of_group)
        record = json.loads((Path(of_group.run_dir) / "metrics.json").read_text())
        tags = [key for key in record if key.startswith(("val/", "mle/", "train/", "share_", "efficiency"))]
        assert {*tags} == {*row} - {"optimizer_d.lr", "optimizer_g.betas", "n"}
        for tag in tags:
            value = float(row[tag] or "nan")
            assert record[tag] == (pytest.approx(value, rel=1e-6) if math.isfinite(value) else None), tag


@pytest.mark.parametrize(
    "overrides, hint",
    [
        ((), None),
        (("optimizer_d.lr=[0.1,0.1,0.1]",), None),
        (("optimizer_d.lr=[0.02,0.05,0.1]",), "seed=[4,4,4]"),
        (("optimizer_d.lr=[0.1,0.2,0.1]", "optimizer_g.betas=[[0.5,0.5,0.5],0.9]"), "seed=[4,4,5]"),
        (("optimizer_d.lr=[0.1,0.2,0.1]", "seed=[4,4,5]"), None),
    ],
)
def test_the_log_says_if_settings_and_seeds_are_confounded(
    compose: Compose, caplog: pytest.LogCaptureFixture, overrides: tuple[str, ...], hint: str | None
) -> None:
    caplog.set_level("INFO")
    train(compose(*SMALL, "trainer.max_steps=1", "~callbacks.pictures", "replicas=3", "seed=4", *overrides))
    lines = [record.getMessage() for record in caplog.records if "confounded" in record.getMessage()]
    assert [line.partition("same seeds: ")[2] for line in lines] == ([f"'{hint}'"] if hint else [])
