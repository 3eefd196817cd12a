"""Try each object of a run once, before the run: does it do what its kind must do? Each mistake costs one line.

Each check raises a ConfigError for the first mistake. The trials draw nothing from torch's global generator and
change no parameter.
"""

from __future__ import annotations

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
from gaussgan.config.schema import is_number
from gaussgan.data.distributions import examples_of
from gaussgan.data.loader import Batch
from gaussgan.gan.game import OptimizerFactory
from gaussgan.gan.module import GAN
from gaussgan.gan.player import Loss
from gaussgan.networks.moments import has_closed_form
from gaussgan.networks.replicas import Replicas
from gaussgan.rng import normal, stream, uniform

ROWS = 3  # rows of a batch in a trial
ONLY_PASSED = "from the generator that is passed, and from nothing else"


def check_distribution(law: Any) -> None:
    """Check a distribution against the protocol `Distribution`."""
    what = f"data.distribution: {type(law).__name__}"
    for attribute in ("dim", "mean", "cov", "gaussian", "sample"):
        if not hasattr(law, attribute):
            raise ConfigError(f"{what} must have {attribute} (it has none)")
    with _naming("data.distribution"):
        d = law.dim
        if type(d) is not int or d < 1:
            raise ConfigError(f"{what}.dim must be a whole number of at least 1 (got {d!r})")
        if type(law.gaussian) is not bool:
            raise ConfigError(f"{what}.gaussian must be true or false (got {law.gaussian!r})")
        _check_numbers(f"{what}.mean", law.mean, (d,))
        _check_numbers(f"{what}.cov", law.cov, (d, d))
        cov = law.cov.double()
        if not torch.allclose(cov, cov.mT) or torch.linalg.eigvalsh(cov)[0] < -1e-6 * cov.abs().max():
            raise ConfigError(f"{what}.cov must be symmetric, without negative variances (got {law.cov.tolist()})")
        if hasattr(law, "modes"):
            _check_numbers(f"{what}.modes", law.modes, (len(law.modes), d))
            std: Any = getattr(law, "std", None)
            if not is_number(std) or std <= 0:
                raise ConfigError(f"{what}.std must be a number above 0 (got {std!r})")
        before = _global_states()
        x, again = (examples_of(law, ROWS, stream(0, "protocol")) for _ in range(2))
        if not torch.equal(x, again) or before != _global_states():
            raise ConfigError(f"{what}.sample must draw {ONLY_PASSED}")
        _check_log_prob(law, x)


def _check_log_prob(law: Any, x: Tensor) -> None:
    if not hasattr(law, "log_prob"):
        return
    what = f"data.distribution: {type(law).__name__}.log_prob"
    for points in (x[0], x, torch.stack([x, x])):
        try:
            value = law.log_prob(points)
        except ValueError:  # the distribution has no density
            return
        _check_numbers(what, value, points.shape[:-1], finite=False)
        if value.isnan().any():
            raise ConfigError(f"{what} must be a number at examples of the distribution (got nan)")


def check_networks(gan: GAN, latent_dim: int, d: int, again: Mapping[str, nn.Module]) -> None:
    """Check that both networks fit each other and the data, can be trained, and depend only on their seeds.

    Args:
        again: the networks of the first replica, made a second time.
    """
    leading = [gan.replicas] if gan.replicas > 1 else []
    latents = normal(*leading, ROWS, latent_dim, generator=stream(0, "protocol"))
    with gan.evaluating(), torch.enable_grad():
        fake = _forward(gan, "generator", latents, "data.latent_dim")
        if fake.shape != (*leading, ROWS, d):
            raise ConfigError(f"generator.out_features must be {d}, the data's dimension (got {fake.shape[-1]})")
        _check_parameters("generator", gan.generator, fake)
        logits = _forward(gan, "discriminator", fake.detach(), "the data's dimension")
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
            if not all(torch.equal(value, network.state_dict()[key]) for key, value in ours.state_dict().items()):
                raise ConfigError(f"{name}: {type(network).__name__} must draw its parameters {ONLY_PASSED}")


def _forward(gan: GAN, name: str, x: Tensor, what: str) -> Tensor:
    """Return what a network makes of a batch."""
    width = x.shape[-1]
    try:
        y = getattr(gan, name)(x)
    except Exception as error:
        got = gan.config[name].get("in_features")
        if got in (None, width):
            raise ConfigError(f"{name}: {one_line(error)}, for inputs of width {width}, {what}") from error
        raise ConfigError(f"{name}.in_features must be {width}, {what} (got {got})") from error
    shape = y.shape if isinstance(y, Tensor) and y.ndim else ()
    _check_numbers(f"{name}: what it returns", y, shape, finite=False)
    return y


def _check_parameters(name: str, network: nn.Module, output: Tensor) -> None:
    """Check that an output depends on all parameters of a network."""
    trained = {key: parameter for key, parameter in network.named_parameters() if parameter.requires_grad}
    slopes: Sequence[Tensor | None] = ()
    if trained and output.requires_grad:
        slopes = torch.autograd.grad(output.sum(), [*trained.values()], allow_unused=True)
    used = [key for key, slope in zip(trained, slopes, strict=False) if slope is not None]
    if lost := [key.removeprefix("stacked.") for key, _ in network.named_parameters() if key not in used]:
        raise ConfigError(f"{name}: its output must depend on all its parameters (frozen or unused: {', '.join(lost)})")


def check_objective(objective: Any, replicas: int) -> None:
    """Check that an objective gives one loss for each logit, with a gradient, and treats each replica alone."""
    shape = (replicas, ROWS, 1) if replicas > 1 else (ROWS, 1)
    rng = stream(0, "protocol")
    real, fake = (normal(*shape, generator=rng).requires_grad_() for _ in range(2))
    for player in ("discriminator", "generator"):
        what = f"objective: {type(objective).__name__}.{player}_loss"
        loss: Any = getattr(objective, f"{player}_loss", None)
        if not callable(loss):
            raise ConfigError(f"{what} must be a function of real and fake logits (it has none)")
        shown = real if player == "discriminator" or getattr(objective, "paired", False) else None
        with _naming(what), torch.enable_grad():
            losses = loss(shown, fake)
            _check_numbers(what, losses, shape)
            if not losses.requires_grad:
                raise ConfigError(f"{what} must have a gradient with respect to the logits")
            if replicas > 1:
                alone = loss(None if shown is None else shown[0], fake[0])
                if alone.shape != shape[1:] or not torch.allclose(losses[0], alone, rtol=1e-4, atol=1e-6):
                    raise ConfigError(f"{what} must treat each replica alone: means are over dimension -2")


def check_penalties(penalties: Mapping[str, Any], gan: GAN, d: int) -> None:
    """Check that penalties give one number for each example.

    Args:
        penalties: the penalties of a game by their names.
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
    """Check an update rule against the protocol `Update`, by one iteration of a copy of the game."""
    name, twin = type(gan.update).__name__, deepcopy(gan)
    twin.schedule = None
    leading, rng = [gan.replicas] if gan.replicas > 1 else [], stream(0, "protocol")
    rows = (normal(*leading, ROWS * d_steps, width, generator=rng).to(gan.placed) for width in (d, latent_dim, 1))
    with _naming("update"):
        twin.configure_optimizers()
        for tensor in twin.state.memory:
            if not isinstance(tensor, Tensor) or (tensor.ndim and [*tensor.shape[: len(leading)]] != leading):
                raise ConfigError(
                    f"update: {name}.start must return tensors, with replicas one row for each (got {tensor!r})"
                )
        try:
            signature(gan.update).bind(None, None, None, *twin.state.memory)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"update: {name} must be a function of discriminator, generator and batch, and of the tensors that"
                f" its start returns ({error})"
            ) from error
        losses = twin.iteration(twin.state, Batch(*rows))
    two = isinstance(losses, tuple | list) and len(losses) == 2 and all(isinstance(each, list) for each in losses)
    if not two or not all(each and all(isinstance(loss, Loss) for loss in each) for each in losses):
        raise ConfigError(f"update: {name} must return the losses of D and of G as two lists (got {losses!r:.100})")


def check_schedule(schedule: Any) -> None:
    """Check that a schedule maps progress in [0, 1] to learning-rate multipliers."""
    with _naming("schedule"):
        for progress in (0.0, 0.5, 1.0):
            value = schedule(progress)
            if not is_number(value) or value < 0:
                raise ConfigError(f"schedule must give a number of at least 0 (got {value!r} at progress {progress})")


def check_optimizers(gan: GAN) -> None:
    """Check that both optimizers are torch optimizers, and that they step each replica alone."""
    for name in ("optimizer_d", "optimizer_g"):
        try:
            optimizer = getattr(gan, name)([torch.zeros(1, 1)])
            if not isinstance(optimizer, torch.optim.Optimizer):
                raise ConfigError(f"{name} must be a torch.optim.Optimizer (got {type(optimizer).__name__})")
            one, other = (_stepped(getattr(gan, name), gan.replicas, k) for k in (1.0, torch.tensor([3.0, -5, 7])))
        except (TypeError, ValueError, RuntimeError) as error:
            raise error if isinstance(error, ConfigError) else ConfigError(f"{name}: {one_line(error)}") from error
        if not torch.allclose(one, other, rtol=0, atol=0, equal_nan=True):
            raise ConfigError(f"{name} must step each replica alone, which {type(optimizer).__name__} does not")


def _stepped(factory: OptimizerFactory, replicas: int, others: float | Tensor) -> Tensor:
    """Return the first replica after two steps. The gradients of the other replicas are multiples of its own."""
    theta = torch.ones(replicas, 3)
    optimizer = factory([theta])
    for _ in range(2):
        theta.grad = torch.tensor([1.0, 2, -1]).repeat(replicas, 1)
        theta.grad[1:] *= others
        optimizer.step()
    return theta[0]


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Turn any error of a trial into a ConfigError that names the key."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{key}: {one_line(error)} ({type(error).__name__})") from error


def _check_numbers(what: str, value: Any, shape: Sequence[int], finite: bool = True) -> None:
    """Check that a value is a floating-point tensor with the given shape."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.shape != (*shape,):
        got = f"{[*value.shape]} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise ConfigError(f"{what} must be a tensor of floats, {[*shape]} (got {got})")
    if finite and not value.isfinite().all():
        raise ConfigError(f"{what} must be finite (it holds NaN or infinity)")


def _global_states() -> tuple[Any, ...]:
    """Return the states of the global generators of torch, Python and NumPy."""
    legacy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), legacy[1].tolist()  # type: ignore[index]
