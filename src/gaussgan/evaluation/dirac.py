"""The distance of a Dirac-GAN from its equilibrium."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gaussgan.data.distributions import Dirac, Distribution
from gaussgan.networks import Linear, Location


@torch.no_grad()
def equilibrium_distance(
    distribution: Distribution, generator: nn.Module, discriminator: nn.Module
) -> dict[str, Tensor]:
    """Return val/distance = √(‖θ − x₀‖² + ‖ψ‖²), or an empty dict if the game is not a Dirac-GAN.

    All data are x₀, a `Location` generates θ, and D(x) = ψᵀ x. The equilibrium is θ = x₀, ψ = 0. Mescheder, Geiger,
    Nowozin 2018, arXiv 1801.04406.

    Returns:
        The distance in float64, []; for replicas [R].
    """
    location, linear = (getattr(network, "stacked", network) for network in (generator, discriminator))
    if not isinstance(distribution, Dirac) or not isinstance(location, Location):
        return {}
    if not isinstance(linear, Linear) or linear.bias is not None:
        return {}
    shift = location.moments()[0] - distribution.mean
    psi = linear.weight.double().cpu().squeeze(-2)
    return {"val/distance": torch.hypot(shift.norm(dim=-1), psi.norm(dim=-1))}
