"""The moving average, the schedules and the noise of the module agree with their definitions."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig

from gaussgan import load_run
from gaussgan.callbacks import Pictures
from gaussgan.callbacks.drawing import Picture, Snapshot, spectrum
from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.data.loader import Batch
from gaussgan.evaluation.chunked import evaluator_of
from gaussgan.evaluation.spectrum import linearised
from gaussgan.gan.game import FakeCache
from gaussgan.setup.assemble import assemble
from gaussgan.train import train
from test_resume import assert_same

Compose = Callable[..., DictConfig]
SMALL = ("data.num_examples=40", "trainer.max_epochs=3", "~callbacks.pictures", "data.steps_per_execution=1")


def last(cfg: DictConfig) -> dict:
    return torch.load(Path(cfg.run_dir) / "checkpoints" / "last.ckpt", weights_only=True)


def test_the_moving_average_weighs_half_after_its_half_life(compose: Compose) -> None:
    cfg = compose(*SMALL, "ema_half_life=4", "+callbacks.trajectory._target_=gaussgan.callbacks.Trajectory")
    train(cfg)
    thetas = last(cfg)["trajectory"][1:, :6]  # G's, after each iteration
    decay, average = 0.5**0.25, thetas[0]
    assert decay**4 == pytest.approx(0.5)
    for theta in thetas[1:]:
        average = decay * average + (1 - decay) * theta
    run = load_run(cfg.run_dir)
    assert run.generator_ema is not None
    for network, expected in ((run.generator_ema, average), (run.generator, thetas[-1])):
        ours = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
        torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-6)


def test_the_averaged_generator_has_the_generators_running_means(compose: Compose) -> None:
    cfg = compose(*SMALL, "ema_half_life=4", "generator=mlp", "generator.widths=[4]", "generator.batch_norm=true")
    train(cfg)
    run = load_run(cfg.run_dir)
    assert run.generator_ema is not None
    ours, theirs = dict(run.generator_ema.named_buffers()), dict(run.generator.named_buffers())
    assert any(name.endswith("running_mean") and buffer.any() for name, buffer in theirs.items())
    assert all(torch.equal(ours[name], buffer) for name, buffer in theirs.items())


@pytest.mark.parametrize("schedule, multiplier", [("linear", 0.1), ("cosine", 0.1), ("constant", 1.0)])
def test_both_learning_rates_follow_the_schedule(compose: Compose, schedule: str, multiplier: float) -> None:
    end = [] if schedule == "constant" else ["schedule.end=0.1"]
    cfg = compose(*SMALL, f"schedule={schedule}", *end)
    train(cfg)
    for state, rate in zip(last(cfg)["optimizer_states"], (0.05, 0.005), strict=True):
        assert state["param_groups"][0]["lr"] == pytest.approx(multiplier * rate)
    stopped = compose(*SMALL, f"schedule={schedule}", *end, "trainer.max_steps=3", name="stopped")
    train(stopped)  # the progress is relative to the run's three iterations, not to its epochs
    assert last(stopped)["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(multiplier * 0.05)


def test_the_inverse_schedule_has_a_power_for_each_player(compose: Compose) -> None:
    train(cfg := compose(*SMALL, "schedule=inverse", "schedule.start=0.25", "schedule.power_d=0.5"))
    rates = [state["param_groups"][0]["lr"] for state in last(cfg)["optimizer_states"]]
    assert rates == pytest.approx([0.05 / 5**0.5, 0.005 / 5])


@pytest.mark.parametrize(
    "overrides",
    [
        ["schedule=cosine"],
        ["schedule=inverse", "schedule.power_d=0.3"],
        ["schedule=linear", "ema_half_life=3", "update=optimistic"],
    ],
)
def test_an_interrupted_schedule_resumes(compose: Compose, overrides: list[str]) -> None:
    alone = compose(*SMALL, *overrides, name="alone")
    train(alone)
    bomb = [f"+callbacks.bomb.{key}" for key in ("_target_=test_resume.Signal", "signum=15", "iteration=7")]
    with pytest.raises(SystemExit):
        train(compose(*SMALL, *overrides, *bomb))
    run = Path(alone.run_dir).with_name("run")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 7
    train(compose(*SMALL, *overrides, f"ckpt_path={run}/checkpoints/last.ckpt"))
    assert_same(run, alone.run_dir)


def test_instance_noise_is_on_all_examples_that_the_discriminator_sees(compose: Compose) -> None:
    plain, noisy = (assemble(compose("data.num_examples=20000", f"data.instance_noise={s}")) for s in (0, 0.5))
    for epoch in (0, 1):
        clean, batch = plain[1].draw(epoch), noisy[1].draw(epoch)
        assert clean.noise is None
        assert batch.noise is not None
        assert torch.equal(clean.latent, batch.latent)
        on_real, on_fake = batch.real - clean.real, noisy[0].game.generated(batch) - plain[0].game.generated(clean)
        for noise in (on_real, on_fake.detach()):
            assert noise.std().item() == pytest.approx(0.5, rel=0.02)
        assert abs((on_real * on_fake).mean().item()) < 5 * 0.25 / 40_000**0.5
    assert not torch.equal(noisy[1].draw(0).noise, noisy[1].draw(1).noise)  # type: ignore[arg-type]


def test_the_means_of_an_epoch_are_over_its_own_examples(compose: Compose) -> None:
    cfg = compose(*SMALL, "update.d_steps=2", "data.batch_size=4")
    train(cfg)
    _, counts, number = last(cfg)["epoch_sums"]
    assert (counts.tolist(), number) == ([40, 20, 40, 40], 2)  # loss_d, loss_g, d_real, d_fake of the third epoch


def test_evaluation_does_not_change_a_run(compose: Compose) -> None:
    """Only training steps change the buffers of batch norm and spectral norm."""
    norms = ("generator.batch_norm=true", "discriminator.spectral_norm=true")
    networks = ("generator=mlp", "generator.widths=[4]", *norms)
    seen = compose(*SMALL[:2], *networks, name="seen")
    unseen = compose(*SMALL, *networks, name="unseen")
    for cfg in (seen, unseen):
        train(cfg)
    ours, theirs = last(seen)["state_dict"], last(unseen)["state_dict"]
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


@pytest.mark.parametrize("limits", [["trainer.max_steps=4"], ["trainer.max_steps=-1"]])
def test_a_schedule_resumes_only_to_its_own_end(compose: Compose, limits: list[str]) -> None:
    """The learning rate depends on the length of the run."""
    cfg = compose(*SMALL, "schedule=cosine", "trainer.max_steps=2")
    train(cfg)
    checkpoint = f"ckpt_path={cfg.run_dir}/checkpoints/last.ckpt"
    with pytest.raises(ConfigError, match="comes from a run whose schedule ends at iteration 2; give"):
        assemble(compose(*SMALL, "schedule=cosine", *limits, checkpoint, name="other"))
    assemble(compose(*SMALL, "schedule=cosine", "trainer.max_steps=2", checkpoint, name="other"))


def test_the_schedule_of_an_experiment_can_be_removed(compose: Compose) -> None:
    assert assemble(compose("experiment=r3gan", "schedule=constant"))[0].schedule is None


def test_every_batch_splits_into_equal_shards(compose: Compose) -> None:
    _, data, _ = assemble(compose("data.num_examples=24", "data.batch_size=3", "update.d_steps=2"))
    with pytest.raises(ValueError, match="2 devices equal shards"):
        data.check_shards(2)
    assemble(compose("data.num_examples=24", "data.batch_size=4", "update.d_steps=2"))[1].check_shards(2)


def test_the_spectrum_uses_the_momentum_of_the_run(compose: Compose) -> None:
    sgd = [f"optimizer@optimizer_{p}=sgd" for p in "dg"]
    gan, data, _ = assemble(compose(*sgd, "optimizer_d.momentum=-0.5", "ema_half_life=3"))
    gan.configure_optimizers()
    groups = [player.optimizer.param_groups[0] for player in linearised(gan)]
    assert [(group["lr"], group["momentum"]) for group in groups] == [(0.05, -0.5), (0.005, 0.0)]
    assert spectrum(Snapshot(gan, data, evaluator_of(data), 0)) is not None


def test_a_picture_without_content_removes_the_earlier_file(compose: Compose, tmp_path: Path) -> None:
    class Once:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, run: Snapshot) -> Picture | None:
            self.calls += 1
            return Picture(Figure()) if self.calls == 1 else None

    gan, data, trainer = assemble(compose(*SMALL))
    draw = Once()
    trainer.callbacks.append(Pictures(draw, "once", str(tmp_path / "figures" / "once.png")))
    trainer.fit(gan, data)
    assert draw.calls >= 2
    assert not (tmp_path / "figures" / "once.png").exists()


@pytest.mark.parametrize(
    "update, runs",
    [
        ("alternating", 1),
        ("alternating update.d_steps=2", 2),
        ("alternating update.generator_first=true", 2),
        ("simultaneous", 1),
        ("extragradient", 2),
        ("consensus", 1),
    ],
)
def test_both_players_use_the_same_generated_examples(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, update: str, runs: int
) -> None:
    """The generator runs once until it moves. The result is the same as with one call for each player."""
    thetas = []
    for name in ("once", "twice"):
        gan, data, trainer = assemble(
            compose(
                *SMALL, *f"update={update}".split(), "data.instance_noise=0.1", "trainer.precision=64-true", name=name
            )
        )
        calls: list[int] = []
        gan.generator.register_forward_hook(
            lambda module, *_, calls=calls: calls.append(1) if module.training else None
        )
        if name == "twice":
            monkeypatch.setattr(FakeCache, "take", lambda *_: None)
        trainer.fit(gan, data)
        if name == "once":
            assert len(calls) == runs * gan.global_step
        thetas.append(torch.cat([gan.discriminator_player.theta, gan.generator_player.theta]))
    torch.testing.assert_close(*thetas, rtol=0, atol=1e-9)  # consensus sums in another order


@pytest.mark.parametrize("fused", [(), ("optimizer_g._target_=torch.optim.Adam", "+optimizer_g.fused=true")])
def test_generated_examples_are_not_used_after_the_generator_moves(compose: Compose, fused: tuple[str, ...]) -> None:
    gan, data, trainer = assemble(compose(*SMALL, *fused))
    trainer.fit(gan, data)
    batch = Batch(*(column[:8] for column in data.draw(0) if column is not None))
    gan.game.discriminator_loss(batch)
    gan.generator_player.apply(torch.ones_like(gan.generator_player.theta))
    loss = gan.game.generator_loss(batch).values
    torch.testing.assert_close(
        loss, gan.game.objective.generator_loss(None, gan.discriminator(gan.generator(batch.latent)))
    )


def test_a_schedule_starts_at_no_number_that_a_run_flushes_to_0(compose: Compose) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.start must be a finite number of at least 1e-09"):
        check(compose("schedule=inverse", "schedule.start=1e-320"))
