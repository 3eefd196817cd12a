"""The bilinear game min over x, max over y of x·y: Gidel, Daskalakis, Mescheder and others."""

from __future__ import annotations

from gaussgan.reproduce.row import AtLeast, Near, Row
from gaussgan.reproduce.spectra import BilinearRate

TITLE = "Bilinear game"
INTRODUCTION = """\
In min over x, max over y of x·y the figure is the modulus: the factor by which an iteration with step η changes the
distance from the equilibrium in the long run. Below 1 the game converges. The papers give the updates and prove which
converge; the moduli follow from the updates."""

RATES = (  # name, title, overrides, momentum, paper, η → modulus
    ("simultaneous", "simultaneous steps, √(1 + η²)", "update=simultaneous", 0.0, "gidel2019vi",
     {0.1: 1.004988, 0.3: 1.044031}),
    ("alternating", "alternating steps", "update=alternating", 0.0, "gidel2019vi",
     {0.1: 1.0, 0.3: 1.0}),
    ("extragradient", "extragradient, √(1 − η² + η⁴)", "update=extragradient", 0.0, "gidel2019vi",
     {0.1: 0.995038, 0.3: 0.958175}),
    ("past_extragradient", "extragradient with past gradients", "update=past_extragradient", 0.0, "gidel2019vi",
     {0.1: 0.994936, 0.3: 0.948683}),
    ("optimistic", "optimistic steps along 2 g(t) − g(t−1)", "update=optimistic", 0.0, "daskalakis2018",
     {0.1: 0.994936, 0.3: 0.948683}),
    ("momentum", "alternating steps with momentum −1/2", "update=alternating", -0.5, "gidel2019momentum",
     {0.1: 0.998518, 0.3: 0.986609}),
    ("cgd", "competitive gradient descent, 1 / √(1 + η²)", "update=cgd", 0.0, "schaefer2019",
     {0.1: 0.995037, 0.3: 0.957826}),
    ("sga", "symplectic gradient adjustment, λ = 1, √((1 − η)² + η²)", "update=sga", 0.0, "balduzzi2018",
     {0.1: 0.905539, 0.3: 0.761577}),
    ("unrolled", "5 unrolled steps, simultaneous, √(1 − 9 η²)", "update=unrolled", 0.0, "metz2017",
     {0.1: 0.953939}),
    ("consensus", "consensus optimization, γ = 1, √((1 − η)² + η²)", "update=consensus update.weight=1", 0.0,
     "mescheder2017", {0.1: 0.905539, 0.3: 0.761577}),
)  # fmt: skip
ROWS = [
    Row(
        name=f"bilinear_{name}_{step:g}",
        what=f"{title}: modulus at η = {step:g}",
        paper=paper,
        where="from its update",
        published=f"{modulus:g}",
        rule=Near(modulus, 1e-6),
        method=BilinearRate(rule, step, momentum),
        quick=True,
    )
    for name, title, rule, momentum, paper, moduli in RATES
    for step, modulus in moduli.items()
]
ROWS += [
    Row(
        name="bilinear_lookahead",
        what="lookahead over simultaneous steps, k = 6, α = 0.4, |1 − α + α (1 + iη)⁶|^(1/6): modulus at η = 0.3",
        paper="chavdarova2021",
        where="notebook batch_methods: its η, k and α",
        published="converges: 0.946707, from its update",
        rule=Near(0.946707, 1e-6),
        method=BilinearRate("update=lookahead update@update.inner=simultaneous update.k=6 update.alpha=0.4", 0.3),
        quick=True,
    ),
    Row(
        name="bilinear_simultaneous_momentum",
        what="simultaneous steps with momentum −1/2: modulus at η = 0.1",
        paper="gidel2019momentum",
        where="momentum helps alternating steps only",
        published="does not converge",
        rule=AtLeast(1),
        method=BilinearRate("update=simultaneous", 0.1, -0.5),
        quick=True,
    ),
]
