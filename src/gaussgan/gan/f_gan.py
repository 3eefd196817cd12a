"""f-GANs: objectives whose game has an f-divergence between data and generated examples as its value.

Nowozin, Cseke, Tomioka 2016, arXiv 1606.00709. Here p is the density of the data, q is the density of generated
examples, x is a real example and y = G(z) is a generated example.
"""

from __future__ import annotations

import math
from typing import Protocol

from torch import Tensor
from torch.nn.functional import softplus


class FDivergence(Protocol):
    """The divergence D_f(p ‖ q) = E_q f(p/q) of a convex function f with f(1) = 0.

    Its convex conjugate is f*(t) = sup_u [u t − f(u)]. The discriminator V has any number as its output. The function
    g maps it to the numbers at which f* is finite.
    """

    def output(self, v: Tensor) -> Tensor:
        """Return g(v)."""
        ...

    def conjugate(self, v: Tensor) -> Tensor:
        """Return f*(g(v))."""
        ...


class FGAN:
    """The variational bound of an f-divergence, as a zero-sum game.

        L_D = −½ [g(V(x)) − f*(g(V(y)))],   L_G = −f*(g(V(y)))

    The functions g and f* belong to the divergence; see `FDivergence`. If g(V) = f'(p/q), then V is optimal, and
    −2 E L_D is the divergence D_f(p ‖ q).

    Args:
        divergence: the f-divergence.
        alternative: true for the paper's other loss of the generator, L_G = −g(V(y)), which keeps its gradient when the
            discriminator wins.
    """

    def __init__(self, divergence: FDivergence, alternative: bool = False) -> None:
        self.divergence, self.alternative = divergence, alternative

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return (self.divergence.conjugate(fake) - self.divergence.output(real)) / 2

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -self.divergence.output(fake) if self.alternative else -self.divergence.conjugate(fake)


class KullbackLeibler:
    """KL(p ‖ q), the divergence that maximum likelihood minimises. The optimal V is 1 + log p/q.

    f(u) = u log u,   g(v) = v,   f*(t) = exp(t − 1)
    """

    def output(self, v: Tensor) -> Tensor:
        return v

    def conjugate(self, v: Tensor) -> Tensor:
        return (v - 1).exp()


class ReverseKullbackLeibler:
    """KL(q ‖ p). The optimal V is log p/q.

    f(u) = −log u,   g(v) = −exp(−v),   f*(t) = −1 − log(−t)
    """

    def output(self, v: Tensor) -> Tensor:
        return -(-v).exp()

    def conjugate(self, v: Tensor) -> Tensor:
        return v - 1


class JensenShannon:
    """KL(p ‖ m) + KL(q ‖ m) with m = ½ (p + q): twice JS(p, q). The optimal V is log p/q.

        f(u) = u log u − (u + 1) log(½ (u + 1)),   g(v) = log 2 − log(1 + exp(−v)),   f*(t) = −log(2 − exp(t))

    The losses are those of `Minimax` minus a constant: L_D is log 2 smaller, and L_G is log 2 larger.
    """

    def output(self, v: Tensor) -> Tensor:
        return math.log(2) - softplus(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return softplus(v) - math.log(2)
