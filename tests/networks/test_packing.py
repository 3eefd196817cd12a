"""A discriminator of packs: against NumPy, at the optimal logit of packs of Gaussians, and in shards of a batch."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from gaussgan.config.check import check
from gaussgan.config.errors import ConfigError
from gaussgan.data.distributions import AffineGaussian
from gaussgan.data.loader import Batch, BlockLoader
from gaussgan.evaluation.evaluator import Evaluator
from gaussgan.gan.game import Game
from gaussgan.gan.objectives import NonSaturating, Relativistic
from gaussgan.gan.optimizers import SGD
from gaussgan.gan.penalties import R1, ZeroCentred
from gaussgan.networks import ConvDiscriminator, Linear, Quadratic, copies, packed
from gaussgan.rng import normal, stream, uniform
from gaussgan.runs.load import load_run
from gaussgan.setup.assemble import assemble
from gaussgan.train import train

Compose = Callable[..., DictConfig]


def batch_of(n: int, d: int = 2) -> Batch:
    real, latent = (normal(n, d, generator=stream(0, name)).double() for name in ("real", "latent"))
    return Batch(real, latent, uniform(n, 1, generator=stream(0, "mix")).double())


@pytest.mark.parametrize("packing", [1, 2, 3])
def test_losses_and_penalties_are_those_of_numpy(packing: int) -> None:
    """D is quadratic: the packs, its logits, its gradients and the losses of packs, without torch."""
    n, d = 6, 2
    generator = Linear(d, d, 0.5, stream(0, "g")).double()
    discriminator = Quadratic(packing * d, 0.3, stream(0, "d")).double()
    batch, penalties = batch_of(n), [R1(0.7), ZeroCentred(0.4)]
    loss = Game(generator, discriminator, NonSaturating(), penalties, packing=packing).discriminator_loss(batch)
    q, w, c = (parameter.detach().numpy() for parameter in discriminator.parameters())
    weight, bias = (parameter.detach().numpy() for parameter in generator.parameters())
    assert batch.mix is not None
    real, fake = batch.real.numpy(), batch.latent.numpy() @ weight.T + bias
    for i in range(n // packing):
        rows = range(i * packing, (i + 1) * packing)
        x, y = (np.concatenate([examples[row] for row in rows]) for examples in (real, fake))
        u = batch.mix[rows[0]].item()  # one number for a pack
        between = u * x + (1 - u) * y
        logits = [float(point @ q @ point + w @ point + c[0]) for point in (x, y)]
        slopes = [float(np.square((q + q.T) @ point + w).sum()) for point in (x, between)]
        expected = (np.logaddexp(0, -logits[0]) + np.logaddexp(0, logits[1])) / 2
        expected += (0.7 / 2 * slopes[0] + 0.4 * slopes[1]) / 2
        assert loss.values[i].item() == pytest.approx(expected, rel=1e-12)
    assert loss.values.shape == (n // packing, 1)


def test_the_generators_gradient_is_that_of_packs() -> None:
    """A linear D on packs: G's loss is softplus(−Σ w_k·y_k − c) over the examples of a pack."""
    generator = Linear(2, 2, 0.5, stream(0, "g")).double()
    discriminator = Linear(4, 1, 0.5, stream(0, "d")).double()
    batch = batch_of(8)
    for objective in (NonSaturating(), Relativistic()):
        game = Game(generator, discriminator, objective, packing=2)
        _, player = game.players(partial(SGD, lr=0.1), partial(SGD, lr=0.1))
        gradient = player.gradient(batch)
        fake = generator(batch.latent)
        first, second = discriminator.weight[0, :2], discriminator.weight[0, 2:]
        logits = [x[0::2] @ first + x[1::2] @ second + discriminator.bias for x in (batch.real, fake)]
        real = logits[0] if objective.__class__ is Relativistic else 0.0
        mean = torch.nn.functional.softplus(real - logits[1]).mean()
        expected = torch.cat([each.flatten() for each in torch.autograd.grad(mean, [*generator.parameters()])])
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("packing", [1, 2, 3])
def test_the_optimal_logit_of_a_pack_is_the_sum(packing: int) -> None:
    """p = N(μ, A) and q = N(0, I): log p/q is quadratic, and so is its sum over a pack. The copies are a pack, too."""
    true = AffineGaussian([[1, 0.5], [0, 0.8]], [0.3, -0.2])
    generator = Linear(2, 2, 0.0, stream(0, "g"))
    with torch.no_grad():
        generator.weight.copy_(torch.eye(2))
    precision = torch.linalg.inv(true.cov)
    discriminator = Quadratic(2 * packing, 0.0, stream(0, "d")).double()
    with torch.no_grad():
        for i in range(packing):
            block = slice(2 * i, 2 * i + 2)
            discriminator.quadratic[block, block] = (torch.eye(2) - precision) / 2
            discriminator.linear[block] = precision @ true.mean
        discriminator.constant.fill_(packing * -(true.mean @ precision @ true.mean + torch.logdet(true.cov)) / 2)
    evaluator = Evaluator(true, 2, seed=0)
    best = evaluator.optimality(
        generator, discriminator, logistic=True, packing=packing
    )  # 1,000 % 3 examples are left out
    assert best["val/logit_error"].item() < 1e-5
    assert abs(best["val/d_gap"].item()) < 1e-6
    single = evaluator.optimality(generator, Quadratic(2, 0.0, stream(0, "d")), logistic=True)
    assert best["val/js"].item() == pytest.approx(single["val/js"].item(), abs=1e-6)
    with torch.no_grad():
        discriminator.constant += 0.5
    worse = evaluator.optimality(generator, discriminator, logistic=True, packing=packing)
    assert worse["val/logit_error"].item() == pytest.approx(0.5, abs=1e-4)
    assert 0 < worse["val/d_gap"] < 0.5**2 / 8
    x = normal(5, 2, generator=stream(0, "x")).double()
    logits = Game(generator, discriminator, NonSaturating(), packing=packing).verdict(x)
    torch.testing.assert_close(logits, discriminator(packed(x.repeat_interleave(packing, 0), packing)))


def test_images_are_packed_as_channels() -> None:
    x = normal(4, 3 * 2 * 5, generator=stream(0, "x"))
    expected = torch.cat([x[0::2].view(2, 3, 2, 5), x[1::2].view(2, 3, 2, 5)], 1)
    assert torch.equal(packed(x, 2).view(2, 6, 2, 5), expected)
    assert ConvDiscriminator([6, 2, 5], 4, stream(0, "d"))(packed(x, 2)).shape == (2, 1)
    assert torch.equal(copies(x[:1], 2), packed(x[:1].expand(2, -1), 2))


@pytest.mark.parametrize("packing, processes", [(1, 2), (2, 2), (2, 3), (3, 2)])
def test_shards_have_whole_packs(packing: int, processes: int) -> None:
    """The packs of all processes are those of one process."""
    epoch = batch_of(2 * processes * packing)

    def packs(rank: int, n: int) -> list[list[float]]:
        size = len(epoch.real)
        loader = BlockLoader(lambda *_: epoch, 1, size, 1, shard=(rank, n), packing=packing)
        return packed(next(iter(loader))[0].real, packing).tolist()

    shards = [pack for rank in range(processes) for pack in packs(rank, processes)]
    assert sorted(shards) == sorted(packs(0, 1))


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            ["data.num_examples=1001"],
            r"num_examples must be a multiple of discriminator.packing × batches_per_iteration = 2",
        ),
        (["data.num_examples=998", "update.d_steps=2"], r"= 4, so that the packs .* are whole \(got 998; 996 is one\)"),
        (["data.num_examples=14"], r"num_examples / batches_per_iteration / discriminator.packing = 7 \(got 8\)"),
        (["discriminator.in_features=2"], "discriminator.in_features must be 4, the data's dimension × discr"),
        (["data.validation_samples=1"], r"validation_samples must be at least discriminator.packing = 2 \(got 1\)"),
        (["discriminator.packing=0"], r"discriminator.packing must be a whole number from 1 to 1,000 \(got 0\)"),
        (["discriminator.packing=1001"], r"discriminator.packing must be a whole number from 1 to 1,000"),
        (
            ["discriminator=mlp", "+discriminator.batch_norm=true", "data.num_examples=38", "data.batch_size=3"],
            "give every batch, also the last of an epoch, at least two packs for batch norm",
        ),
    ],
)
def test_packs_that_are_not_whole_are_refused(compose: Compose, overrides: list[str], message: str) -> None:
    def put_together(cfg: DictConfig) -> None:
        check(cfg)
        assemble(cfg)

    with pytest.raises(ConfigError, match=message):
        put_together(compose("discriminator.packing=2", *overrides))


def test_a_step_has_batch_size_packs_and_a_run_is_loaded(compose: Compose) -> None:
    cfg = compose(
        "discriminator.packing=2", "data.num_examples=40", "trainer.max_epochs=1", "callbacks=[default,logit]"
    )
    train(cfg)
    _, data, _ = assemble(cfg)
    assert (data.batch_size, data.iterations, data.first_batch(7).real.shape) == (16, 3, (6, 2))
    run = load_run(cfg.run_dir)
    assert run.discriminator(torch.zeros(3, 4)).shape == (3, 1)
