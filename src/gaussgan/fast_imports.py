"""Import PyTorch Lightning in a third of the time.

While Lightning is imported, it imports three libraries that a run does not use: torch's compiler (0.9 s), scipy.signal
(0.5 s, for torchmetrics) and pyplot (0.2 s, for torchmetrics). Here stand-ins take their places in sys.modules and hold
the few names that are asked for. After the import the stand-ins are gone, and the next import of such a library is
an ordinary one. A name that a stand-in lacks comes from the library itself. If Lightning cannot be imported with the
stand-ins, it is imported without them. So another version of Lightning may be slower, but not wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any


def install() -> None:
    """Make the import of Lightning fast, if it is not imported yet."""
    if not any(isinstance(finder, FastFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, FastFinder())


class FastFinder(MetaPathFinder):
    """Finds pytorch_lightning as Python does, and gives it the loader below."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "pytorch_lightning":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = FastLoader(spec.loader.name, spec.loader.path)
        return spec


class FastLoader(SourceFileLoader):
    """Imports Lightning with stand-ins for the libraries that a run does not use. If that fails, without them."""

    def exec_module(self, module: ModuleType) -> None:
        before = {*sys.modules}
        try:
            with stand_ins():
                super().exec_module(module)
        except (ImportError, AttributeError):
            for name in {*sys.modules} - before:
                if name.partition(".")[0] in ("pytorch_lightning", "lightning_fabric", "torchmetrics"):
                    del sys.modules[name]
            sys.modules[module.__name__] = module
            super().exec_module(module)


@contextmanager
def stand_ins() -> Iterator[None]:
    """Use this function in a with statement. Inside it, stand-ins replace libraries that are not imported yet."""
    placed = []
    for name, make in NAMES.items():
        if name not in sys.modules:
            placed.append(StandIn(name, make()))
            sys.modules[name] = placed[-1]
    try:
        yield
    finally:
        for module in placed:
            module.remove()


class StandIn(ModuleType):
    """A module that holds a few names. All other names come from the module that it replaces.

    Args:
        name: the full name of the module.
        names: the names that the stand-in holds, with their values.
    """

    def __init__(self, name: str, names: dict[str, Any]) -> None:
        super().__init__(name)
        self.__dict__.update(names)

    def remove(self) -> None:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # it has no file, and it is no package
            raise AttributeError(name)
        self.remove()
        return getattr(import_module(self.__name__), name)


class _AnyOptimizedModule(type):
    def __instancecheck__(cls, instance: object) -> bool:
        real = getattr(sys.modules.get("torch._dynamo"), "OptimizedModule", None)
        return real is not None and isinstance(instance, real)


class OptimizedModule(metaclass=_AnyOptimizedModule):
    """The class of modules that torch.compile has made, for `isinstance`. There are none without torch's compiler."""


def disable(function: Callable[..., Any], recursive: bool = True, **options: Any) -> Callable[..., Any]:
    """Return what the decorator torch._dynamo.disable returns, but import torch's compiler only when it is called."""
    decorated: Callable[..., Any] | None = None

    @wraps(function)
    def disabled(*args: Any, **kwargs: Any) -> Any:
        nonlocal decorated
        decorated = decorated or import_module("torch._dynamo").disable(function, recursive, **options)
        return decorated(*args, **kwargs)

    return disabled


def _names_of_dynamo() -> dict[str, Any]:
    return {"OptimizedModule": OptimizedModule, "disable": disable}


def _names_of_pyplot() -> dict[str, Any]:
    from matplotlib import style
    from matplotlib.figure import Figure

    return {"Figure": Figure, "style": style}


def _names_of_signal() -> dict[str, Any]:
    return {"hamming": None}  # torchmetrics adds this alias if it is missing, for a measure of speech


# The full name of a module → a function that returns the names which Lightning and torchmetrics ask for when imported.
NAMES: dict[str, Callable[[], dict[str, Any]]] = {
    "torch._dynamo": _names_of_dynamo,
    "matplotlib.pyplot": _names_of_pyplot,
    "scipy.signal": _names_of_signal,
}
