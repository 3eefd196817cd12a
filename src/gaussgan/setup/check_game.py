"""Call the objective, the penalties, the update rule, the schedule and the optimizers before the run.

Each check raises a ConfigError for the first mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.schema import is_number
from gaussgan.data.datamodule import DataModule
from gaussgan.data.latents import Balanced, Latents
from gaussgan.data.loader import Batch
from gaussgan.gan.game import OptimizerFactory
from gaussgan.gan.module import GAN
from gaussgan.gan.penalties import Seen
from gaussgan.gan.player import Loss
from gaussgan.gan.python_state import attributes_of
from gaussgan.gan.schedules import multipliers
from gaussgan.gan.updates import batches
from gaussgan.rng import normal, stream, uniform
from gaussgan.setup.trial import ROWS, check_numbers, naming_key


def check_objective(objective: Any, replicas: int) -> None:
    """Check the methods discriminator_loss and generator_loss of an objective.

    Each method must return one number for each logit, and the numbers must have a gradient with respect to the logits.
    With several replicas, the losses of one replica must not depend on the logits of the other replicas.

    Args:
        replicas: the number of replicas.
    """
    shape = (replicas, ROWS, 1) if replicas > 1 else (ROWS, 1)
    rng = stream(0, "protocol")
    real, fake = (normal(*shape, generator=rng).requires_grad_() for _ in range(2))
    for player in ("discriminator", "generator"):
        where = f"objective: {type(objective).__name__}.{player}_loss"
        loss: Any = getattr(objective, f"{player}_loss", None)
        if not callable(loss):
            raise ConfigError(f"{where} must be a function of real and fake logits (it is missing)")
        shown = real if player == "discriminator" or getattr(objective, "paired", False) else None
        with naming_key(where), torch.enable_grad():
            losses = loss(shown, fake)
            check_numbers(where, losses, shape)
            if not losses.requires_grad:
                raise ConfigError(f"{where} must have a gradient with respect to the logits")
            if replicas > 1:
                alone = loss(None if shown is None else shown[0], fake[0])
                if alone.shape != shape[1:] or not torch.allclose(losses[0], alone, rtol=1e-4, atol=1e-6):
                    raise ConfigError(f"{where} must not mix replicas: take means over dimension -2")


def check_penalties(penalties: Mapping[str, Any], gan: GAN, d: int) -> None:
    """Check that each penalty returns one number for each example.

    Args:
        penalties: maps the name of each penalty in the configuration to the penalty.
        gan: a copy of the game. The penalties are called with the discriminator of this copy.
        d: the dimension of the data.
    """
    leading = [gan.replicas] if gan.replicas > 1 else []
    rng = stream(0, "protocol")
    for name, penalty in penalties.items():
        where = f"penalty.{name}: the value of {type(penalty).__name__}"
        real, fake, noise = (normal(*leading, ROWS, gan.game.packing * d, generator=rng) for _ in range(3))
        mix = uniform(*leading, ROWS, 1, generator=rng)
        perturbation = noise if getattr(penalty, "perturbs", False) else None
        with naming_key(f"penalty.{name}"), gan.evaluating(), torch.enable_grad():
            seen = Seen(real, fake, gan.discriminator(real), gan.discriminator(fake), mix, perturbation)
            attributes = attributes_of([penalty])
            memory = penalty.start(torch.zeros(*leading, 1, 1)) if hasattr(penalty, "start") else ()
            check_remembered(f"penalty.{name}: {type(penalty).__name__}", memory, leading)
            value = penalty(gan.discriminator, seen, *memory)
            check_numbers(where, value, (*leading, ROWS, 1), finite=False)
            check_unchanged(f"penalty.{name}: {type(penalty).__name__}", penalty, attributes)


def check_unchanged(where: str, component: Any, before: Mapping[str, object]) -> None:
    """Check that the attributes of a component are those from before a call.

    Args:
        where: the name of the component. The error message starts with this name.
        before: what `attributes_of` returned before the call.
    """
    if attributes_of([component]) != before:
        raise ConfigError(
            f"{where} must not change its attributes; keep its state in the tensors returned by its method start()"
        )


def check_remembered(where: str, memory: Any, leading: Sequence[int]) -> None:
    """Check that the tensors that a component remembers have one row for each replica, or no dimension.

    Args:
        where: the name of the component. The error message starts with this name.
        memory: what its method start returns.
        leading: [R] for R replicas, [] for a single run.
    """
    if not isinstance(memory, tuple | list):
        raise ConfigError(f"{where}.start must return a tuple of tensors (got {type(memory).__name__})")
    for tensor in memory:
        if not isinstance(tensor, Tensor) or (tensor.ndim and [*tensor.shape[: len(leading)]] != [*leading]):
            raise ConfigError(f"{where}.start must return tensors with one row for each replica (got {tensor!r})")


def check_update(gan: GAN, data: DataModule) -> None:
    """Check that the update rule of a game follows the protocol `Update`.

    Args:
        gan: a copy of the game. The check trains this copy for one iteration.
        data: the data of the run. The iteration uses a batch of its form.
    """
    name, schedule = type(gan.update).__name__, gan.schedule
    if (chunks := batches(gan.update) or data.batches_per_iteration) != data.batches_per_iteration:
        raise ConfigError(
            f"data.batches_per_iteration must be {chunks}, the number of batches that {name} uses (got"
            f" {data.batches_per_iteration})"
        )
    gan.schedule = None  # a schedule needs the length of the run, which is not known here
    leading, rng = [gan.replicas] if gan.replicas > 1 else [], stream(0, "protocol")
    n, d = ROWS * data.batches_per_iteration * data.packing, data.distribution.dim
    widths = {"real": d, "latent": data.latent_dim, "mix": data.mix, "perturbation": d * data.perturbation}
    widths["augment"] = 2 * data.augment
    rows = {name: normal(*leading, n, width, generator=rng).to(gan.placed) for name, width in widths.items() if width}
    with naming_key("update"):
        gan.configure_optimizers()
        attributes = attributes_of([gan.update])
        check_remembered(f"update: {name}", gan.state.memory, leading)
        try:
            signature(gan.update).bind(None, None, None, *gan.state.memory)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"update: {name} must be a function of discriminator, generator, batch and the tensors that its"
                f" method start returns ({error})"
            ) from error
        losses = gan.iteration(gan.state, Batch(**rows))
    gan.schedule = schedule
    check_unchanged(f"update: {name}", gan.update, attributes)
    two = isinstance(losses, tuple | list) and len(losses) == 2 and all(isinstance(each, list) for each in losses)
    if not two or not all(each and all(isinstance(loss, Loss) for loss in each) for each in losses):
        raise ConfigError(
            f"update: {name} must return the losses of D and G as two lists that are not empty (got {losses!r:.60})"
        )


def check_latents(latents: Latents, data: DataModule) -> None:
    """Check that latents can be made for each number of rows that the run draws at once.

    Args:
        latents: maps draws from N(0, I) to latents.
        data: the data of the run.
    """
    n, most = data.num_examples, (data.chunk or data.iterations) * data.batch_size
    for rows in {min(n, most), n % most or min(n, most)}:
        with naming_key("latents"):
            made, again = (latents(normal(rows, data.latent_dim, generator=stream(0, "protocol"))) for _ in range(2))
            check_numbers("latents: the result", made, (rows, data.latent_dim))
            if not made.equal(again):
                raise ConfigError(f"latents: {type(latents).__name__} must draw nothing itself, and change nothing")


def unbalanced(data: DataModule) -> list[str]:
    """Return a line about the batches whose latents are not balanced though others are, if there are any."""
    n, rows = data.num_examples, data.batch_size
    if not isinstance(data.latents, Balanced) or n % rows == 0:
        return []
    if rows // data.batches_per_iteration % data.latents.window:  # a batch does not consist of windows
        return []
    cause = f"data.num_examples={n} is no multiple of the {rows} examples of an iteration"
    return [f"latents: the batches at the end of an epoch are not balanced, because {cause}"]


def check_schedule(schedule: Any) -> None:
    """Check that a schedule returns a finite number of at least 0, or two, for progress 0, 0.5 and 1.

    Args:
        schedule: a function from the progress of a run, in [0, 1], to the multipliers of the learning rates.
    """
    with naming_key("schedule"):
        for progress in (0.0, 0.5, 1.0):
            value = schedule(progress)
            each = multipliers(value)
            if len(each) != 2 or not all(is_number(number) and number >= 0 for number in each):
                raise ConfigError(f"schedule must give a number of at least 0 (got {value!r} at progress {progress})")


def check_optimizers(gan: GAN) -> None:
    """Check that both optimizers of a game are torch optimizers.

    Also check that the steps of an optimizer change the first replica by the gradients of this replica alone.
    """
    for name in ("optimizer_d", "optimizer_g"):
        try:
            optimizer = getattr(gan, name)([torch.zeros(1, 1)])
            if not isinstance(optimizer, torch.optim.Optimizer):
                raise ConfigError(f"{name} must be a torch.optim.Optimizer (got {type(optimizer).__name__})")
            multiples = (1.0, torch.tensor([3.0, -5, 7]))
            first, second = (_step_twice(getattr(gan, name), gan.replicas, multiple) for multiple in multiples)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise error if isinstance(error, ConfigError) else ConfigError(f"{name}: {one_line(error)}") from error
        if not torch.allclose(first, second, rtol=0, atol=0, equal_nan=True):
            raise ConfigError(f"{name} must not mix replicas in a step, but {type(optimizer).__name__} does")


def _step_twice(factory: OptimizerFactory, replicas: int, multiple: float | Tensor) -> Tensor:
    """Return the three parameters of the first replica after two steps of an optimizer for all replicas.

    In both steps, the gradient of every other replica is `multiple` times the gradient of the first replica.

    Args:
        factory: a function that makes an optimizer from a list of parameters.
        replicas: the number of replicas.
        multiple: one number, or a tensor [3] with one number for each parameter.
    """
    theta = torch.ones(replicas, 3)
    optimizer = factory([theta])
    for _ in range(2):
        theta.grad = torch.tensor([1.0, 2, -1]).repeat(replicas, 1)
        theta.grad[1:] *= multiple
        optimizer.step()
    return theta[0]
