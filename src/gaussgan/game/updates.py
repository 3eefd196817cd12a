"""How two players move. One call is one iteration."""

from __future__ import annotations

from typing import Any, Protocol

from gaussgan.game.player import Player


class Update(Protocol):
    """Moves both players by one iteration."""

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> None: ...


class Alternating:
    """In turn: θ_D ← θ_D − η_D ∇L_D(θ_D, θ_G), and then θ_G ← θ_G − η_G ∇L_G(θ_D, θ_G) against the new θ_D.

    Goodfellow et al. 2014, arXiv 1406.2661, algorithm 1 with k = 1.
    """

    def __call__(self, discriminator: Player, generator: Player, batch: Any) -> None:
        discriminator.apply(discriminator.gradient(batch))
        generator.apply(generator.gradient(batch))
