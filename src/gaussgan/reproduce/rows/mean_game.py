"""The mean of a Gaussian, learned by a Wasserstein GAN: Daskalakis et al. 2018."""

from __future__ import annotations

from gaussgan.reproduce.games import MeanGame
from gaussgan.reproduce.row import AtLeast, Below, Row

TITLE = "The mean of a Gaussian"
INTRODUCTION = """\
A Wasserstein GAN learns the mean v = (3, 4) of N(v, I): the critic is ⟨w, x⟩ and the generator z + θ. Without
sampling noise, as in the first part of the authors' notebook, the game is min over θ, max over w of ⟨w, v − θ⟩. The
figure is the largest distance ‖θ − v‖ in the last 400 of 2,000 iterations with step 0.1, from w = (1, 1) and θ = 0.
The paper's claim: gradient descent cycles, whatever is added to it, and optimistic steps converge. That it "cycles"
is here: the distance stays above 0.1."""

NOTEBOOK = "notebook Simple_GAN_example"
# name, what, rule, options of mean_game, does it converge, where
CASES: tuple[tuple[str, str, str, dict[str, float], bool, str], ...] = (
    ("simultaneous", "gradient descent, simultaneous", "update=simultaneous", {}, False, NOTEBOOK),
    ("alternating", "gradient descent, alternating", "update=alternating", {}, False, NOTEBOOK),
    ("clipping", "gradient descent with weights clipped to ±0.5", "update=simultaneous", {"clip": 0.5}, False,
     NOTEBOOK),
    ("d_steps", "gradient descent with 5 steps of the critic", "update=alternating update.d_steps=5", {}, False,
     NOTEBOOK),
    ("momentum", "gradient descent with momentum 0.5", "update=simultaneous", {"momentum": 0.5}, False,
     "abstract"),
    ("penalty", "gradient descent with WGAN-GP's penalty, λ = 0.1", "update=simultaneous", {"penalty": 0.1},
     False, "abstract"),
    ("optimistic", "optimistic steps along 2 g(t) − g(t−1)", "update=optimistic", {}, True, NOTEBOOK),
    ("extragradient", "extragradient (not in that paper: Gidel et al. 2019)", "update=extragradient", {}, True,
     "from its update"),
)  # fmt: skip
ROWS = [
    Row(
        name=f"mean_{name}",
        what=what,
        paper="gidel2019vi" if name == "extragradient" else "daskalakis2018",
        where=where,
        published="converges" if converges else "cycles",
        rule=Below(0.01) if converges else AtLeast(0.1),
        method=MeanGame(rule, {"step": 0.1, **options}),
        quick=True,
    )
    for name, what, rule, options, converges, where in CASES
]
