"""Notice an object whose attributes change: a compiled program would not see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from gaussgan.compile.errors import NotCompiled
from gaussgan.config.errors import ConfigError
from gaussgan.gan.autograd import version
from gaussgan.gan.iteration import Iteration

PLAIN = (bool, int, float, complex, str, bytes, type(None))


def attributes_of(objects: Iterable[Any]) -> dict[str, object]:
    """Return all attributes of some objects, and of the objects in them, as a dict from dotted names to values.

    A tensor is represented by its identity and its version, so that a change in place shows. The parameters and buffers
    of networks are left out.
    """
    found: dict[str, object] = {}
    seen: set[int] = set()

    def visit(name: str, value: Any) -> None:
        if isinstance(value, PLAIN):
            found[name] = value if value == value else "nan"
        elif isinstance(value, Tensor):
            found[name] = (id(value), version(value))
        elif id(value) not in seen:
            seen.add(id(value))
            found[name] = type(value).__name__
            for key, part in _parts(value):
                visit(f"{name}.{key}", part)

    for i, each in enumerate(objects):
        name = type(each).__name__
        visit(f"{name}.{i}" if name in found else name, each)
    return found


@contextmanager
def refusing_changes(iteration: Iteration, components: Iterable[Any]) -> Iterator[None]:
    """Raise NotCompiled if an attribute of a part of an iteration changes inside a with block."""
    parts = [iteration.update, *components, iteration.discriminator.module, iteration.generator.module]
    before = attributes_of(parts)
    try:
        yield
    finally:
        if changed := changed_attribute(before, attributes_of(parts)):  # perhaps it is why the block failed
            raise NotCompiled(f"the attribute {changed} changes in an iteration, but it is not a part of the state")


def constants(iteration: Iteration, components: Iterable[Any]) -> dict[str, object]:
    """Return the numbers and texts that are constants of a compiled iteration, as `attributes_of` does.

    Learning rates and tensors are left out, because each call reads them.
    """
    players = (iteration.discriminator, iteration.generator)
    groups = [player.optimizer.param_groups[0] for player in players]
    hyperparameters = [{key: group[key] for key in group.keys() - {"params", "lr", "initial_lr"}} for group in groups]
    limits = [(player.clip_gradient, player.clip_weights) for player in players]
    found = attributes_of([iteration.update, *components, *hyperparameters, *limits])
    return {name: value for name, value in found.items() if isinstance(value, PLAIN)}


def check_constants(before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Raise ConfigError if a constant of a compiled iteration has changed, as a callback could change it."""
    if changed := changed_attribute(before, now):
        raise ConfigError(
            f"compile must be off for this run, because the attribute {changed} changes during training (got on)"
        )


def _parts(value: Any) -> list[tuple[Any, Any]]:
    """Return the parts of an object with their names: the entries of a container, otherwise the attributes."""
    if isinstance(value, Mapping):
        return [*value.items()]
    if isinstance(value, list | tuple):
        return [*enumerate(value)]
    left_out = ("_parameters", "_buffers") if isinstance(value, nn.Module) else ()
    return [(key, part) for key, part in getattr(value, "__dict__", {}).items() if key not in left_out]


def changed_attribute(before: Mapping[str, object], after: Mapping[str, object]) -> str | None:
    """Return the name of the first attribute that differs, or None."""
    return next((name for name in {**before, **after} if before.get(name, ...) != after.get(name, ...)), None)
