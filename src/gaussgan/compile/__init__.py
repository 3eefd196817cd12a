"""Compile a function of tensors, repeated many times for many replicas, into one C program: trace, emit, build.

What the function computes is not known here: nothing in this package knows a GAN, but `source` shows a run's program.
"""

from typing import Any


def source(cfg: Any) -> str:
    """Return the C source of the programs that train a run, one for each batch size.

    Args:
        cfg: the configuration of the run, as Hydra composes it.

    Raises:
        ConfigError: when the run cannot be made or compiled.
    """
    from gaussgan.setup.explain import programs

    return "\n".join(program.source.text for program in programs(cfg))
