"""Unrolled GANs on a ring: Metz et al. 2017."""

from __future__ import annotations

from gaussgan.reproduce.row import AtLeast, Below, Row, Rule
from gaussgan.reproduce.training import Trained

TITLE = "The ring of unrolled GANs"
INTRODUCTION = """\
The paper's picture: without unrolling the generator moves around the modes and never spreads its mass; with unrolling
steps it converges to the data. No number is published. The recipe is that of the notebook of one of its authors
(github.com/poolio/unrolled_gan), which says that its numbers are not the paper's: two hidden layers of 128, tanh, 256
latents, batches of 512, 25,000 iterations. In its data two of the 8 means are equal; here they are 8 different ones.
Initial weights are normal here, and orthogonal there. Without unrolling, steps alternate here, and are simultaneous
there. Our figure is the proportion of samples within 3 std of a mode; the true distribution has 0.989. The number of
modes says nothing here: without unrolling, all 8 have a sample (seed 0)."""

RECIPE = (
    "data=ring data.num_examples=102400 data.batch_size=512 data.fresh=true"
    " generator=mlp generator.in_features=256 generator.widths=[128,128] generator.std=0.12"
    " discriminator=mlp discriminator.widths=[128,128] discriminator.std=0.12 objective=minimax"
    " optimizer_d.lr=1e-4 optimizer_d.betas=[0.5,0.999] optimizer_d.eps=5e-9"
    " optimizer_g.lr=1e-3 optimizer_g.betas=[0.5,0.999] optimizer_g.eps=1e-8"
    " trainer.max_epochs=null trainer.max_steps=25000"
)
CASES: tuple[tuple[int, str, str, Rule], ...] = (
    (0, "update=alternating", "does not converge", Below(0.5)),
    (5, "update=unrolled update.steps=5", "converges to the data", AtLeast(0.9)),
)


def _rows(steps: int, update: str, claim: str, rule: Rule, minutes: float) -> Row:
    return Row(
        name=f"unrolled_ring_{steps}",
        what=f"GAN with {steps} unrolling steps: high quality",
        paper="metz2017",
        where="section 3.1, figure 1",
        published=claim,
        rule=rule,
        method=Trained(f"{RECIPE} {update}", "val/high_quality", f"unrolled_ring_{steps}"),
        seeds=3,
        minutes=minutes,
    )


ROWS = [_rows(*case, minutes=10 + 10 * case[0]) for case in CASES]
