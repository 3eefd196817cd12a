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
    """Measure how far a Dirac-GAN is from its equilibrium.

    In a Dirac-GAN every real example is x₀, every output of the generator is θ, and the discriminator is D(x) = ψᵀ x.
    The equilibrium is θ = x₀, ψ = 0. The distance from it is √(‖θ − x₀‖² + ‖ψ‖²). Mescheder, Geiger, Nowozin 2018,
    arXiv 1801.04406.

    Returns:
        A dict with one key, val/distance. The value is the distance in float64, of shape [], or [R] for R replicas. The
        dict is empty if the arguments do not form a Dirac-GAN.
    """
    location, linear = (getattr(network, "stacked", network) for network in (generator, discriminator))
    if not isinstance(distribution, Dirac) or not isinstance(location, Location):
        return {}
    if not isinstance(linear, Linear) or linear.bias is not None:
        return {}
    shift = location.moments()[0] - distribution.mean
    psi = linear.weight.double().cpu().squeeze(-2)
    return {"val/distance": torch.hypot(shift.norm(dim=-1), psi.norm(dim=-1))}
