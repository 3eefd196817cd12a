"""The Dirac-GAN: Mescheder, Geiger, Nowozin 2018."""

from __future__ import annotations

from gaussgan.reproduce.row import AtLeast, Near, Row
from gaussgan.reproduce.spectra import DiracRate
from gaussgan.reproduce.training import Simulated

TITLE = "Dirac-GAN"
INTRODUCTION = """\
The data are a point mass at 0, the generator is a point mass at θ, and D(x) = ψ x. Steps of h = 0.2 along the paper's
objective; our D's loss is half of the paper's, so its learning rate is 0.4. In alternating steps G moves first, as in
the authors' notebook. The paper gives the eigenvalues of the flow; the moduli and the distances follow from its
update in float64. *r* is the distance from the equilibrium after 500 iterations from (θ, ψ) = (1, −1)."""

MESCHEDER, R3GAN = "mescheder2018", "huang2024"
FLOW = "−γ/2 ± √(γ²/4 − f'(0)²)"
SIMULTANEOUS, ALTERNATING = "update=simultaneous", "update=alternating update.generator_first=true"
RULES = {"simultaneous": SIMULTANEOUS, "alternating": ALTERNATING}
GAMES = {  # name → overrides, the moduli and the r of simultaneous and of alternating steps
    "gan": ("objective=minimax", (1.004988, 1.0), (3.097, 1.421)),
    "nonsaturating": ("objective=nonsaturating", (1.004988, 1.0), (0.6402, 0.2839)),
    "wgan": ("objective=wasserstein", (1.019804, 1.0), None),
    "r1_0.3": ("objective=minimax penalty=r1 penalty.weight=0.3", (0.974679, 0.969536), (2.643e-6, 2.301e-7)),
    "r1_1": ("objective=minimax penalty=r1 penalty.weight=1", (0.9, 0.927016), (9.529e-22, 7.481e-17)),
    "r1_2": ("objective=minimax penalty=r1 penalty.weight=2", (0.973205, 0.973955), None),
}
TITLES = {
    "gan": "GAN", "nonsaturating": "non-saturating GAN", "wgan": "WGAN without clipping",
    "r1_0.3": "GAN with R1, γ = 0.3", "r1_1": "GAN with R1, γ = 1", "r1_2": "GAN with R1, γ = 2",
}  # fmt: skip


def _rate(game: str, steps: str, i: int) -> Row:
    overrides, moduli, _ = GAMES[game]
    critical = (game, steps) == ("r1_1", "simultaneous")
    return Row(
        name=f"dirac_rate_{game}_{steps}",
        what=f"{TITLES[game]}, {steps}: modulus",
        paper=MESCHEDER,
        where="eigenvalues of the flow",
        published=f"{moduli[i]:.7g}",
        rule=Near(moduli[i], 1e-4 if critical else 1e-6),
        method=DiracRate(f"{overrides} {RULES[steps]}"),
        quick=True,
        note="two equal eigenvalues: their error is the root of the Jacobian's" if critical else "",
    )


def _distance(game: str, steps: str, i: int) -> list[Row]:
    overrides, _, distances = GAMES[game]
    if distances is None:
        return []
    return [
        Row(
            name=f"dirac_r_{game}_{steps}",
            what=f"{TITLES[game]}, {steps}: *r*",
            paper=MESCHEDER,
            where="the update of the notebook DiracGAN",
            published=f"{distances[i]:.4g}",
            rule=Near(distances[i], 5e-4 * distances[i]),
            method=Simulated(f"experiment=dirac {overrides} {RULES[steps]}", "val/distance"),
            quick=True,
        )
    ]


CONSENSUS = [
    Row(
        name=f"dirac_rate_consensus_{steps}",
        what=f"GAN with consensus optimization, γ = 1, {steps}: modulus",
        paper=MESCHEDER,
        where="eigenvalues of the flow",
        published=f"{modulus:g}",
        rule=Near(modulus, 1e-6),
        method=DiracRate(f"objective=minimax update=consensus update.weight=1 update.alternating={alternating}"),
        quick=True,
    )
    for steps, alternating, modulus in (("simultaneous", "false", 0.955249), ("alternating", "true", 0.95))
]
WGAN_GP = Row(
    name="dirac_wgan_gp",
    what="WGAN-GP, simultaneous: *r* after 1,000 iterations",
    paper=MESCHEDER,
    where="abstract",
    published="does not converge",
    rule=AtLeast(0.1),
    method=Simulated(
        "experiment=dirac objective=wasserstein penalty=wgan_gp penalty.weight=0.3 update=simultaneous"
        " trainer.max_epochs=20",
        "val/distance",
    ),
    quick=True,
)
RELATIVISTIC = [
    Row(
        name=f"dirac_relativistic_{name}",
        what=f"relativistic GAN (RpGAN) {title}, simultaneous: modulus",
        paper=R3GAN,
        where=where,
        published=f"{modulus:g}, from {formula}",
        rule=Near(modulus, tolerance),
        method=DiracRate(f"objective=relativistic {penalty} update=simultaneous"),
        quick=True,
    )
    for name, title, penalty, where, formula, modulus, tolerance in (
        ("none", "without penalty", "penalty=none", "lemma B.2", "±f'(0) i", 1.004988, 1e-6),
        ("r1", "with R1, γ = 1", "penalty=r1 penalty.weight=1", "lemma B.4", FLOW, 0.9, 1e-4),
        ("r2", "with R2, γ = 1", "penalty=r2 penalty.weight=1", "lemma B.4", FLOW, 0.9, 1e-4),
        ("r1_r2", "with R1 and R2, γ = 1", "penalty=r1_r2 penalty.weight=1", "lemma B.4 with 2γ", FLOW, 0.973205, 1e-6),
    )
]
ROWS = [
    *(_rate(game, steps, i) for game in GAMES for i, steps in enumerate(RULES)),
    *CONSENSUS,
    *(row for game in GAMES for i, steps in enumerate(RULES) for row in _distance(game, steps, i)),
    WGAN_GP,
    *RELATIVISTIC,
]
