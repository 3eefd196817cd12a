"""One run, end to end: what it counts, what it reports, and what it leaves behind."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import SPAWNS
from gaussgan import load_run
from gaussgan.data.gaussian import sample_moments
from gaussgan.evaluation.chunked import evaluator_of
from gaussgan.evaluation.gaussian import gaussian_w2
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=40", "trainer.max_epochs=3")


def record(cfg: DictConfig) -> dict:
    return json.loads((Path(cfg.run_dir) / "metrics.json").read_text())


def assert_speed(result: dict, examples: int) -> None:
    """Seconds are rounded to 0.001 and the speed to 0.1, which is much or little as the machine is quick or slow."""
    seconds, speed = result["seconds"], result["examples_per_second"]
    assert abs(seconds * speed - examples) <= 0.06 * seconds + 0.0006 * speed


def events(cfg: DictConfig) -> EventAccumulator:
    accumulator = EventAccumulator(cfg.run_dir)
    accumulator.Reload()
    return accumulator


def test_a_run_leaves_the_contract_behind(compose: Compose) -> None:
    cfg = compose(*SMALL, "seed=5")
    value = train(cfg)
    directory = Path(cfg.run_dir)
    for name in ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "figures/final.png", "metrics.json"):
        assert (directory / name).stat().st_size > 0
    result = record(cfg)
    expected = {"status": "completed", "error": None, "seed": 5, "replicas": 1, "iterations": 15, "examples": 120}
    assert {key: result[key] for key in expected} == expected
    assert list(result) == [
        "status", "error", "tags", "seed", "replicas", "iterations", "examples", "seconds", "examples_per_second",
        "compile", "val/w2", "val/kl", "mle/w2", "train/loss_d", "train/loss_g", "val/js", "val/logit_error",
        "val/d_gap", "git_commit", "git_dirty", "settings", "versions",
    ]  # fmt: skip
    assert_speed(result, 120)
    assert value == result["val/w2"]


def test_what_it_reports_is_true(compose: Compose) -> None:
    cfg = compose(*SMALL)
    train(cfg)
    run, result, (_, data, _) = load_run(cfg.run_dir), record(cfg), assemble(cfg)
    exact = evaluator_of(data).distances(run.generator)
    law = run.distribution
    expected = {**exact, "mle/w2": gaussian_w2(law.mean, law.cov, *sample_moments(data.examples()))}
    assert {tag: result[tag] for tag in expected} == {tag: pytest.approx(x.item()) for tag, x in expected.items()}
    scalars = events(cfg)
    for tag in ("train/loss_d", "train/loss_g", "val/w2", "val/kl"):
        last = scalars.Scalars(tag)[-1]
        assert (last.step, last.value) == (15, pytest.approx(result[tag], rel=1e-6))
    best = load_run(cfg.run_dir, "checkpoints/best.ckpt")
    least = min(point.value for point in scalars.Scalars("val/w2")[1:])
    assert evaluator_of(data).distances(best.generator)["val/w2"].item() == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("k", [1, 4, 125])
def test_steps_per_execution_changes_nothing_else(compose: Compose, k: int) -> None:
    results = []
    for name, steps in (("reference", 7), ("other", k)):
        cfg = compose(*SMALL, f"data.steps_per_execution={steps}", name=name)
        train(cfg)
        results.append((load_run(cfg.run_dir).generator.state_dict(), record(cfg)))
    assert all(torch.equal(value, results[1][0][key]) for key, value in results[0][0].items())
    assert results[0][1]["train/loss_d"] == pytest.approx(results[1][1]["train/loss_d"], rel=1e-5)


def test_everything_counts_iterations(compose: Compose) -> None:
    cfg = compose("trainer.max_steps=100", "data.steps_per_execution=7")
    train(cfg)
    assert record(cfg)["iterations"] == 100
    assert record(cfg)["examples"] == 800
    assert load_run(cfg.run_dir).iterations == 100
    assert load_run(cfg.run_dir, "checkpoints/best.ckpt").iterations == 100  # there is no other
    beyond = compose("trainer.max_steps=130", name="beyond")
    train(beyond)
    assert load_run(beyond.run_dir, "checkpoints/best.ckpt").iterations == 125  # as of a run that goes on
    assert [point.step for point in events(cfg).Scalars("val/w2")] == [0, 100]
    assert record(cfg)["val/w2"] > 0


def test_the_dashboard(compose: Compose) -> None:
    cfg = compose(*SMALL, "trainer.max_epochs=10")
    train(cfg)
    content = events(cfg)
    assert {tag.split("/")[0] for tag in content.Tags()["scalars"]} == {"train", "val", "perf"}
    assert [image.step for image in content.Images("game")] == [5, 50]
    assert "num_examples: 40" in str(content.Tensors("config/text_summary")[0].tensor_proto)
    assert "_hparams_/session_start_info" in content.summary_metadata
    assert all(0 < point.value < 1 for tag in ("train/d_real", "train/d_fake") for point in content.Scalars(tag))


def test_the_losses_are_means_over_the_epochs_examples(compose: Compose) -> None:
    """One epoch at rates so tiny that nothing moves: the mean loss at the start, smaller last batch and all."""
    cfg = compose(
        "data.num_examples=20", "data.batch_size=8", "trainer.max_epochs=1",
        "optimizer_d.lr=1e-30", "optimizer_g.lr=1e-30", "generator.std=1", "discriminator.std=1",
    )  # fmt: skip
    train(cfg)
    run, (_, data, _) = load_run(cfg.run_dir), assemble(cfg)
    real, latent, *_ = data.draw(0)
    with torch.no_grad():
        on_real, on_fake = run.discriminator(real), run.discriminator(run.generator(latent))
    softplus = torch.nn.functional.softplus
    assert record(cfg)["train/loss_d"] == pytest.approx((softplus(-on_real) + softplus(on_fake)).mean().item() / 2)
    assert record(cfg)["train/loss_g"] == pytest.approx(softplus(-on_fake).mean().item())
    assert events(cfg).Scalars("train/d_real")[0].value == pytest.approx(on_real.sigmoid().mean().item())


@pytest.mark.extra  # it takes long
def test_other_dimensions_and_networks(compose: Compose) -> None:
    for name, overrides in {
        "line": ["data.distribution.A=[[2.0]]", "data.distribution.b=[1]"],
        "space": ["data.distribution.A=[[1,0,1],[0,2,0]]", "data.distribution.b=[0,0,0]", "generator.in_features=4"],
        "mlp": ["generator=mlp", "generator.widths=[4]"],
        "torch": ["optimizer_d._target_=torch.optim.RMSprop", "~optimizer_d.betas"],
        "fresh": ["data.fresh=true"],
    }.items():
        cfg = compose(*SMALL, *overrides, name=name)
        assert math.isfinite(train(cfg)), name
        assert (Path(cfg.run_dir) / "figures/final.png").exists()


def test_divergence_stops_at_once_and_is_named(compose: Compose) -> None:
    ill = ("optimizer_g.lr=1e25", "discriminator=quadratic")
    cfg = compose(*ill, "data.steps_per_execution=10")
    assert train(cfg) == math.inf
    result = record(cfg)
    assert result["status"] == "diverged"
    assert result["val/w2"] is result["train/loss_d"] is None
    assert f"iteration {result['iterations']}" in result["error"]
    assert result["iterations"] <= 10
    assert result["examples"] == 8 * result["iterations"]
    assert_speed(result, 8 * result["iterations"])  # the first blocks are short, because frames are recorded there
    assert [image.step for image in events(cfg).Images("game")] == [result["iterations"]]

    one_at_a_time = compose(*ill, "data.steps_per_execution=1", name="one")
    train(one_at_a_time)
    assert record(one_at_a_time)["error"] == result["error"]
    checkpoint = torch.load(Path(cfg.run_dir) / "checkpoints/last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


def test_a_distance_beyond_all_numbers_is_infinite(compose: Compose) -> None:
    """Losses and parameters stay finite, and the generator's covariance does not: the run is no failure."""
    sgd = ("optimizer@optimizer_g=sgd", "optimizer_g.lr=1e200", "objective=wasserstein", "trainer.precision=64-true")
    cfg = compose(*SMALL, *sgd)
    assert train(cfg) == math.inf
    assert (record(cfg)["status"], record(cfg)["val/w2"]) == ("completed", None)


def test_a_rate_beyond_float32_diverges_as_any_other(compose: Compose) -> None:
    cfg = compose("optimizer_d.lr=1e38")
    assert train(cfg) == math.inf
    assert record(cfg)["status"] == "diverged"


def test_the_limit_that_ends_a_run_is_the_one_that_is_reached(
    compose: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for epochs, end in ((1, 5), ("null", 9)):
        cfg = compose(*SMALL, f"trainer.max_epochs={epochs}", "trainer.max_steps=9", name=f"epochs_{epochs}")
        train(cfg)
        assert record(cfg)["iterations"] == end
    assert "trainer.max_epochs=1 ends the run at iteration 5, before trainer.max_steps=9" in caplog.text
    assert caplog.text.count("ends the run") == 1
    assert "max_time" not in caplog.text
    cfg = compose(*SMALL, "+trainer.max_time={milliseconds: 1}", "trainer.max_epochs=3000", name="time")
    train(cfg)
    assert record(cfg)["status"] == "completed"
    end = f"{record(cfg)['iterations']:,}"
    assert f"a callback or trainer.max_time ended the run, at iteration {end} of 15,000" in caplog.text


def test_a_defect_is_recorded_as_failed(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    from gaussgan.data.datamodule import DataModule
    from gaussgan.gan.module import GAN

    def defect(*_: object) -> None:
        raise RuntimeError("the cat\nate it")

    monkeypatch.setattr(GAN, "training_step", defect)
    monkeypatch.setattr(DataModule, "moments", defect)  # such as memory, which the record would lack too
    cfg = compose(*SMALL)
    with pytest.raises(RuntimeError, match="the cat"):
        train(cfg)
    assert record(cfg)["status"] == "failed"
    assert record(cfg)["error"] == "the cat ate it"


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed", "bf16-true"])
def test_lightnings_precisions(compose: Compose, precision: str) -> None:
    cfg = compose(*SMALL, f"trainer.precision={precision}", "objective=mmd", "penalty=[dragan,lecam,consistency]")
    assert math.isfinite(train(cfg))


@SPAWNS
@pytest.mark.parametrize(
    "update",
    ["alternating", *(pytest.param(name, marks=pytest.mark.extra) for name in ("sga", "cgd", "follow_the_ridge"))],
)
def test_two_processes_give_the_single_process_run(compose: Compose, update: str) -> None:
    more = ("discriminator.packing=2", "data.batch_size=4", "augment=[rotation,scaling]")
    more += (f"update={update}", "ema_half_life=5", "penalty=[dragan,lecam,consistency]", "penalty.weight=0.1")
    overrides = (*SMALL, *more, "trainer.precision=64-true", "~callbacks.pictures")
    alone = compose(*overrides, name="alone")
    train(alone)
    shared = compose(
        *overrides, "trainer.devices=2", "trainer.strategy=ddp_spawn", "trainer.enable_progress_bar=true", name="shared"
    )
    train(shared)
    ours, theirs = load_run(shared.run_dir), load_run(alone.run_dir)
    for network in ("generator", "discriminator", "generator_ema"):
        for a, b in zip(getattr(ours, network).parameters(), getattr(theirs, network).parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9)  # halves add up otherwise, and a game amplifies it
    assert record(shared)["train/loss_d"] == pytest.approx(record(alone)["train/loss_d"], rel=1e-9)
