"""Objectives: the loss of each player as a function of the logits of real and generated examples.

All functions map logits [..., B, 1] to the losses of single examples, [..., B, 1]. In the formulas, σ is the sigmoid, x
is a real example and G(z) is a generated example. The arguments `real` and `fake` are the logits D(x) and D(G(z)). The
literature adds the discriminator's losses on real and on generated examples. The discriminator's loss here is half of
this sum. So in the original GAN the discriminator's loss is log 2 = 0.693 when the discriminator sees no difference
between real and generated examples.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus


class Objective(Protocol):
    """A loss for each player. Each player minimises its own.

    Set `paired = True` in a class whose generator loss needs the logits of real examples. These logits cost another
    forward pass. In a class without it, `generator_loss` gets None as `real`. Set `logistic = True` if the optimal
    logit is log p/q and the discriminator's mean loss is then log 2 − JS(p, q). Here p is the density of the data, q is
    the density of generated examples, and JS is the Jensen-Shannon divergence.
    """

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor: ...

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor: ...


class NonSaturating:
    """The original GAN with a generator loss that keeps its gradient when the discriminator wins.

        L_D = ½ [−log σ(D(x)) − log(1 − σ(D(G(z))))],   L_G = −log σ(D(G(z)))

    Here σ is the sigmoid. Goodfellow et al. 2014, arXiv 1406.2661, section 3.
    """

    logistic = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return logistic_loss(real, fake)

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return softplus(-fake)


class Minimax:
    """The original GAN as a zero-sum game. The generator's gradient vanishes when the discriminator wins.

        L_D = ½ [−log σ(D(x)) − log(1 − σ(D(G(z))))],   L_G = log(1 − σ(D(G(z))))

    Here σ is the sigmoid. Goodfellow et al. 2014, arXiv 1406.2661, equation 1.
    """

    logistic = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return logistic_loss(real, fake)

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -softplus(fake)


class LeastSquares:
    """Least squares: D is trained to output 1 on real and 0 on generated examples. G is trained to make D output 1.

        L_D = ½ [½ (D(x) − 1)² + ½ D(G(z))²],   L_G = ½ (D(G(z)) − 1)²

    Mao et al. 2017, arXiv 1611.04076, equation 9. The optimal D is p / (p + q), where p is the density of the data and
    q is the density of generated examples.
    """

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return ((real - 1).square() + fake.square()) / 4

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return (fake - 1).square() / 2


class Wasserstein:
    """The dual form of the 1-Wasserstein distance. A penalty or weight clipping must keep D Lipschitz.

        L_D = ½ [D(G(z)) − D(x)],   L_G = −D(G(z))

    Arjovsky, Chintala, Bottou 2017, arXiv 1701.07875.
    """

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return (fake - real) / 2

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -fake


class Hinge:
    """The hinge loss with a margin of 1 on both sides.

        L_D = ½ [max(0, 1 − D(x)) + max(0, 1 + D(G(z)))],   L_G = −D(G(z))

    Lim and Ye 2017, arXiv 1705.02894; Miyato et al. 2018, arXiv 1802.05957, equations 16 and 17. The optimal D is
    sign(p − q), where p is the density of the data and q is the density of generated examples.
    """

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return (relu(1 - real) + relu(1 + fake)) / 2

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -fake


class Relativistic:
    """The relativistic pairing loss: compares each generated example with one real example.

        L_D = ½ log(1 + exp(D(G(z)) − D(x))),   L_G = log(1 + exp(D(x) − D(G(z))))

    Jolicoeur-Martineau 2019, arXiv 1807.00734. With the penalties R1 and R2 it is the loss of R3GAN (Huang et al. 2024,
    arXiv 2501.05441). In the literature, D's loss is one term and not a sum of two. The loss here is half of this term.
    So it is ½ log 2 = 0.347 when D sees no difference.
    """

    paired = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake - real) / 2

    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        assert real is not None
        return softplus(real - fake)


def logistic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return ½ [−log σ(D(x)) − log(1 − σ(D(y)))] for real examples x and generated examples y.

    Here σ is the sigmoid, D(x) is `real` and D(y) is `fake`. The smallest mean of this loss is log 2 − JS(p, q), at
    D = log p/q, where p is the density of x, q is the density of y, and JS is the Jensen-Shannon divergence.
    """
    return (softplus(-real) + softplus(fake)) / 2
