"""The value surfaces of critics: Gulrajani et al. 2017."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gaussgan.reproduce.critics import REACH, SURFACES, TOYS, AlignmentGain
from gaussgan.reproduce.row import AtLeast, Row
from gaussgan.reproduce.table import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "The critics of WGAN-GP"
INTRODUCTION = """\
Figure 1a of the paper shows contours of critics that are trained to the end while the generator is held fixed: real
examples plus noise from N(0, I). With weight clipping the critic fails to capture higher moments of the data; with
the gradient penalty it does not. Our figure is the mean cosine of the critic's gradient and the direction of optimal
transport, at random points between each generated example and the real one to which it is moved. For the best critic
it is 1. Data, batches, the rate with clipping and λ = 0.1 are those of the authors' gan_toy.py. Scaled down: layers
of 128 units instead of 512, 1,500 steps, and ten times the learning rate with the penalty."""

ROWS = [
    Row(
        name=f"critic_{toy.lower().replace(' ', '_')}",
        what=f"{toy}: cosine with the gradient penalty, less that with weight clipping, c = 0.01",
        paper="gulrajani2017",
        where="figure 1a",
        published="only the penalty captures higher moments",
        rule=AtLeast(0.05),
        method=AlignmentGain(toy),
        seeds=3,
        minutes=1.2,
    )
    for toy in TOYS
]


def draw(root: Path) -> Figure | None:
    """Return the picture of all critics, or None if one of them is missing."""
    from gaussgan.reproduce.pictures import surfaces_figure  # imports matplotlib

    files = [root / row.name / SURFACES for row in ROWS]
    if not all(path.exists() for path in files):
        return None
    found = dict(zip(TOYS, (torch.load(path, weights_only=True) for path in files), strict=True))
    surfaces = {
        f"{toy}, {name}: cosine {cosines[i]:.2f}": (values[i], real)
        for i, name in enumerate(("weight clipping", "gradient penalty"))
        for toy, (values, cosines, real) in found.items()
    }
    return surfaces_figure(surfaces, REACH, "Value surfaces of critics against real examples plus noise")


PICTURE = Picture("reproductions_critics.png", "Contours of six critics; orange: real examples", draw)
