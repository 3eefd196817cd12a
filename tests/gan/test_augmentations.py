"""Augmentations: against NumPy, their expectations, what they do to distributions, and gradients through them."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from gaussgan.config.errors import ConfigError
from gaussgan.data.loader import Batch
from gaussgan.gan.augmentations import Color, Cutout, Rotation, Scaling, Translation, augmented, draws_of
from gaussgan.gan.game import Game
from gaussgan.gan.objectives import NonSaturating
from gaussgan.gan.optimizers import SGD
from gaussgan.networks import MLP, Linear
from gaussgan.rng import normal, stream, uniform
from gaussgan.setup.assemble import assemble

Compose = Callable[..., DictConfig]
SHAPE = [3, 16, 9]
OF_IMAGES = [Color(SHAPE, 1.0), Translation(SHAPE, 1.0), Cutout(SHAPE, 1.0)]
ALL: list[Any] = [Rotation(0.5, 1.0), Scaling(0.25, 1.0), *OF_IMAGES]


def example(n: int, d: int = math.prod(SHAPE)) -> Tensor:
    return normal(n, d, generator=stream(0, "x")).double()


def draws(n: int, augmentation: Any) -> Tensor:
    return uniform(n, augmentation.draws, generator=stream(0, "u")).double()


def by_numpy(augmentation: Any, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """One example, as the published code transforms it (for images), or by the matrix of a rotation."""
    if isinstance(augmentation, Scaling):
        return x * math.exp(augmentation.log_factor * (2 * u[0] - 1))
    if isinstance(augmentation, Rotation):
        angle, y = augmentation.angle * (2 * u[0] - 1), x.copy()
        matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        for i in range(0, len(x) - 1, 2):
            y[i : i + 2] = matrix @ x[i : i + 2]
        return y
    image = x.reshape(SHAPE)
    _, height, width = SHAPE
    if isinstance(augmentation, Color):
        image = image + u[0] - 0.5
        image = (image - image.mean(0)) * 2 * u[1] + image.mean(0)
        image = (image - image.mean()) * (u[2] + 0.5) + image.mean()
    elif isinstance(augmentation, Translation):
        most_y, most_x = height // 8, width // 8
        moves = math.floor(u[0] * (2 * most_y + 1)) - most_y, math.floor(u[1] * (2 * most_x + 1)) - most_x
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        rows = np.clip(np.arange(height) + moves[0] + 1, 0, height + 1)
        columns = np.clip(np.arange(width) + moves[1] + 1, 0, width + 1)
        image = padded[:, rows][:, :, columns]
    else:
        size = height // 2, width // 2
        sides = ((height, size[0]), (width, size[1]))
        begin = [math.floor(u[i] * (n + 1 - s % 2)) - s // 2 for i, (n, s) in enumerate(sides)]
        image = image.copy()
        rows = np.clip(np.arange(size[0]) + begin[0], 0, height - 1)
        columns = np.clip(np.arange(size[1]) + begin[1], 0, width - 1)
        image[:, rows[:, None], columns] = 0
    return image.reshape(-1)


@pytest.mark.parametrize("augmentation", ALL, ids=lambda each: type(each).__name__)
def test_each_is_that_of_numpy(augmentation: Any) -> None:
    x, u = example(50), draws(50, augmentation)
    expected = np.stack([by_numpy(augmentation, *each) for each in zip(x.numpy(), u.numpy(), strict=True)])
    np.testing.assert_allclose(augmentation(x, u).numpy(), expected, atol=1e-12)
    replicas = augmentation(x.view(5, 10, -1), u.view(5, 10, -1))
    assert torch.equal(replicas.flatten(0, 1), augmentation(x, u))


def test_expectations_have_closed_forms() -> None:
    """E T x = x for colours, x sin(a)/a for rotations, x sinh(a)/a for scalings; over a grid of draws."""
    x = example(1)
    middles = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    one = middles.unsqueeze(-1)
    few = (torch.arange(6, dtype=torch.float64) + 0.5) / 6
    three = torch.cartesian_prod(few, few, few)
    for augmentation, u, factor in (
        (Rotation(0.5, 1.0), one, math.sin(0.5) / 0.5),
        (Scaling(0.25, 1.0), one, math.sinh(0.25) / 0.25),
        (OF_IMAGES[0], three, 1.0),
    ):
        x_ = x if isinstance(augmentation, Color) else x[:, :4]
        mean = augmentation(x_.expand(len(u), -1), u).mean(0)
        torch.testing.assert_close(mean, factor * x_[0], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("probability", [0.3, 0.8, 1.0])
def test_a_rotation_multiplies_every_fourier_coefficient_by_a_number_that_is_not_0(probability: float) -> None:
    """E e^{i n θ} on the unit circle is (1 − P) + P sin(n a)/(n a): nothing is lost."""
    angle, n = 0.5, 4_000
    u = torch.cartesian_prod((torch.arange(100.0) + 0.5) / 100, (torch.arange(n) + 0.5) / n).double()
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(len(u), -1)
    y = augmented(x, [Rotation(angle, probability)], u)
    turned = torch.atan2(y[:, 1], y[:, 0])
    for order in (1, 2, 5, 9):
        wave = math.sin(order * angle) / (order * angle)
        expected = 1 - probability + probability * wave
        assert (order * turned).cos().mean().item() == pytest.approx(expected, abs=1e-4)
        assert abs(expected) > 0.01


def test_below_one_half_nothing_leaks() -> None:
    """Cutout of images of 2 × 2 pixels in {0, 1}: its operator on distributions is singular at P = 1, not at 0.4."""
    shape = [1, 2, 2]
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).double()
    fine = (torch.arange(12, dtype=torch.float64) + 0.5) / 12
    u = torch.cartesian_prod(fine, fine)
    codes = torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)
    cut = torch.zeros(16, 16, dtype=torch.float64)
    for i, image in enumerate(images):
        for j in Cutout(shape, 1.0)(image.expand(len(u), -1), u) @ codes:
            cut[i, int(j)] += 1 / len(u)
    assert torch.linalg.matrix_rank(cut) < 16  # an image is never seen whole
    mixed = 0.6 * torch.eye(16, dtype=torch.float64) + 0.4 * cut
    inverse = sum((-0.4) ** k * torch.linalg.matrix_power(cut, k) / 0.6 ** (k + 1) for k in range(100))
    torch.testing.assert_close(inverse, torch.linalg.inv(mixed), rtol=1e-9, atol=1e-9)


def test_each_has_its_own_probability_and_draws() -> None:
    both = [Rotation(0.5, 0.3), Scaling(0.25, 0.0)]
    assert draws_of(both) == 4
    x, u = example(20_000, 2), uniform(20_000, 4, generator=stream(0, "u")).double()
    y = augmented(x, both, u)
    assert (y != x).any(-1).double().mean().item() == pytest.approx(0.3, abs=0.02)
    turned = u[:, 0] < 0.3
    torch.testing.assert_close(y[turned], Rotation(0.5, 1.0)(x, u[:, 1:2])[turned])
    assert augmented(x, [], None) is x
    certain = augmented(x, [Scaling(0.25, 1.0)], torch.ones(20_000, 2))  # as bfloat16 rounds draws
    assert (certain != x).all()


def test_gradients_go_through_it_to_the_generator() -> None:
    """The players' losses and gradients are those of D(T x): the first draws are for real examples."""
    augmentations = [Rotation(0.5, 0.7), Scaling(0.25, 1.0)]
    generator, discriminator = Linear(3, 4, 0.5, stream(0, "g")).double(), MLP(8, [5], 1, 0.5, stream(0, "d")).double()
    real, latent = example(6, 4), normal(6, 3, generator=stream(0, "z")).double()
    u = uniform(6, 8, generator=stream(0, "u")).double()
    game = Game(generator, discriminator, NonSaturating(), packing=2, augmentations=augmentations)
    player_d, player_g = game.players(partial(SGD, lr=0.1), partial(SGD, lr=0.1))
    (loss, gradient_d), (_, gradient_g) = (
        player.value_and_grad(Batch(real, latent, augment=u)) for player in (player_d, player_g)
    )

    def logits(x: Tensor, u: Tensor) -> Tensor:
        turned = torch.where(u[:, :1] < 0.7, augmentations[0](x, u[:, 1:2]), x)
        return discriminator(augmentations[1](turned, u[:, 3:4]).reshape(3, 8))

    ours, theirs = logits(real, u[:, :4]), logits(generator(latent), u[:, 4:])
    softplus = torch.nn.functional.softplus
    losses = (softplus(-ours) + softplus(theirs)) / 2
    torch.testing.assert_close(loss.values, losses.detach())
    for mean, network, gradient in (
        (losses.mean(), discriminator, gradient_d),
        (softplus(-theirs).mean(), generator, gradient_g),
    ):
        parts = torch.autograd.grad(mean, [*network.parameters()], retain_graph=True)
        torch.testing.assert_close(gradient, torch.cat([part.flatten() for part in parts]))


def test_other_draws_stay_what_they_are(compose: Compose) -> None:
    _, plain, _ = assemble(compose("penalty=wgan_gp"))
    _, data, _ = assemble(compose("penalty=wgan_gp", "augment=[rotation,scaling]"))
    before, after = plain.draw(3), data.draw(3)
    assert before.augment is None
    assert after.augment is not None
    assert after.augment.shape == (1000, 8)
    for name in ("real", "latent", "mix"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    assert after.augment.min() >= 0
    assert after.augment.max() < 1


@pytest.mark.parametrize("augmentation", [Translation((1, 16, 24), 1.0), Cutout((1, 16, 24), 1.0)])
def test_draws_that_are_rounded_to_1_are_the_largest_ones(augmentation: Any) -> None:
    """In bfloat16, draws above 0.998 are rounded to 1."""
    x = 1 + example(3, 16 * 24).abs()
    largest, rounded = (augmentation(x, torch.full((3, 2), u).double()) for u in (0.9999, 1.0))
    assert torch.equal(rounded, largest)
    assert (rounded != 0).any(-1).all()


class Centred:
    """Subtracts a mean over all examples and replicas."""

    draws, probability = 0, 1.0

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        return x - x.mean((0, 1))


class Noisy:
    """Draws numbers itself."""

    draws, probability = 0, 1.0

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        return x + torch.randn_like(x)


@pytest.mark.parametrize(
    "target, arguments, line",
    [
        ("torch.nn.Identity", [], "augment.own: Identity.draws must be a whole number of at least 0 (got None)"),
        (
            "types.SimpleNamespace",
            ["+augment.own.draws=1"],
            "augment.own: SimpleNamespace.probability must be a number from 0 to 1 (got None)",
        ),
        (
            "gaussgan.gan.augmentations.Cutout",
            ["+augment.own.probability=1", "+augment.own.shape=[-1,-1,2]"],
            "augment.own: needs images: data.shape=[C,H,W] with C·H·W = 2 (got [-1, -1, 2]) (ValueError)",
        ),
        *(
            (
                f"test_augmentations.{name}",
                ["replicas=2"],
                f"augment.own: the value of {name} must depend on one example and its draws alone, and draw nothing"
                " itself",
            )
            for name in ("Centred", "Noisy")
        ),
    ],
)
def test_what_is_no_augmentation_is_refused(compose: Compose, target: str, arguments: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        assemble(compose(f"+augment.own._target_={target}", *arguments))
    assert str(error.value) == line
