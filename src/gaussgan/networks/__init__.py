"""Generators and discriminators, and a module that holds R networks of one architecture.

Losses and training belong in `gan`.
"""

from gaussgan.networks.architectures import MLP, Location, Maxout, Quadratic
from gaussgan.networks.conv import ConvDiscriminator, ConvGenerator
from gaussgan.networks.layers import Linear, SpectralLinear, draw_parameters
from gaussgan.networks.packing import copies, packed

__all__ = [
    "MLP",
    "ConvDiscriminator",
    "ConvGenerator",
    "Linear",
    "Location",
    "Maxout",
    "Quadratic",
    "SpectralLinear",
    "copies",
    "draw_parameters",
    "packed",
]
