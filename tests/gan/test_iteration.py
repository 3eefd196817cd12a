"""One iteration is a function of (state, batch) that make_fx can trace."""

from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from gaussgan.data.loader import Batch
from gaussgan.gan.module import GAN
from gaussgan.gan.state import State
from gaussgan.setup.assemble import assemble

Compose = Callable[..., DictConfig]
NETWORKS = ("generator=mlp", "generator.widths=[4]")
GAMES = {
    "the textbook's": (),
    "three steps of D": ("update.d_steps=3",),
    "G first": ("update.generator_first=true",),
    "simultaneous": ("update=simultaneous", "optimizer@optimizer_d=rmsprop"),
    "extragradient": ("update=extragradient", "optimizer@optimizer_g=sgd", "optimizer_g.momentum=-0.5"),
    "optimistic": ("update=optimistic", "ema_half_life=3"),
    "consensus": ("update=consensus", "objective=relativistic"),
    "consensus in turn": ("update=consensus", "update.alternating=true"),
    "wgan_gp": ("objective=wasserstein", "penalty=wgan_gp", "player_d.clip_gradient=1"),
    "r1_r2": ("penalty=r1_r2", "data.instance_noise=0.1"),
    "batch norm": (*NETWORKS, "generator.batch_norm=true", "ema_half_life=3"),
    "spectral norm": (*NETWORKS, "discriminator.spectral_norm=true", "player_d.clip_weights=0.1"),
    "replicas": ("replicas=3", "optimizer_d.lr=[0.01,0.02,0.03]", "ema_half_life=[1,2,3]"),
}


def game(cfg: DictConfig) -> tuple[GAN, list[Batch]]:
    """Return a GAN before its first iteration, and the batches of its first epoch."""
    gan, data, _ = assemble(cfg)
    gan.configure_optimizers()
    gan.train()
    columns = [[None] * 5 if column is None else column.split(data.batch_size, -2)[:5] for column in data.draw_epoch(0)]
    return gan, [Batch(*rows) for rows in zip(*columns, strict=True)]


def copied(state: State) -> State:
    return pytree.tree_map_only(Tensor, torch.clone, state)


def assert_equal(ours: object, theirs: object) -> None:
    pairs = zip(pytree.tree_leaves(ours), pytree.tree_leaves(theirs), strict=True)
    for one, other in ((a, b) for a, b in pairs if isinstance(a, Tensor)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", GAMES)
def test_a_traced_iteration_computes_the_same(compose: Compose, name: str) -> None:
    gan, batches = game(compose("data.num_examples=120", *GAMES[name]))
    fresh, state = copied(gan.state), gan.state
    traced = make_fx(gan.iteration)(copied(fresh), batches[0])
    assert_equal(state, fresh)  # tracing does not change the GAN's own state
    ours, losses = copied(fresh), []
    for batch in batches:
        losses.append(gan.iteration(state, batch))
    for batch, expected in zip(batches, losses, strict=True):
        assert_equal(traced(ours, batch), expected)
    assert_equal(ours.tensors(), state.tensors())
    assert any(not torch.equal(*pair) for pair in zip(ours.tensors(), fresh.tensors(), strict=True))


@pytest.mark.parametrize("name", ["the textbook's", "optimistic", "batch norm", "replicas"])
def test_it_computes_with_the_given_state(compose: Compose, name: str) -> None:
    """With a copy of the state the result is the same, and the GAN's own state does not change."""
    gan, batches = game(compose("data.num_examples=120", *GAMES[name]))
    other, before = copied(gan.state), copied(gan.state)
    parameters = [id(parameter) for parameter in gan.parameters()]
    theirs = [gan.iteration(other, batch) for batch in batches]
    assert_equal(gan.state, before)
    assert [id(parameter) for parameter in gan.parameters()] == parameters
    ours = [gan.iteration(gan.state, batch) for batch in batches]
    assert_equal(ours, theirs)
    assert_equal(gan.state.tensors(), other.tensors())


@pytest.mark.parametrize("name", GAMES)
def test_the_state_is_complete_before_the_first_iteration(compose: Compose, name: str) -> None:
    gan, batches = game(compose("data.num_examples=120", *GAMES[name]))
    before = [id(tensor) for tensor in gan.state.tensors()]
    for batch in batches:
        gan.iteration(gan.state, batch)
    players = (gan.discriminator_player.state, gan.generator_player.state)
    now = State(*players, gan.state.memory, gan.state.average)
    assert [id(tensor) for tensor in now.tensors()] == before
