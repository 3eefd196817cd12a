"""Convolutional networks fit images of any shape, and their layers are those of torch."""

import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from gaussgan.config.errors import ConfigError
from gaussgan.gan.penalties import input_gradient, squared_norm
from gaussgan.networks import ConvDiscriminator, ConvGenerator
from gaussgan.networks.build import build_networks
from gaussgan.networks.conv import DoublingConv, HalvingConv
from gaussgan.networks.replicas import Replicas
from gaussgan.rng import normal, stream
from gaussgan.setup.assemble import assemble

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 7, 9), (2, 5, 16), (1, 1, 6), (1, 3, 2)]


def networks(shape: tuple[int, ...], seed: int = 0, width: int = 3) -> tuple[nn.Module, nn.Module]:
    generator = ConvGenerator(5, shape, width, stream(seed, "g")).double()
    return generator, ConvDiscriminator(shape, width, stream(seed, "d")).double()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_fits(shape: tuple[int, ...]) -> None:
    generator, discriminator = networks(shape)
    fake = generator(normal(2, 4, 5, generator=stream(0, "z")).double())
    assert fake.shape == (2, 4, math.prod(shape))
    assert fake.abs().max() <= 1
    assert discriminator(fake).shape == (2, 4, 1)
    assert (torch.autograd.grad(discriminator(fake).sum(), fake)[0] != 0).all()  # D looks at every pixel
    for i in range(2):
        torch.testing.assert_close(discriminator(fake)[i], discriminator(fake[i]))


def test_the_sides_of_dcgan() -> None:
    """Radford et al. 2016, figure 1: 4, 8, 16, 32, 64 pixels, and half as many channels each time."""
    generator, discriminator = networks((3, 64, 64), width=2)
    assert generator.sizes == discriminator.sizes == [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4), (2, 2)]
    assert [layer.in_channels for layer in generator.layers] == [32, 16, 8, 4, 2]
    assert [layer.out_channels for layer in discriminator.layers] == [2, 4, 8, 16, 32]
    assert networks((1, 28, 9))[0].sizes == [(28, 9), (14, 5), (7, 3), (4, 2), (2, 1)]


def test_the_networks_of_digits_written_out() -> None:
    generator, discriminator = networks((1, 8, 8))
    z = normal(6, 5, generator=stream(0, "z")).double()
    g, d = dict(generator.named_parameters()), dict(discriminator.named_parameters())
    h = (z @ g["input.weight"].mT + g["input.bias"]).view(6, 6, 2, 2)
    for i in range(2):
        h = conv_transpose2d(leaky_relu(h, 0.2), g[f"layers.{i}.weight"], g[f"layers.{i}.bias"], stride=2, padding=1)
    torch.testing.assert_close(generator(z), h.tanh().flatten(1))
    h = h.tanh()
    for i in range(2):
        h = leaky_relu(conv2d(h, d[f"layers.{i}.weight"], d[f"layers.{i}.bias"], stride=2, padding=1), 0.2)
    torch.testing.assert_close(discriminator(generator(z)), h.flatten(1) @ d["output.weight"].mT + d["output.bias"])


@pytest.mark.parametrize("make", [lambda rng: HalvingConv(32, 64, rng), lambda rng: DoublingConv(32, 64, rng)])
def test_initial_layers_keep_the_size_of_numbers(make: Callable[[torch.Generator], nn.Module]) -> None:
    """He et al. 2015: numbers whose mean square is 1 have it again after a layer and its leaky ReLU, off the margin."""
    x = normal(100, 32, 8, 8, generator=stream(0, "x"))
    with torch.no_grad():
        inner = leaky_relu(make(stream(0, "init"))(x), 0.2)[..., 1:-1, 1:-1]
    assert inner.square().mean().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 5, 7)], ids=str)
def test_replicas_are_their_networks(shape: tuple[int, ...]) -> None:
    """Outputs, gradients of a penalty (a second derivative) and gradients with respect to latents, for each replica."""
    alone = [networks(shape, seed) for seed in range(3)]
    generator, discriminator = (Replicas([*each]) for each in zip(*alone, strict=True))
    z = normal(3, 4, 5, generator=stream(0, "z")).double()

    def results(g: nn.Module, d: nn.Module, z: torch.Tensor) -> list[torch.Tensor]:
        fake = g(z)
        penalty = squared_norm(input_gradient(d, fake.detach()))
        slopes = torch.autograd.grad(penalty.sum(), [*d.parameters()], allow_unused=True)  # none for the last bias
        return [fake, d(fake), penalty, *slopes[:-1], *torch.autograd.grad(d(fake).sum(), [*g.parameters()])]

    together = results(generator, discriminator, z)
    for i, pair in enumerate(alone):
        for ours, theirs in zip(together, results(*pair, z[i]), strict=True):
            torch.testing.assert_close(ours[i], theirs)


def test_the_gradient_of_a_penalty_is_a_second_derivative() -> None:
    _, discriminator = networks((1, 5, 6), width=1)
    names = [name for name, _ in discriminator.named_parameters()]

    def penalty(*parameters: torch.Tensor) -> torch.Tensor:
        state = dict(zip(names, parameters, strict=True))
        return squared_norm(input_gradient(lambda x: torch.func.functional_call(discriminator, state, (x,)), rows))

    rows = normal(2, 30, generator=stream(0, "x")).double()
    assert torch.autograd.gradcheck(penalty, tuple(discriminator.parameters()))


def test_initial_parameters_depend_only_on_the_random_generator() -> None:
    for index in (0, 1):
        torch.manual_seed(0)
        first = networks((1, 8, 8))[index].state_dict()
        torch.manual_seed(1)
        second, other = networks((1, 8, 8))[index].state_dict(), networks((1, 8, 8), seed=1)[index].state_dict()
        assert all(
            torch.equal(value, second[key]) and not torch.equal(value, other[key]) for key, value in first.items()
        )


@pytest.mark.parametrize("shape", [[8, 8], [1, 8, 0], [1, 8.0, 8], [True, 8, 8]], ids=str)
def test_other_shapes_are_refused(shape: list) -> None:
    for make in (lambda: networks(shape), lambda: ConvDiscriminator(shape, 3, stream(0, "d"))):  # type: ignore[arg-type]
        with pytest.raises(
            ValueError, match=r"^data.shape must be \[C,H,W\], three whole numbers of at least 1 \(got "
        ):
            make()
    with pytest.raises(ValueError, match=r"width must be a whole number of at least 1 \(got 0\)"):
        networks((1, 8, 8), width=0)
    with pytest.raises(ValueError, match=r"^data.shape=\(1, 8, 8\) must be \[C, H, W\] with C·H·W = 63$"):
        networks((1, 8, 8))[1](torch.zeros(2, 63).double())


def test_a_run_without_a_shape_is_refused(compose: Callable[..., DictConfig]) -> None:
    config = OmegaConf.to_container(compose("generator=conv", "discriminator=linear"), resolve=True)
    with pytest.raises(
        ConfigError, match=r"^generator: needs data.shape=\[C,H,W\], the channels, height and width of an"
    ):
        build_networks(config, 64)  # type: ignore[arg-type]


def test_a_shape_with_another_number_of_pixels_is_refused(compose: Callable[..., DictConfig]) -> None:
    for network, error in (
        ("generator", r"^generator.shape must be data.shape, \[C,H,W\] with C·H·W = 2 \(got \[1, 1, 3\]\)$"),
        ("discriminator", r"^discriminator: data.shape=\[1, 1, 3\] must be \[C, H, W\] with C·H·W = 2 "),
    ):
        with pytest.raises(ConfigError, match=error):
            assemble(compose(f"{network}=conv", f"{network}.shape=[1,1,3]"))


def test_tanh_for_examples_outside_of_its_range_is_refused(compose: Callable[..., DictConfig]) -> None:
    recipe = ["generator=conv", "generator.shape=[1,1,2]"]
    with pytest.raises(
        ConfigError, match=r"^generator.tanh must be false, because examples are not in \[-1, 1\] \(got "
    ):
        assemble(compose(*recipe))
    assemble(compose(*recipe, "generator.tanh=false"))


def test_without_tanh() -> None:
    bounded, free = (ConvGenerator(5, (1, 4, 4), 3, stream(0, "g"), tanh=tanh) for tanh in (True, False))
    z = normal(6, 5, generator=stream(0, "z"))
    torch.testing.assert_close(bounded(z), free(z).tanh())
