"""Notice an object that changes its attributes when it is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from gaussgan.gan.autograd import version

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

    for each in objects:
        visit(type(each).__name__, each)
    return found


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
