"""Update rules: how two players move. One call is one iteration.

D is the discriminator, with parameters θ_D. G is the generator, with parameters θ_G. The vector g_D is the gradient of
D's loss with respect to θ_D, and g_G is the gradient of G's loss with respect to θ_G. D ← g means that D's optimizer
makes one step along a vector g. With plain SGD and learning rate η, this step is θ_D ← θ_D − η g.
"""

from gaussgan.gan.updates.competitive import CompetitiveGradientDescent, FollowTheRidge
from gaussgan.gan.updates.extrapolation import Extragradient, Optimistic, PastExtragradient
from gaussgan.gan.updates.lookahead import Lookahead
from gaussgan.gan.updates.plain import Alternating, Simultaneous
from gaussgan.gan.updates.protocol import Losses, Update, batches, period, start
from gaussgan.gan.updates.second_order import Consensus, SymplecticAdjustment
from gaussgan.gan.updates.unrolled import Unrolled

__all__ = [
    "Alternating", "CompetitiveGradientDescent", "Consensus", "Extragradient", "FollowTheRidge", "Lookahead",
    "Losses", "Optimistic", "PastExtragradient", "Simultaneous", "SymplecticAdjustment", "Unrolled", "Update",
    "batches", "period", "start",
]  # fmt: skip
