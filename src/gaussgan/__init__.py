"""A research template for GANs in which the truth is known."""

from typing import Any

from gaussgan import fast_imports

__all__ = ["load_run", "simulate"]
__version__ = "0.3.0"

fast_imports.install()


def __getattr__(name: str) -> Any:
    # Importing torch takes a second. Without it, `--help` and the message about a mistyped key appear at once.
    if name == "load_run":
        from gaussgan.runs.load import load_run

        return load_run
    if name == "simulate":
        from gaussgan.simulation import simulate

        return simulate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
