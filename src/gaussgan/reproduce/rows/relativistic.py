"""Which losses diverge: R3GAN's table on StackedMNIST, and the same losses on the ring. Huang et al. 2024."""

from __future__ import annotations

from gaussgan.reproduce.pictures import samples_figure
from gaussgan.reproduce.row import AtLeast, Below, Row
from gaussgan.reproduce.table import Picture
from gaussgan.reproduce.training import Trained

TITLE = "Which losses diverge"
INTRODUCTION = """\
R3GAN's paper compares four losses on StackedMNIST, 1,000 modes, with small residual networks: with R1 alone the
training diverges, with R1 and R2 it does not, and then the relativistic loss (RpGAN) finds more modes than the
classic one. That needs images, a classifier of digits and 8 GPUs for 7 hours (appendix D). Here the same losses train
small perceptrons on a ring of 8 modes: 10,000 iterations of `experiment=r3gan`. It is another data set, so a row that
*differs* does not refute the paper. It says that the failure does not show in this small case. A run *diverges* if a
number becomes infinite, or if sliced w2 is above 0.3 at the end: the ring has radius 1."""

LOSSES = (  # name, title, overrides, published on StackedMNIST, does it diverge there
    ("rpgan_r1_r2", "RpGAN + R1 + R2", "", "1,000 of 1,000 modes", False),
    ("gan_r1_r2", "GAN + R1 + R2", "objective=nonsaturating", "693 of 1,000 modes", False),
    ("rpgan_r1", "RpGAN + R1", "penalty=r1", "diverges", True),
    ("gan_r1", "GAN + R1", "objective=nonsaturating penalty=r1", "diverges", True),
    ("rpgan_none", "RpGAN without penalty", "penalty=none ~penalty.weight", "", False),  # only in the picture
)
PAPER, PLACE = "huang2024", "section 2.4, table 1, on StackedMNIST"


def _trained(name: str, overrides: str, measure: str) -> Trained:
    return Trained(f"experiment=r3gan {overrides}".strip(), measure, f"ring_{name}")


STACKED = [
    Row(
        name=f"stacked_mnist_{name}",
        what=f"{title} on StackedMNIST",
        paper=PAPER,
        where=PLACE,
        published=published,
        rule=AtLeast(1000) if name == "rpgan_r1_r2" else Below(1000),
        method=None,
        note="needs StackedMNIST and a GPU",
    )
    for name, title, _, published, _ in LOSSES[:4]
]
ENDS = [
    Row(
        name=f"ring_{name}_end",
        what=f"{title} on the ring: sliced w2 at the end",
        paper=PAPER,
        where=PLACE,
        published=published if diverges else "does not diverge",
        rule=AtLeast(0.3) if diverges else Below(0.3),
        method=_trained(name, overrides, "val/sliced_w2"),
        seeds=3,
        minutes=2,
    )
    for name, title, overrides, published, diverges in LOSSES[:4]
]
MODES = [
    Row(
        name=f"ring_{name}_modes",
        what=f"{title} on the ring: modes of 8",
        paper=PAPER,
        where=PLACE,
        published=published,
        rule=AtLeast(8) if name == "rpgan_r1_r2" else Below(8),
        method=_trained(name, overrides, "val/modes"),
        seeds=3,
        minutes=2,
    )
    for name, title, overrides, published, _ in LOSSES[:2]
]
ROWS = [*STACKED, *ENDS, *MODES]
PICTURE = Picture(
    "reproductions_ring.png",
    "Samples of five losses on the ring, seed 0; blue: real, orange: generated",
    lambda root: samples_figure(
        {title: root / f"ring_{name}" / "0" for name, title, *_ in LOSSES},
        "The ring after 10,000 iterations, by loss and penalty",
    ),
)
