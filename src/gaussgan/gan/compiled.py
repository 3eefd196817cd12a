"""Compile the training of a `GAN` (a placeholder: nothing can be compiled yet)."""

from __future__ import annotations

from collections.abc import Sequence

from gaussgan.gan.module import GAN


class NotCompiled(Exception):
    """Training cannot be compiled. The message is one line that says why."""


def compile_gan(gan: GAN, sizes: Sequence[int], threads: int) -> None:
    """Let `gan.training_step` run compiled programs.

    Args:
        sizes: the numbers of examples in an iteration.
        threads: the number of threads.

    Raises:
        NotCompiled: when an operation cannot be compiled, or when there is no compiler.
    """
    raise NotCompiled("this version has no compiler")


def compiler() -> str:
    """Return the name and the version of the C compiler.

    Raises:
        NotCompiled: when there is none.
    """
    raise NotCompiled("this version has no compiler")


def summary(gan: GAN) -> str:
    """Return a line about the programs of a compiled `gan`, such as "214 operations for batches of 8 examples"."""
    return ""
