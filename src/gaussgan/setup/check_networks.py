"""Check both networks before the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.gan.module import GAN
from gaussgan.networks.moments import has_closed_form
from gaussgan.networks.packing import copies
from gaussgan.networks.replicas import Replicas
from gaussgan.rng import normal, stream
from gaussgan.setup.trial import ONLY_GIVEN_GENERATOR, ROWS, check_numbers, naming_key


def check_networks(gan: GAN, latent_dim: int, d: int, rebuilt: Mapping[str, nn.Module]) -> None:
    """Check that the generator and the discriminator fit each other and the data.

    Also check that training can change all parameters of both networks, and that the initial parameters depend only on
    the seed.

    Args:
        gan: a copy of the game with both networks.
        latent_dim: the dimension of the latents.
        d: the dimension of the data.
        rebuilt: maps "generator" and "discriminator" to the networks of the first replica, built a second time. The
            parameters of these networks must equal those of the first replica in `gan`.

    Raises:
        ConfigError: for the first mistake.
    """
    leading = [gan.replicas] if gan.replicas > 1 else []
    latents = normal(*leading, ROWS, latent_dim, generator=stream(0, "protocol"))
    with gan.evaluating(), torch.enable_grad():
        fake = _forward(gan, "generator", latents, "data.latent_dim")
        if fake.shape != (*leading, ROWS, d):
            if "shape" in (own := gan.config["generator"]):
                raise ConfigError(f"generator.shape must be data.shape, [C,H,W] with C·H·W = {d} (got {own['shape']})")
            raise ConfigError(f"generator.out_features must be {d}, the data's dimension (got {fake.shape[-1]})")
        _check_parameters("generator", gan.generator, fake)
        inputs, times = copies(fake.detach(), gan.game.packing), " × discriminator.packing" * (gan.game.packing > 1)
        logits = _forward(gan, "discriminator", inputs, f"the data's dimension{times}")
        if logits.shape != (*leading, ROWS, 1):
            raise ConfigError(f"discriminator.out_features must be 1, a logit (got {logits.shape[-1]})")
        _check_parameters("discriminator", gan.discriminator, logits)
    if has_closed_form(gan.generator):
        with naming_key("generator"), torch.no_grad():
            for moment, shape in zip(gan.generator.moments(), ((d,), (d, d)), strict=True):  # type: ignore[operator]
                check_numbers("generator: each tensor that moments() returns", moment, (*leading, *shape), finite=False)
    for name, network in rebuilt.items():
        ours = getattr(gan, name)
        ours = ours.network(0) if isinstance(ours, Replicas) else ours
        with naming_key(name):
            if not all(torch.equal(value, network.state_dict()[key]) for key, value in ours.state_dict().items()):
                raise ConfigError(f"{name}: {type(network).__name__} {ONLY_GIVEN_GENERATOR}")


def check_range(config: Mapping[str, Any], examples: Tensor) -> None:
    """Check that a generator whose outputs are in [-1, 1] can make the examples.

    Raises:
        ConfigError: when the configuration sets generator.tanh, but an example is outside of [-1, 1].
    """
    if config["generator"].get("tanh") and (largest := examples.abs().max().item()) > 1:
        raise ConfigError(
            f"generator.tanh must be false, because examples are not in [-1, 1] (got one at {largest:.3g})"
        )


def _forward(gan: GAN, name: str, x: Tensor, source: str) -> Tensor:
    """Return the output of a network for a batch.

    Args:
        name: "generator" or "discriminator".
        x: the batch.
        source: a text for an error message. It says what determines the number of columns of x, such as
            "data.latent_dim".
    """
    width = x.shape[-1]
    try:
        y = getattr(gan, name)(x)
    except Exception as error:
        got = gan.config[name].get("in_features")
        if got in (None, width):
            raise ConfigError(f"{name}: {one_line(error)} (inputs have the width {width}: {source})") from error
        raise ConfigError(f"{name}.in_features must be {width}, {source} (got {got})") from error
    shape = y.shape if isinstance(y, Tensor) and y.ndim else ()
    check_numbers(f"{name}: its output", y, shape, finite=False)
    return y


def _check_parameters(name: str, network: nn.Module, output: Tensor) -> None:
    """Check that the output of a network depends on all parameters of the network.

    Args:
        name: "generator" or "discriminator".
        output: the output of the network for a batch.
    """
    trained = {key: parameter for key, parameter in network.named_parameters() if parameter.requires_grad}
    gradients: Sequence[Tensor | None] = ()
    if trained and output.requires_grad:
        gradients = torch.autograd.grad(output.sum(), [*trained.values()], allow_unused=True)
    used = [key for key, gradient in zip(trained, gradients, strict=False) if gradient is not None]
    if unused := [key.removeprefix("stacked.") for key, _ in network.named_parameters() if key not in used]:
        raise ConfigError(f"{name}: its output must depend on all its parameters (it ignores {', '.join(unused)})")
