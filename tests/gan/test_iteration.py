"""One iteration is a function of (state, batch) that make_fx can trace."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from gaussgan.data.loader import Batch
from gaussgan.gan.divergence import Diverged
from gaussgan.gan.module import GAN
from gaussgan.gan.objectives import NonSaturating
from gaussgan.gan.optimizers import SGD, Adam
from gaussgan.gan.player import Player
from gaussgan.gan.state import State
from gaussgan.gan.updates import Alternating
from gaussgan.networks import MLP, Linear
from gaussgan.rng import normal, stream
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
    columns = [[None] * 5 if column is None else column.split(data.batch_size, -2)[:5] for column in data.draw(0)]
    return gan, [Batch(*rows) for rows in zip(*columns, strict=True)]


def copied(state: State) -> State:
    return pytree.tree_map_only(Tensor, torch.clone, state)


def assert_equal(ours: object, theirs: object) -> None:
    pairs = zip(pytree.tree_leaves(ours), pytree.tree_leaves(theirs), strict=True)
    for one, other in ((a, b) for a, b in pairs if isinstance(a, Tensor)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.every_second
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


def test_an_optimizer_of_torch_keeps_its_state_and_is_refused_for_another_state(compose: Compose) -> None:
    gan, batches = game(compose("data.num_examples=120", "optimizer_d._target_=torch.optim.Adam"))
    gan.iteration(gan.state, batches[0])
    moments = gan.discriminator_player.optimizer.state[gan.discriminator_player.theta]
    before = {name: value.clone() for name, value in moments.items()}
    with pytest.raises(TypeError, match="Adam keeps its own state"):
        gan.iteration(copied(gan.state), batches[1])
    assert_equal(moments, before)
    gan.iteration(gan.state, batches[1])


class Replacing(torch.nn.Module):
    """Replaces its buffer instead of changing it in place."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.network(x - self.mean)


def test_a_buffer_that_is_replaced_is_in_the_state_that_is_given() -> None:
    def played(own: bool) -> tuple[State, Tensor]:
        discriminator = Replacing(MLP(2, [3], 1, std=0.5, rng=stream(0, "d")))
        networks = (Linear(2, 2, std=0.5, rng=stream(0, "g")), discriminator)
        gan = GAN(*networks, NonSaturating(), Alternating(), partial(Adam, lr=0.1), partial(Adam, lr=0.1))
        gan.configure_optimizers()
        state = gan.state if own else copied(gan.state)
        for i in range(3):
            real, latent, mix = (normal(4, n, generator=stream(i, "batch")) for n in (2, 2, 1))
            gan.iteration(state, Batch(real, latent, mix))
        return state, discriminator.mean if own else state.discriminator.buffers["mean"]

    (ours, mean), (theirs, their_mean) = played(own=True), played(own=False)
    torch.testing.assert_close(their_mean, mean, rtol=0, atol=0)
    assert_equal(theirs.discriminator.theta, ours.discriminator.theta)
    assert mean.any()


def test_a_gradient_with_a_graph_leaves_none_behind(compose: Compose) -> None:
    gan, batches = game(compose("data.num_examples=120"))
    player = gan.discriminator_player
    _, gradient = player.value_and_grad(batches[0], create_graph=True)
    player.apply(gradient)
    assert not any(tensor.requires_grad for tensor in player.state.optimizer.values())
    assert not player.theta.requires_grad


def test_g_first_on_a_copy_twice_with_one_batch(compose: Compose) -> None:
    gan, batches = game(compose("data.num_examples=120", "update.generator_first=true"))
    copy = copied(gan.state)
    for _ in range(2):
        gan.iteration(gan.state, batches[0])
        gan.iteration(copy, batches[0])
    assert_equal(copy.tensors(), gan.state.tensors())


def test_a_trained_module_can_be_copied(compose: Compose) -> None:
    gan, data, trainer = assemble(compose("data.num_examples=40", "trainer.max_epochs=1", "~callbacks.pictures"))
    trainer.fit(gan, data)
    gan.state = gan.state._replace(diverged={0: Diverged(3, "a parameter")})
    twin = deepcopy(gan)
    assert_equal(twin.state.tensors(), gan.state.tensors())
    assert str(twin.diverged[0]) == "diverged: a parameter is not finite at iteration 3"


@pytest.mark.parametrize("optimizer", [partial(Adam, lr=0.1), partial(SGD, lr=0.1, momentum=0.5)])
def test_a_player_can_be_copied(optimizer: Callable) -> None:
    network = Linear(2, 1, std=0.5, rng=stream(0, "init"))
    player = Player(network, lambda x: network(x).square(), optimizer)
    twin = deepcopy(player)
    gradient = torch.ones_like(player.theta)
    for each in (player, twin):
        each.apply(gradient)
    torch.testing.assert_close(twin.theta, player.theta, rtol=0, atol=0)
