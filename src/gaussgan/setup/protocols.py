"""What the classes of a configuration must be able to do, tried once before a run: each mistake costs one line.

Trying them draws nothing from torch's global generator, and changes no parameter.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.data.distributions import examples_of
from gaussgan.data.loader import Batch
from gaussgan.gan.game import OptimizerFactory
from gaussgan.gan.module import GAN
from gaussgan.gan.player import Loss
from gaussgan.networks.moments import has_closed_form
from gaussgan.networks.replicas import Replicas
from gaussgan.rng import normal, stream, uniform

ROWS = 3  # of a batch that is tried


def check_distribution(law: Any) -> None:
    """Check a distribution against `Distribution`.

    Raises:
        ConfigError: naming what it lacks, or does otherwise.
    """
    key, name = "data.distribution", type(law).__name__
    for attribute in ("dim", "mean", "cov", "gaussian", "sample"):
        _require(hasattr(law, attribute), f"{key}: {name} must have {attribute} (it has none)")
    with _naming(key):
        d = law.dim
        _require(type(d) is int and d >= 1, f"{key}: {name}.dim must be a whole number of at least 1 (got {d!r})")
        _require(type(law.gaussian) is bool, f"{key}: {name}.gaussian must be true or false (got {law.gaussian!r})")
        _check_numbers(f"{key}: {name}.mean", law.mean, (d,))
        _check_numbers(f"{key}: {name}.cov", law.cov, (d, d))
        cov = law.cov.double()
        _require(
            torch.allclose(cov, cov.mT) and bool(torch.linalg.eigvalsh(cov)[0] >= -1e-6 * cov.abs().max()),
            f"{key}: {name}.cov must be symmetric, and no variance in it negative (got {law.cov.tolist()})",
        )
        if hasattr(law, "modes"):
            _check_numbers(f"{key}: {name}.modes", law.modes, (len(law.modes), d))
            std: Any = getattr(law, "std", None)
            _require(_is_number(std) and std > 0, f"{key}: {name}.std must be a number above 0 (got {std!r})")
        before = _global_states()
        x, again = (examples_of(law, ROWS, stream(0, "protocol")) for _ in range(2))
        _require(
            torch.equal(x, again) and before == _global_states(),
            f"{key}: {name}.sample must draw from the generator that is passed, and from nothing else",
        )
        _check_log_prob(law, x)


def _check_log_prob(law: Any, x: Tensor) -> None:
    for points in (x[0], x, torch.stack([x, x])):
        try:
            value = law.log_prob(points) if hasattr(law, "log_prob") else points.sum(-1)
        except ValueError:  # no density
            return
        what = f"data.distribution: {type(law).__name__}.log_prob"
        _check_numbers(what, value, points.shape[:-1], finite=False)
        _require(not value.isnan().any(), f"{what} must be a number at examples of its own (got nan)")


def check_networks(gan: GAN, latent_dim: int, d: int, again: Mapping[str, nn.Module]) -> None:
    """Check that both networks fit each other and the data, can be trained, and are functions of their seeds.

    Args:
        again: the first replica's networks, made a second time.

    Raises:
        ConfigError: naming the network.
    """
    leading = [gan.replicas] if gan.replicas > 1 else []
    latents = normal(*leading, ROWS, latent_dim, generator=stream(0, "protocol"))
    with gan.evaluating(), torch.enable_grad():
        fake = _forward(gan, "generator", latents, latent_dim, "data.latent_dim")
        if fake.shape != (*leading, ROWS, d):
            raise ConfigError(f"generator.out_features must be {d}, the data's dimension (got {fake.shape[-1]})")
        _check_parameters("generator", gan.generator, fake)
        logits = _forward(gan, "discriminator", fake.detach(), d, "the data's dimension")
        if logits.shape != (*leading, ROWS, 1):
            raise ConfigError(f"discriminator.out_features must be 1, a logit (got {logits.shape[-1]})")
        _check_parameters("discriminator", gan.discriminator, logits)
    if has_closed_form(gan.generator):
        with _naming("generator"), torch.no_grad():
            for moment, shape in zip(gan.generator.moments(), ((d,), (d, d)), strict=True):  # type: ignore[operator]
                _check_numbers("generator: each of its moments()", moment, (*leading, *shape), finite=False)
    for name, network in again.items():
        ours = getattr(gan, name)
        ours = ours.network(0) if isinstance(ours, Replicas) else ours
        with _naming(name):
            same = all(torch.equal(value, network.state_dict()[key]) for key, value in ours.state_dict().items())
            what = f"{name}: {type(network).__name__} must draw its parameters from the rng that is passed"
            _require(same, f"{what}, and from nothing else")


def _forward(gan: GAN, name: str, x: Tensor, width: int, what: str) -> Tensor:
    """What a network makes of a batch."""
    try:
        y = getattr(gan, name)(x)
    except Exception as error:
        got = gan.config[name].get("in_features") or one_line(error)
        if isinstance(got, str) or got == width:
            raise ConfigError(f"{name}: {one_line(error)}, for inputs of width {width}, {what}") from error
        raise ConfigError(f"{name}.in_features must be {width}, {what} (got {got})") from error
    _check_numbers(
        f"{name}: what it returns", y, tuple(y.shape) if isinstance(y, Tensor) and y.ndim else (), finite=False
    )
    return y


def _check_parameters(name: str, network: nn.Module, output: Tensor) -> None:
    """Check that an output is a function of each of a network's parameters."""
    parameters = dict(network.named_parameters())
    lost = [key for key, parameter in parameters.items() if not parameter.requires_grad]
    if not lost:
        grad_fn = output.grad_fn is not None
        used = torch.autograd.grad(output.sum(), [*parameters.values()], allow_unused=True) if grad_fn else parameters
        lost = [key for key, slope in zip(parameters, used, strict=True) if not isinstance(slope, Tensor)]
    which = ", ".join(key.removeprefix("stacked.") for key in lost)
    _require(not lost, f"{name}: every parameter must have a part in what it returns (frozen or not used: {which})")


def check_objective(objective: Any, replicas: int) -> None:
    """Check that an objective gives a loss for each logit, with a gradient, and each replica its own.

    Raises:
        ConfigError: naming what it does otherwise.
    """
    shape = (replicas, ROWS, 1) if replicas > 1 else (ROWS, 1)
    name, rng = type(objective).__name__, stream(0, "protocol")
    real, fake = (normal(*shape, generator=rng).requires_grad_() for _ in range(2))
    for player in ("discriminator", "generator"):
        what = f"objective: {name}.{player}_loss"
        loss = getattr(objective, f"{player}_loss", None)
        _require(callable(loss), f"{what} must be a function of real and fake logits (it has none)")
        shown = real if player == "discriminator" or getattr(objective, "paired", False) else None
        with _naming(what), torch.enable_grad():
            losses = loss(shown, fake)  # type: ignore[misc]
            _check_numbers(what, losses, shape)
            _require(losses.requires_grad, f"{what} must have a gradient with respect to the logits")
            if replicas > 1:
                alone = loss(None if shown is None else shown[0], fake[0])  # type: ignore[misc]
                same = alone.shape == shape[1:] and torch.allclose(losses[0], alone, rtol=1e-4, atol=1e-6)
                _require(same, f"{what} must take each replica as if it were alone: means are over dimension -2")


def check_penalties(penalties: Mapping[str, Any], gan: GAN, d: int) -> None:
    """Check that penalties give a number for each example.

    Args:
        penalties: those of a game by their names.

    Raises:
        ConfigError: naming what one does otherwise.
    """
    leading = [gan.replicas] if gan.replicas > 1 else []
    rng = stream(0, "protocol")
    for name, penalty in penalties.items():
        what = f"penalty.{name}: what {type(penalty).__name__} returns"
        real, fake = (normal(*leading, ROWS, d, generator=rng) for _ in range(2))
        mix = uniform(*leading, ROWS, 1, generator=rng)
        with _naming(f"penalty.{name}"), gan.evaluating(), torch.enable_grad():
            _check_numbers(what, penalty(gan.discriminator, real, fake, mix), (*leading, ROWS, 1), finite=False)


def check_update(gan: GAN, latent_dim: int, d: int, d_steps: int) -> None:
    """Check an update rule by one iteration of a copy of the game.

    Raises:
        ConfigError: saying what it does otherwise than `Update`.
    """
    name, twin = type(gan.update).__name__, deepcopy(gan)
    twin.schedule = None
    leading, rng = [gan.replicas] if gan.replicas > 1 else [], stream(0, "protocol")
    batch = Batch(
        *(normal(*leading, ROWS * d_steps, width, generator=rng).to(gan.placed) for width in (d, latent_dim, 1))
    )
    with _naming("update"):
        twin.configure_optimizers()
        state = twin.state
        for tensor in state.memory:
            rows = isinstance(tensor, Tensor) and (tensor.ndim == 0 or [*tensor.shape[: len(leading)]] == leading)
            _require(rows, f"update: {name}.start must return tensors, with replicas one row for each (got {tensor!r})")
        try:
            signature(gan.update).bind(None, None, None, *state.memory)
        except TypeError as error:
            raise ConfigError(
                f"update: {name} must be a function of discriminator, generator and batch, and of the tensors that"
                f" its start returns ({error})"
            ) from error
        losses = twin.iteration(state, batch)
    two = isinstance(losses, tuple | list) and len(losses) == 2 and all(isinstance(each, list) for each in losses)
    good = two and all(each and all(isinstance(loss, Loss) for loss in each) for each in losses)
    _require(good, f"update: {name} must return the losses of D and of G as two lists (got {losses!r:.100})")


def check_schedule(schedule: Any) -> None:
    """Check that a schedule maps progress, 0 to 1, to shares of the first learning rate.

    Raises:
        ConfigError: saying what it gives.
    """
    with _naming("schedule"):
        for progress in (0.0, 0.5, 1.0):
            share = schedule(progress)
            good = _is_number(share) and share >= 0
            _require(good, f"schedule must give a number of at least 0 (got {share!r} at progress {progress})")


def check_optimizers(gan: GAN) -> None:
    """Check that optimizers are torch's, and step each replica as if it were alone.

    Raises:
        ConfigError: naming the first that is not.
    """
    for name in ("optimizer_d", "optimizer_g"):
        try:
            optimizer = getattr(gan, name)([torch.zeros(1, 1)])
            good = isinstance(optimizer, torch.optim.Optimizer)
            _require(good, f"{name} must be a torch.optim.Optimizer (got {type(optimizer).__name__})")
            one, other = (_stepped(getattr(gan, name), gan.replicas, k) for k in (1.0, torch.tensor([3.0, -5, 7])))
        except (TypeError, ValueError, RuntimeError) as error:
            raise error if isinstance(error, ConfigError) else ConfigError(f"{name}: {one_line(error)}") from error
        if not torch.allclose(one, other, rtol=0, atol=0, equal_nan=True):
            raise ConfigError(
                f"{name} must step each replica as if it were alone, which {type(optimizer).__name__} does not"
            )


def _stepped(factory: OptimizerFactory, replicas: int, others: float | Tensor) -> Tensor:
    """The first of so many replicas after two steps, in which the gradients of the others are so many times its own."""
    theta = torch.ones(replicas, 3)
    optimizer = factory([theta])
    for _ in range(2):
        theta.grad = torch.tensor([1.0, 2, -1]).repeat(replicas, 1)
        theta.grad[1:] *= others
        optimizer.step()
    return theta[0]


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """What a class raises when it is tried, as one line that names its key."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{key}: {one_line(error)} ({type(error).__name__})") from error


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


def _check_numbers(what: str, value: Any, shape: Sequence[int], finite: bool = True) -> None:
    """Check that something is a floating-point tensor of a shape."""
    form = f"{what} must be a tensor of floats, {[*shape]}"
    _require(isinstance(value, Tensor), f"{form} (got {type(value).__name__})")
    _require(value.is_floating_point() and value.shape == (*shape,), f"{form} (got {[*value.shape]} of {value.dtype})")
    _require(not finite or bool(value.isfinite().all()), f"{what} must be finite (it holds NaN or infinity)")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _global_states() -> tuple[Any, ...]:
    """Where the generators stand that are nobody's."""
    legacy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), legacy[1].tolist()  # type: ignore[index]
