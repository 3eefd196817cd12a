"""The modes of a ring of 8 and of a grid of 25 Gaussians: PacGAN and VEEGAN."""

from __future__ import annotations

from gaussgan.reproduce.row import Below, Near, Predicted, Row, Rule
from gaussgan.reproduce.training import Trained

TITLE = "Modes of the ring and of the grid"
INTRODUCTION = """\
The recipe of PacGAN's code: 400,000 iterations, about 2 hours for each seed, and 2,500 samples at the end. PacGAN2's
discriminator sees two examples at once. The paper has ten runs, and its ± counts as a standard error here. Its plain
GAN finds most modes. VEEGAN's plain GAN on the same mixtures, with other networks and five runs, finds far fewer. So
the two papers' baselines disagree. No interval is published for the proportion of high-quality samples (within 3 std
of a mode) and for the reverse KL divergence; their tolerances are ours. The proportion also changes within a run: in
the last 110,000 iterations of PacGAN2's grid, twelve evaluations gave 0.57 to 0.91. Initial biases are drawn here and
are 0 there; packs are new in each epoch here, and fixed there."""

FIGURES = {  # data and networks → modes with their error, high quality, reverse KL
    ("ring", "gan"): (6.3, 0.5, 0.982, 0.45),
    ("ring", "pacgan2"): (7.9, 0.1, 0.956, 0.07),
    ("grid", "gan"): (17.3, 0.8, 0.948, 0.70),
    ("grid", "pacgan2"): (23.8, 0.7, 0.913, 0.13),
}
NAMES = {"gan": "GAN", "pacgan2": "PacGAN2", "ring": "ring of 8", "grid": "grid of 25"}


def _rows(data: str, kind: str) -> list[Row]:
    modes, error, quality, divergence = FIGURES[data, kind]
    overrides = f"experiment={data}" + (" discriminator.packing=2" if kind == "pacgan2" else "")
    figures: list[tuple[str, str, str, str, Rule]] = [
        ("modes", "modes", "val/modes", f"{modes} ± {error}", Predicted(modes, error, 10)),
        ("quality", "high quality", "val/high_quality", f"{quality:.1%}", Near(quality, 0.03)),
        ("divergence", "reverse KL", "val/reverse_kl", f"{divergence:g}", Near(divergence, 0.25)),
    ]
    return [
        Row(
            name=f"{kind}_{data}_{name}",
            what=f"{NAMES[data]}, {NAMES[kind]}: {what}",
            paper="lin2018",
            where="table 1",
            published=published,
            rule=rule,
            method=Trained(overrides, measure, f"{kind}_{data}"),
            seeds=10,
            minutes=120,
        )
        for name, what, measure, published, rule in figures
    ]


VEEGAN = [
    Row(
        name=f"veegan_gan_{data}",
        what=f"{NAMES[data]}, GAN with VEEGAN's networks: modes",
        paper="srivastava2017",
        where="synthetic data, table 1",
        published=f"far below PacGAN's {FIGURES[data, 'gan'][0]}",
        rule=Below(FIGURES[data, "gan"][0]),
        method=None,
        seeds=5,
        note="what we could read of the paper does not say its networks, and shows its table as an image",
    )
    for data in ("ring", "grid")
]
ROWS = [*(row for data, kind in FIGURES for row in _rows(data, kind)), *VEEGAN]
