"""The classes and functions that the configuration of an untrusted run may name. They do nothing but compute."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from gaussgan import networks
from gaussgan.config.errors import ConfigError
from gaussgan.data import distributions, files, latents
from gaussgan.data.datamodule import DataModule
from gaussgan.evaluation.features import Inception
from gaussgan.gan import (
    augmentations,
    f_gan,
    mmd,
    objectives,
    output_penalties,
    penalties,
    relativistic_average,
    schedules,
    updates,
)

DISTRIBUTIONS = (
    distributions.AffineGaussian, distributions.Dirac, distributions.GaussianMixture, distributions.grid,
    distributions.random_gaussian, distributions.ring,
)  # fmt: skip
NETWORKS = (
    networks.ConvDiscriminator, networks.ConvGenerator, networks.Linear, networks.Location, networks.Maxout,
    networks.MLP, networks.Quadratic, networks.SpectralLinear,
)  # fmt: skip
ACTIVATIONS = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardtanh, nn.Identity, nn.LeakyReLU, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid,
    nn.SiLU, nn.Softplus, nn.Softsign, nn.Tanh,
)  # fmt: skip
UPDATES = (
    updates.Alternating, updates.CompetitiveGradientDescent, updates.Consensus, updates.Extragradient,
    updates.FollowTheRidge, updates.Lookahead, updates.Optimistic, updates.PastExtragradient, updates.Simultaneous,
    updates.SymplecticAdjustment, updates.Unrolled,
)  # fmt: skip
LOADED = ("data", "generator", "discriminator")  # the sections that loading a run instantiates
GAME = ("objective", "penalty", "augment", "latents", "update", "schedule")  # a run's game, without its optimizers
ALLOWED = {  # config key → the classes and functions that its _target_ may name
    "data": (DataModule, files.file_data, files.image_folder_data, files.digits_data),
    "data.distribution": DISTRIBUTIONS,
    "generator": NETWORKS,
    "generator.activation": ACTIVATIONS,
    "discriminator": NETWORKS,
    "discriminator.activation": ACTIVATIONS,
    "objective": (
        objectives.Hinge, objectives.LeastSquares, objectives.Minimax, objectives.NonSaturating,
        objectives.Relativistic, objectives.Wasserstein, f_gan.FGAN, relativistic_average.RelativisticAverage,
        relativistic_average.RelativisticAverageLeastSquares, mmd.MMD,
    ),
    "objective.kernel": (mmd.Distance, mmd.GaussianMixture),
    "objective.divergence": (f_gan.JensenShannon, f_gan.KullbackLeibler, f_gan.ReverseKullbackLeibler),
    "augment.*": (
        augmentations.Color, augmentations.Cutout, augmentations.Rotation, augmentations.Scaling,
        augmentations.Translation,
    ),
    "penalty.*": (
        penalties.DRAGAN, penalties.R1, penalties.R2, penalties.WGANGP, penalties.WGANLP, penalties.ZeroCentred,
        output_penalties.Consistency, output_penalties.LeCam,
    ),
    "latents": (latents.Balanced,),
    "update": UPDATES,
    "update.inner": UPDATES,
    "schedule": (schedules.Cosine, schedules.Inverse, schedules.Linear),
    "features": (Inception,),
}  # fmt: skip


def check_trusted(config: dict[str, Any], path: Path, components: Sequence[str] = LOADED) -> None:
    """Check that a run's configuration names only allowed classes and functions.

    Some sections are checked. They must also have no interpolations (${…}). Names are compared as strings, because
    looking up an unknown name would import its module, and so run the module's code.

    Args:
        config: the run's configuration.
        path: the run's directory, for the error message.
        components: the sections.

    Raises:
        ConfigError: when a value is not allowed. The message names the first such value and its key.
    """
    for component in components:
        for key, value in _leaves(config.get(component, {}), component):
            node, _, name = key.rpartition(".")
            group, _, term = node.partition(".")
            node = f"{group}.*" if group in ("penalty", "augment") and term and "." not in term else node
            refused = value not in _names(*ALLOWED.get(node, ())) if name == "_target_" else "${" in str(value)
            if refused:
                raise ConfigError(
                    f"{path} names {key}={value!r:.200}, which may run unknown code; if you trust the author of the"
                    " run, load it with trust=True or --trust"
                )


def _names(*allowed: Callable[..., Any]) -> set[str]:
    """Return all dotted names of the given classes and functions.

    A dotted name begins with the module that defines the class or function, or with a module that exports it.
    """
    exports = (networks.__name__, distributions.__name__, updates.__name__, nn.__name__)
    homes = ((each, home) for each in allowed for home in (each.__module__, *exports))
    return {f"{home}.{o.__name__}" for o, home in homes if getattr(sys.modules[home], o.__name__, None) is o}


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each plain value inside nested dicts and lists.

    The value of a key `_target_` is always yielded as one text, even if it is a dict or a list.

    Args:
        value: the nested value.
        key: the dotted key of `value` itself. Every yielded key begins with it.
    """
    if isinstance(value, dict | list):
        for name, entry in value.items() if isinstance(value, dict) else enumerate(value):
            if name == "_target_":
                yield f"{key}._target_", entry if isinstance(entry, str) else str(entry)
            else:
                yield from _leaves(entry, f"{key}.{name}")
    else:
        yield key, value
